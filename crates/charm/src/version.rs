//! Versions with dots, and requirements on them: what `assumes`, `requires-python` and `upgrades-from` are written in.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version: numbers with dots, optionally a pre-release tag: `3.6`, `3.6.9`, `4.0-beta3`.
///
/// Missing numbers count as zero, and a pre-release comes before its release. In JSON it is the text.
#[derive(Debug, Clone)]
pub struct Version {
    numbers: Vec<u32>,
    tag: Option<(String, u32)>,
}

impl Version {
    /// A release, without a tag.
    pub fn new(numbers: &[u32]) -> Version {
        Version { numbers: numbers.to_vec(), tag: None }
    }

    /// The number at a position, 0 for the major one; missing numbers are zero.
    pub fn number(&self, position: usize) -> u32 {
        self.numbers.get(position).copied().unwrap_or(0)
    }

    /// Whether the first numbers of this version are exactly those of `prefix`.
    fn starts_with(&self, prefix: &Version) -> bool {
        (0..prefix.numbers.len()).all(|i| self.number(i) == prefix.number(i))
    }
}

/// Why text is not a version or requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {expected}")]
pub struct Malformed {
    text: String,
    expected: &'static str,
}

/// Most numbers in a version, so that hostile text stays small.
const NUMBERS_MAX: usize = 6;

impl FromStr for Version {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Version, Malformed> {
        let malformed =
            || Malformed { text: text.to_owned(), expected: "version such as 3.6 or 3.6.9" };
        let (release, tag) = match text.find(|c: char| c == '-' || c.is_ascii_alphabetic()) {
            Some(at) => (&text[..at], Some(text[at..].trim_start_matches('-'))),
            None => (text, None),
        };
        let numbers = release
            .split('.')
            .map(number)
            .collect::<Option<Vec<u32>>>()
            .filter(|numbers| numbers.len() <= NUMBERS_MAX)
            .ok_or_else(malformed)?;
        let tag = match tag {
            None => None,
            Some(tag) => {
                let digits = tag.find(|c: char| c.is_ascii_digit()).unwrap_or(tag.len());
                let (word, serial) = tag.split_at(digits);
                let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic());
                let serial = if serial.is_empty() { Some(0) } else { number(serial) };
                Some((word.to_owned(), serial.filter(|_| plain).ok_or_else(malformed)?))
            }
        };
        Ok(Version { numbers, tag })
    }
}

fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, number) in self.numbers.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        match &self.tag {
            None => Ok(()),
            Some((word, serial)) => write!(f, "-{word}{serial}"),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let numbers = (0..length).map(|i| self.number(i).cmp(&other.number(i)));
        numbers.fold(Ordering::Equal, Ordering::then).then_with(|| match (&self.tag, &other.tag) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(mine), Some(theirs)) => mine.cmp(theirs),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// A requirement on a version, as Python and Poetry write it: `>=3.10,<4`, `==3.12.*`, `~=3.10`, `^3.10`, `*`;
/// alternatives with `||`. A bare version means exactly that one.
///
/// ```
/// use tutti_charm::version::{Requirement, Version};
/// let requirement: Requirement = ">=3.10, !=3.11.*".parse().unwrap();
/// assert!(requirement.admits(&Version::new(&[3, 12, 1])));
/// assert!(!requirement.admits(&Version::new(&[3, 11, 7])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    text: String,
    alternatives: Vec<Vec<Clause>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Clause {
    Any,
    AtLeast(Version),
    Above(Version),
    AtMost(Version),
    Below(Version),
    Equal(Version),
    NotEqual(Version),
    Within(Version),
    NotWithin(Version),
}

impl Requirement {
    /// Whether a version meets the requirement.
    pub fn admits(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|clauses| clauses.iter().all(|clause| clause.admits(version)))
    }
}

impl Clause {
    fn admits(&self, version: &Version) -> bool {
        match self {
            Clause::Any => true,
            Clause::AtLeast(bound) => version >= bound,
            Clause::Above(bound) => version > bound,
            Clause::AtMost(bound) => version <= bound,
            Clause::Below(bound) => version < bound,
            Clause::Equal(exact) => version == exact,
            Clause::NotEqual(exact) => version != exact,
            Clause::Within(prefix) => version.starts_with(prefix),
            Clause::NotWithin(prefix) => !version.starts_with(prefix),
        }
    }

    /// The one or two clauses that a piece such as `^3.10` stands for.
    fn parse(piece: &str) -> Result<Vec<Clause>, Malformed> {
        if piece.is_empty() || piece == "*" {
            return Ok(vec![Clause::Any]);
        }
        let digits = piece.find(|c: char| c.is_ascii_digit()).unwrap_or(piece.len());
        let (operator, text) = piece.split_at(digits);
        let (text, wild) = match text.strip_suffix(".*") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let version: Version = text.parse()?;
        Ok(match (operator.trim(), wild) {
            ("" | "==", true) => vec![Clause::Within(version)],
            ("!=", true) => vec![Clause::NotWithin(version)],
            ("" | "=" | "==" | "===", false) => vec![Clause::Equal(version)],
            ("!=", false) => vec![Clause::NotEqual(version)],
            (">=", false) => vec![Clause::AtLeast(version)],
            (">", false) => vec![Clause::Above(version)],
            ("<=", false) => vec![Clause::AtMost(version)],
            ("<", false) => vec![Clause::Below(version)],
            ("~=", false) => compatible(version, 1),
            ("~", false) => compatible(version, 0),
            ("^", false) => caret(version),
            _ => {
                let expected = "version requirement such as >=3.10,<4";
                return Err(Malformed { text: piece.to_owned(), expected });
            }
        })
    }
}

/// `~=3.10.2` (PEP 440) keeps all numbers but the last; `~3.10` (Poetry) keeps two, or one if there is only one.
fn compatible(version: Version, dropped: usize) -> Vec<Clause> {
    let kept = match dropped {
        0 => version.numbers.len().min(2),
        _ => version.numbers.len().saturating_sub(dropped).max(1),
    };
    let prefix = Version::new(&version.numbers[..kept]);
    vec![Clause::AtLeast(version), Clause::Within(prefix)]
}

/// `^3.10` (Poetry) keeps everything up to the first number that is not zero.
fn caret(version: Version) -> Vec<Clause> {
    let first = version.numbers.iter().position(|n| *n != 0);
    let kept = first.map_or(version.numbers.len(), |position| position + 1);
    let prefix = Version::new(&version.numbers[..kept]);
    vec![Clause::AtLeast(version), Clause::Within(prefix)]
}

impl FromStr for Requirement {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Requirement, Malformed> {
        let alternatives = text
            .split("||")
            .map(|alternative| {
                let mut clauses = Vec::new();
                for piece in alternative.split(',') {
                    clauses.extend(Clause::parse(piece.trim())?);
                }
                Ok(clauses)
            })
            .collect::<Result<_, Malformed>>()?;
        Ok(Requirement { text: text.trim().to_owned(), alternatives })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Both types are text in JSON.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Version);
as_text!(Requirement);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order() {
        let ascending =
            ["2.9", "3.0-alpha1", "3.0-beta2", "3.0-beta10", "3.0", "3.0.1", "3.6.9", "3.10"];
        for pair in ascending.windows(2) {
            let (low, high): (Version, Version) =
                (pair[0].parse().unwrap(), pair[1].parse().unwrap());
            assert!(low < high, "{low} < {high}");
        }
        assert_eq!("3.6".parse::<Version>(), "3.6.0".parse());
        for bad in
            ["", "a", "3.", ".3", "3..6", "3.x", "3.6-", "99999999999", "1.2.3.4.5.6.7", "-1"]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn requirements() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (">=3.12", &["3.12", "3.12.1", "4.0"], &["3.11.9", "3.2"]),
            (">=3.10,<4", &["3.10", "3.99"], &["4.0", "3.9"]),
            ("==3.12.*", &["3.12.0", "3.12.9"], &["3.11", "3.13"]),
            ("!=3.11.*, >=3.8", &["3.10", "3.12"], &["3.11.2", "3.7"]),
            ("~=3.10", &["3.10", "3.12.4"], &["3.9", "4.0"]),
            ("~=3.10.2", &["3.10.2", "3.10.9"], &["3.10.1", "3.11"]),
            ("^3.10", &["3.10", "3.14"], &["4.0", "3.9.9"]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0", "0.2.2"]),
            ("~3.10", &["3.10.5"], &["3.11"]),
            ("~3", &["3.11"], &["4.0"]),
            ("3.10.* || 3.12.*", &["3.10.1", "3.12.1"], &["3.11"]),
            ("*", &["1"], &[]),
            ("5", &["5", "5.0"], &["6"]),
            ("> 3.8 , <= 3.10", &["3.9", "3.10"], &["3.8", "3.10.1"]),
        ];
        for (text, good, bad) in cases {
            let requirement: Requirement = text.parse().unwrap();
            for version in *good {
                assert!(requirement.admits(&version.parse().unwrap()), "{text} admits {version}");
            }
            for version in *bad {
                assert!(!requirement.admits(&version.parse().unwrap()), "{text} refuses {version}");
            }
        }
        for bad in ["=>3", ">=", "three", ">=3.*", "3.10 3.11"] {
            assert!(bad.parse::<Requirement>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,20}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
            }
            if let Ok(requirement) = text.parse::<Requirement>() {
                requirement.admits(&Version::new(&[3, 11]));
            }
        }
    }
}
