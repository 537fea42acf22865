//! Which charm is meant: `local:NAME-REVISION`, or `ch:NAME-REVISION` for the catalogue's.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Where a charm comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Uploaded to one model.
    Local,
    /// Published for every model, deployed by name.
    Catalogue,
}

impl Origin {
    /// The scheme of its URLs.
    fn scheme(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Catalogue => "ch",
        }
    }

    /// The word in `status` (Juju: `local`, `charmhub`).
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Catalogue => "charmhub",
        }
    }
}

/// The URL of a revision of a charm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CharmUrl {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Name.
    pub(crate) name: String,
    /// Revision.
    pub(crate) revision: i64,
}

impl FromStr for CharmUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = [Origin::Local, Origin::Catalogue].into_iter().find_map(|origin| {
            let rest = text.strip_prefix(origin.scheme())?.strip_prefix(':')?;
            let (name, revision) = rest.rsplit_once('-')?;
            let revision = revision.parse().ok().filter(|revision| *revision >= 0)?;
            Some(Self { origin, name: name.to_owned(), revision })
        });
        parsed.ok_or_else(|| Error::Invalid(format!("\"{text}\" is not the URL of a charm")))
    }
}

impl fmt::Display for CharmUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.origin.scheme(), self.name, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, origin, name, revision) in [
            ("local:db-0", Origin::Local, "db", 0),
            ("local:my-db-k8s-12", Origin::Local, "my-db-k8s", 12),
            ("ch:db-3", Origin::Catalogue, "db", 3),
        ] {
            let url: CharmUrl = text.parse().unwrap();
            assert_eq!((url.origin, url.name.as_str(), url.revision), (origin, name, revision));
            assert_eq!(url.to_string(), text);
        }
        for text in ["db", "local:db", "xx:db-1", "local:db--1x", ""] {
            assert!(text.parse::<CharmUrl>().is_err(), "{text}");
        }
    }
}
