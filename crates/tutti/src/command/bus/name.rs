//! Names on the command line: an API, one of its procedures or events, and patterns of both.

use std::str::FromStr;

use tutti_bus::schema::ApiSchema;

use super::connection::Session;
use crate::failure::{Failure, Outcome};
use crate::wildcard::is_like;

/// An API and one of its procedures or events: `my.auth.check_password`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) api: String,
    pub(super) member: String,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        match text.rsplit_once('.') {
            Some((api, member)) if !api.is_empty() && !member.is_empty() => {
                Ok(Name { api: api.to_owned(), member: member.to_owned() })
            }
            _ => Err("write API.NAME, as in my.auth.check_password".to_owned()),
        }
    }
}

/// Events by name, with `*` and `?`: `my.auth.user_registered`, `my.auth.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) api: String,
    pub(super) event: String,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        if text == "*" {
            return Ok(Pattern { api: "*".to_owned(), event: "*".to_owned() });
        }
        let name: Name = text
            .parse()
            .map_err(|_| "write API.EVENT, API.* or *, as in my.auth.user_registered".to_owned())?;
        Ok(Pattern { api: name.api, event: name.member })
    }
}

impl Pattern {
    /// Whether it names one API and no others.
    pub(super) fn is_one_api(&self) -> bool {
        !self.api.contains(['*', '?'])
    }

    /// Whether it is for this event.
    pub(super) fn is_for(&self, api: &str, event: &str) -> bool {
        is_like(&self.api, api) && is_like(&self.event, event)
    }

    /// Whether events it is for may be in the stream of this event, or of all (`*`).
    pub(super) fn is_in(&self, api: &str, event: &str) -> bool {
        is_like(&self.api, api) && (event == "*" || is_like(&self.event, event))
    }
}

/// What a member of an API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Procedure,
    Event,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Procedure => "procedure",
            Self::Event => "event",
        }
    }

    /// The names of all of this kind.
    pub(super) fn names(self, api: &ApiSchema) -> Vec<&str> {
        match self {
            Self::Procedure => api.rpcs().map(|(name, _)| name).collect(),
            Self::Event => api.events().map(|(name, _)| name).collect(),
        }
    }
}

/// The API of this name, or a refusal that says which there are.
pub(super) fn find_api<'a>(
    schemas: &'a [ApiSchema],
    name: &str,
    session: &Session,
) -> Outcome<&'a ApiSchema> {
    schemas.iter().find(|api| api.name() == name).ok_or_else(|| {
        let names: Vec<&str> = schemas.iter().map(ApiSchema::name).collect();
        Failure::new(format!(
            "no API {name:?} is on the bus at {}: {}",
            session.place,
            instead(name, &names, &format!("'{} bus apis' lists them", session.program))
        ))
    })
}

/// Refuses what the API does not have.
pub(super) fn find_member(api: &ApiSchema, kind: Kind, member: &str) -> Outcome {
    let names = kind.names(api);
    if names.contains(&member) {
        return Ok(());
    }
    let (word, api) = (kind.word(), api.name());
    let otherwise = match names.is_empty() {
        true => format!("it has no {word}s at all"),
        false => format!("it has {}", names.join(", ")),
    };
    Err(Failure::new(format!(
        "the API {api} has no {word} {member:?}: {}",
        instead(member, &names, &otherwise)
    )))
}

/// `did you mean "x"?`, or something else to say.
pub(super) fn instead(wrong: &str, names: &[&str], otherwise: &str) -> String {
    let nearest = names
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_api_and_a_member() {
        let name: Name = "my.auth.check".parse().unwrap();
        assert_eq!((name.api.as_str(), name.member.as_str()), ("my.auth", "check"));
        for wrong in ["", "check", ".check", "my."] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
        let pattern: Pattern = "my.auth.*".parse().unwrap();
        assert!(
            pattern.is_one_api() && pattern.is_for("my.auth", "x") && !pattern.is_for("my.a", "x")
        );
        let one: Pattern = "my.auth.x".parse().unwrap();
        assert!(
            one.is_in("my.auth", "*") && one.is_in("my.auth", "x") && !one.is_in("my.auth", "y")
        );
        assert!("*".parse::<Pattern>().unwrap().is_for("a", "b"));
    }

    #[test]
    fn a_slip_is_told_what_was_meant() {
        assert_eq!(instead("my.auht", &["your.mail", "my.auth"], ""), "did you mean \"my.auth\"?");
        assert_eq!(instead("zzz", &["my.auth"], "no"), "no");
    }
}
