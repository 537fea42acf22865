//! `assumes`: what a charm expects of the model it is deployed into.
//!
//! ```yaml
//! assumes:
//!   - juju >= 3.6
//!   - any-of:
//!       - k8s-api
//!       - juju < 4.0
//! ```
//!
//! The controller evaluates it when a charm is deployed or refreshed and reports every unmet assumption at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::version::Version;

/// The Juju version we announce to charms (`JUJU_VERSION`). It opens every feature that `ops` gates on a version,
/// and satisfies the usual `juju >= 3.6`.
pub const JUJU_VERSION: &str = "3.6.9";

/// One assumption, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assumption {
    /// The feature is offered, in any version.
    Feature(String),
    /// The feature is offered in this version or a later one.
    AtLeast(String, Version),
    /// The feature is offered in a version before this one.
    Below(String, Version),
    /// At least one of these holds.
    AnyOf(Vec<Assumption>),
    /// All of these hold.
    AllOf(Vec<Assumption>),
}

/// What a model offers to charms: features by name, some with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    features: BTreeMap<String, Option<Version>>,
}

impl Offer {
    /// What our models offer: `juju` in the version announced, and `k8s-api` in Kubernetes-like ones.
    pub fn of_model(kubernetes: bool) -> Offer {
        let juju = JUJU_VERSION.parse().expect("the announced version is a version");
        let mut features = BTreeMap::from([("juju".to_owned(), Some(juju))]);
        if kubernetes {
            features.insert("k8s-api".to_owned(), None);
        }
        Offer { features }
    }
}

impl Assumption {
    /// Every reason why the assumption does not hold; empty if it does.
    ///
    /// ```
    /// use tutti_charm::assumes::{Assumption, Offer};
    /// let assumption: Assumption = "juju >= 4.0".parse().unwrap();
    /// let reasons = assumption.unmet(&Offer::of_model(false));
    /// assert_eq!(reasons, ["charm assumes juju >= 4.0, but this model has juju 3.6.9"]);
    /// ```
    pub fn unmet(&self, offer: &Offer) -> Vec<String> {
        let holds = |name: &str, fits: &dyn Fn(&Version) -> bool| match offer.features.get(name) {
            Some(Some(version)) => fits(version),
            Some(None) | None => false,
        };
        let met = match self {
            Assumption::Feature(name) => offer.features.contains_key(name),
            Assumption::AtLeast(name, bound) => holds(name, &|version| version >= bound),
            Assumption::Below(name, bound) => holds(name, &|version| version < bound),
            Assumption::AllOf(all) => return unmet(all, offer),
            Assumption::AnyOf(any) => any.iter().any(|one| one.unmet(offer).is_empty()),
        };
        if met {
            return Vec::new();
        }
        let found = match self {
            Assumption::AtLeast(name, _) | Assumption::Below(name, _) => {
                match offer.features.get(name) {
                    Some(Some(version)) => format!("this model has {name} {version}"),
                    Some(None) | None => format!("this model does not offer {name}"),
                }
            }
            Assumption::Feature(_) => "this model does not offer it".to_owned(),
            Assumption::AnyOf(_) | Assumption::AllOf(_) => "none of them holds here".to_owned(),
        };
        vec![format!("charm assumes {self}, but {found}")]
    }
}

/// Every reason why a charm's assumptions do not all hold; empty if they do.
pub fn unmet(assumptions: &[Assumption], offer: &Offer) -> Vec<String> {
    assumptions.iter().flat_map(|assumption| assumption.unmet(offer)).collect()
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |all: &[Assumption]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Assumption::Feature(name) => f.write_str(name),
            Assumption::AtLeast(name, version) => write!(f, "{name} >= {version}"),
            Assumption::Below(name, version) => write!(f, "{name} < {version}"),
            Assumption::AnyOf(any) => write!(f, "any of ({})", list(any)),
            Assumption::AllOf(all) => write!(f, "all of ({})", list(all)),
        }
    }
}

impl std::str::FromStr for Assumption {
    type Err = String;

    fn from_str(text: &str) -> Result<Assumption, String> {
        let malformed = || {
            format!(
                "assumption {text:?} is not of the form `feature`, `feature >= version` or `feature < version`"
            )
        };
        let end = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let name = text[..end].trim();
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid {
            return Err(malformed());
        }
        let rest = &text[end..];
        let version = |text: &str| text.trim().parse::<Version>().map_err(|_| malformed());
        if rest.is_empty() {
            Ok(Assumption::Feature(name.to_owned()))
        } else if let Some(bound) = rest.strip_prefix(">=") {
            Ok(Assumption::AtLeast(name.to_owned(), version(bound)?))
        } else if let Some(bound) = rest.strip_prefix('<') {
            Ok(Assumption::Below(name.to_owned(), version(bound)?))
        } else {
            Err(malformed())
        }
    }
}

/// An assumption as a charm's author writes it: text, or a mapping with `any-of` or `all-of`.
pub(crate) struct Written(pub(crate) Assumption);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an assumption: text, or a mapping with any-of or all-of")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
                text.parse().map(Written).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut groups = Vec::new();
                while let Some((key, members)) = map.next_entry::<String, Vec<Written>>()? {
                    let members = members.into_iter().map(|Written(one)| one).collect();
                    groups.push(match key.as_str() {
                        "any-of" => Assumption::AnyOf(members),
                        "all-of" => Assumption::AllOf(members),
                        _ => return Err(de::Error::unknown_field(&key, &["any-of", "all-of"])),
                    });
                }
                match groups.pop() {
                    Some(only) if groups.is_empty() => Ok(Written(only)),
                    Some(last) => {
                        groups.push(last);
                        Ok(Written(Assumption::AllOf(groups)))
                    }
                    None => Err(de::Error::custom("an empty mapping assumes nothing")),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> Vec<Assumption> {
        let written: Vec<Written> = yaml::from_str(text).unwrap();
        written.into_iter().map(|Written(one)| one).collect()
    }

    #[test]
    fn every_reason_at_once() {
        let cases: &[(&str, bool, &[&str])] = &[
            ("- juju >= 3.6\n- juju < 4.0\n", false, &[]),
            ("- juju>=3.6.9\n", false, &[]),
            ("- k8s-api\n", true, &[]),
            ("- k8s-api\n", false, &["charm assumes k8s-api, but this model does not offer it"]),
            (
                "- juju >= 4.1\n- teleport\n- sky >= 1.0\n",
                true,
                &[
                    "charm assumes juju >= 4.1, but this model has juju 3.6.9",
                    "charm assumes teleport, but this model does not offer it",
                    "charm assumes sky >= 1.0, but this model does not offer sky",
                ],
            ),
            ("- any-of:\n  - k8s-api\n  - juju >= 3.0\n", false, &[]),
            (
                "- any-of:\n  - k8s-api\n  - all-of: [juju >= 4.0]\n",
                false,
                &[
                    "charm assumes any of (k8s-api, all of (juju >= 4.0)), but none of them holds here",
                ],
            ),
            (
                "- all-of: [juju < 3.0, juju >= 3.1]\n",
                false,
                &["charm assumes juju < 3.0, but this model has juju 3.6.9"],
            ),
        ];
        for (text, kubernetes, reasons) in cases {
            assert_eq!(unmet(&read(text), &Offer::of_model(*kubernetes)), *reasons, "{text}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "- juju > 3.6",
            "- juju == 3",
            "- juju >= x",
            "- Juju",
            "- {}",
            "- none-of: [a]",
            "- 3",
        ] {
            assert!(yaml::from_str::<Vec<Written>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_form_is_stable() {
        let text = serde_json::to_string(&read("- any-of: [k8s-api, juju >= 3.6]\n")).unwrap();
        assert_eq!(text, r#"[{"any_of":[{"feature":"k8s-api"},{"at_least":["juju","3.6"]}]}]"#);
        assert_eq!(serde_json::from_str::<Vec<Assumption>>(&text).unwrap().len(), 1);
    }
}
