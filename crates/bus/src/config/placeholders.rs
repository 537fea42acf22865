//! Placeholders in the names of service and process: `{hostname}`, `{pid}`, `{random4}`, `{friendly}` ….

use std::hash::{BuildHasher, RandomState};

const NAMES: &str = "{hostname}, {pid}, {random4}, {random8}, {random16} and {friendly}";
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const MOODS: [&str; 24] = [
    "able", "brave", "bright", "busy", "calm", "clever", "eager", "early", "fair", "gentle",
    "glad", "honest", "jolly", "keen", "kind", "lively", "merry", "neat", "polite", "proud",
    "quick", "steady", "warm", "wise",
];
const BIRDS: [&str; 24] = [
    "avocet", "bittern", "bunting", "crane", "curlew", "dunlin", "eider", "finch", "godwit",
    "grebe", "heron", "jay", "kite", "lark", "linnet", "martin", "osprey", "plover", "robin",
    "siskin", "stork", "swift", "tern", "wren",
];

/// What the placeholders stand for in one process.
#[derive(Clone, Debug)]
pub struct Placeholders {
    /// The name of the machine, in small letters.
    pub hostname: String,
    /// The number of the process.
    pub pid: u32,
    /// Anything; every process should have another.
    pub random: [u64; 2],
}

/// A name with a placeholder that does not exist, or a brace that does not close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{placeholder} in the name {name:?} is no placeholder: there are {NAMES}")]
pub struct UnknownPlaceholder {
    name: String,
    placeholder: String,
}

impl Placeholders {
    /// Those of this process, with new random numbers.
    pub fn of_this_process() -> Placeholders {
        let random = || RandomState::new().hash_one(std::process::id());
        Placeholders {
            hostname: rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
            pid: std::process::id(),
            random: [random(), random()],
        }
    }

    /// The name with all placeholders replaced. As in Python, `{{` and `}}` are single braces.
    pub fn fill(&self, name: &str) -> Result<String, UnknownPlaceholder> {
        let mut filled = String::new();
        let mut rest = name;
        while let Some(at) = rest.find(['{', '}']) {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                filled.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let end =
                rest.find('}').filter(|_| rest.starts_with('{')).map_or(rest.len(), |end| end + 1);
            let placeholder = &rest[..end];
            filled.push_str(&self.value(placeholder).ok_or_else(|| UnknownPlaceholder {
                name: name.to_owned(),
                placeholder: placeholder.to_owned(),
            })?);
            rest = &rest[end..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, placeholder: &str) -> Option<String> {
        match placeholder {
            "{hostname}" => Some(self.hostname.clone()),
            "{pid}" => Some(self.pid.to_string()),
            "{random4}" => Some(self.letters(4)),
            "{random8}" => Some(self.letters(8)),
            "{random16}" => Some(self.letters(16)),
            "{friendly}" => Some(self.friendly()),
            _ => None,
        }
    }

    fn letters(&self, count: usize) -> String {
        let mut number = (u128::from(self.random[0]) << 64) | u128::from(self.random[1]);
        let letter = |_| {
            let letter = char::from(ALPHABET[(number % 36) as usize]);
            number /= 36;
            letter
        };
        (0..count).map(letter).collect()
    }

    fn friendly(&self) -> String {
        let [mood, bird] = self.random;
        let number = (mood >> 32) % 999 + 1;
        format!("{}-{}-{number}", MOODS[(mood % 24) as usize], BIRDS[(bird % 24) as usize])
    }
}
