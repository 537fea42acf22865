//! `local:NAME-REVISION`.

use std::fmt;

use crate::Error;

/// The URL of a local charm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CharmUrl {
    /// Name.
    pub(crate) name: String,
    /// Revision.
    pub(crate) revision: i64,
}

impl CharmUrl {
    /// Reads a URL. A bare name would be a catalogue's, and there is none.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let parts = text.strip_prefix("local:").and_then(|rest| rest.rsplit_once('-'));
        let parsed = parts.and_then(|(name, revision)| {
            let revision = revision.parse().ok().filter(|revision| *revision >= 0)?;
            Some(Self { name: name.to_owned(), revision })
        });
        parsed.ok_or_else(|| {
            Error::NotFound(format!(
                "charm \"{text}\" not found: upload it first and name it local:NAME-REVISION, \
                 there is no catalogue"
            ))
        })
    }
}

impl fmt::Display for CharmUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local:{}-{}", self.name, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::CharmUrl;

    #[test]
    fn urls() {
        for (text, name, revision) in
            [("local:db-0", "db", 0), ("local:my-db-k8s-12", "my-db-k8s", 12)]
        {
            let url = CharmUrl::parse(text).unwrap();
            assert_eq!((url.name.as_str(), url.revision), (name, revision));
            assert_eq!(url.to_string(), text);
        }
        for text in ["db", "local:db", "ch:db-1", "local:db--1x", ""] {
            assert!(CharmUrl::parse(text).is_err(), "{text}");
        }
    }
}
