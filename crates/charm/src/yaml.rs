//! Reading and writing YAML: the only module that knows which library does it.
//!
//! Charms come from strangers, so reading has a budget (bytes, nodes, depth, aliases) that honest files never reach.
//! Plain words such as `no` and `on` are booleans where nothing else is expected, as in PyYAML, so that a charm
//! means here what it means to its own code.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest document accepted, in bytes.
pub const BYTES_MAX: usize = 4 << 20;

const NODES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 48;
const ALIASES_MAX: usize = 1_000;

/// Why a document could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct Fault {
    /// Line, counted from 1; 0 if the fault has no place.
    pub line: u64,
    /// Column in characters, counted from 1; 0 if the fault has no place.
    pub column: u64,
    /// What is wrong there.
    pub problem: String,
}

impl Fault {
    pub(crate) fn not_text() -> Fault {
        Fault { line: 0, column: 0, problem: "the file is not UTF-8 text".to_owned() }
    }
}

/// Reads one YAML document.
///
/// ```
/// let fault = tutti_charm::yaml::from_str::<Vec<u32>>("- 1\n- two\n").unwrap_err();
/// assert_eq!((fault.line, fault.column), (2, 3));
/// ```
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    if text.len() > BYTES_MAX {
        let problem =
            format!("the document has {} bytes; at most {BYTES_MAX} are read", text.len());
        return Err(Fault { line: 0, column: 0, problem });
    }
    let mut budget = serde_saphyr::Budget::default();
    budget.max_nodes = NODES_MAX;
    budget.max_depth = DEPTH_MAX;
    budget.max_aliases = ALIASES_MAX;
    budget.max_anchors = ALIASES_MAX;
    budget.max_recorded_anchor_events = NODES_MAX;
    budget.max_recorded_anchor_bytes = BYTES_MAX;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        Fault { line, column, problem: first_line(&error.without_snippet().to_string()) }
    })
}

/// Writes a value as a YAML document, ending in a newline.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_saphyr::to_string(value).map_err(|error| Fault {
        line: 0,
        column: 0,
        problem: error.to_string(),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn reads_like_pyyaml() {
        let value: Value =
            from_str("a: yes\nb: 'yes'\nc: 1\nd: 1.5\ne:\nf: 0x10\ng: text\n").unwrap();
        let expected =
            json!({"a": true, "b": "yes", "c": 1, "d": 1.5, "e": null, "f": 16, "g": "text"});
        assert_eq!(value, expected);
    }

    #[test]
    fn says_where() {
        let fault = from_str::<Value>("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(fault.line >= 2, "{fault}");
        assert!(!fault.to_string().contains('\n'), "{fault}");
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let alias = format!("*a{},", i - 1).repeat(10);
            bomb.extend(["a", &i.to_string(), ": &a", &i.to_string(), " [", &alias, "]\n"]);
        }
        assert!(from_str::<Value>(&bomb).is_err());
        assert!(from_str::<Value>(&"[".repeat(10_000)).is_err());
        assert!(from_str::<String>(&"x".repeat(BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn written_text_reads_back() {
        let value = json!({"s": "no", "n": "1", "l": ["a", {"b": null}], "m": "x\ny\n", "e": {}, "q": "a: b # c"});
        assert_eq!(from_str::<Value>(&to_string(&value).unwrap()).unwrap(), value);
    }
}
