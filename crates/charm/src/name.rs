//! Names: what a charm, an application, a unit and their parts may be called.
//!
//! Each function answers `Ok(())` or an [`Error::Name`] whose text says what a valid name looks like. The forms of
//! charms, applications, units and models are Juju's. Endpoints, options and actions follow the widest form that
//! published charms use and that is still safe as part of a file name and of an environment variable.

use crate::error::{Error, Result};

/// Longest name of any kind, in bytes: it has to fit into a file name with something before and after it.
pub const LENGTH_MAX: usize = 200;

const WORDS: &str = "use lower-case letters, digits and single hyphens, start with a letter, and let every part \
                     after a hyphen contain a letter, such as `web` or `my-app2`";
const MODEL: &str = "use lower-case letters, digits and hyphens, and start with a letter or digit";
const UNIT: &str =
    "write the application, a slash and a number without leading zeros, such as `web/0`";
const ENDPOINT: &str =
    "use letters, digits, and single hyphens or underscores between them, and start with a letter";
const KEY: &str =
    "use letters, digits, hyphens, underscores and dots, and start with a letter or underscore";
const ACTION: &str = "use letters, digits, hyphens and underscores, start with a letter or underscore, and do not \
                      start with `juju-`, which is reserved";
const STORAGE: &str = "use lower-case letters, digits and single hyphens, and start with a letter";

const BUS_EVENT: &str =
    "write the API, a dot and the event or `*` for all, such as `auth.user_registered` or `auth.*`";

/// The name of a charm: the same form as an application's.
pub fn charm(name: &str) -> Result<()> {
    check("charm", name, WORDS, is_words)
}

/// The name of an application: `^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$`, so that `web-1` can never be mistaken
/// for a unit of `web`.
pub fn application(name: &str) -> Result<()> {
    check("application", name, WORDS, is_words)
}

/// The name of a unit, `app/0`.
pub fn unit(name: &str) -> Result<()> {
    check("unit", name, UNIT, |name| split_unit(name).is_some())
}

/// The two parts of a unit's name, or `None` if it is not one.
///
/// ```
/// assert_eq!(tutti_charm::name::split_unit("web/3"), Some(("web", 3)));
/// assert_eq!(tutti_charm::name::split_unit("web/03"), None);
/// ```
pub fn split_unit(name: &str) -> Option<(&str, u32)> {
    let (application, number) = name.split_once('/')?;
    let canonical = number == "0" || !number.starts_with('0');
    if !is_words(application) || !canonical || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((application, number.parse().ok()?))
}

/// The name of a model, without its owner.
pub fn model(name: &str) -> Result<()> {
    check("model", name, MODEL, |name| {
        !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

/// The name of an endpoint: it becomes part of event names (`db-relation-changed`) and relation keys (`web:db`).
pub fn endpoint(name: &str) -> Result<()> {
    check("endpoint", name, ENDPOINT, is_snippet)
}

/// The key of a configuration option.
pub fn config_key(name: &str) -> Result<()> {
    check("option", name, KEY, |name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    })
}

/// The name of an action; `juju-…` is reserved for the runtime.
pub fn action(name: &str) -> Result<()> {
    check("action", name, ACTION, |name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !name.starts_with("juju-")
    })
}

/// The name of a storage a charm declares; instances are called `name/0`.
pub fn storage(name: &str) -> Result<()> {
    check("storage", name, STORAGE, is_hyphenated)
}

/// The name of a workload container of a charm: part of a socket's path and of event names.
pub fn container(name: &str) -> Result<()> {
    check("container", name, STORAGE, is_hyphenated)
}

/// The name of a resource of a charm.
pub fn resource(name: &str) -> Result<()> {
    check("resource", name, ENDPOINT, is_snippet)
}

/// The API and the event in the name of a bus event, `api.event`; the event may be `*`.
///
/// ```
/// assert_eq!(tutti_charm::name::split_bus_event("my.auth.came_in").unwrap(), ("my.auth", "came_in"));
/// assert!(tutti_charm::name::split_bus_event("came_in").is_err());
/// ```
pub fn split_bus_event(name: &str) -> Result<(&str, &str)> {
    check("bus event", name, BUS_EVENT, |name| {
        name.rsplit_once('.').is_some_and(|(api, event)| {
            api.split('.').all(is_bus_word) && (event == "*" || is_bus_word(event))
        })
    })?;
    Ok(name.rsplit_once('.').unwrap_or_default())
}

fn check(kind: &'static str, name: &str, rule: &'static str, fits: fn(&str) -> bool) -> Result<()> {
    if !name.is_empty() && name.len() <= LENGTH_MAX && fits(name) {
        return Ok(());
    }
    Err(Error::Name { kind, name: name.to_owned(), rule })
}

/// `^[a-zA-Z0-9_-]+$`
fn is_bus_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// `^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$`
fn is_words(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|part| {
            part.bytes().any(|b| b.is_ascii_lowercase())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`
fn is_hyphenated(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// `^[a-zA-Z][a-zA-Z0-9]*([_-][a-zA-Z0-9]+)*$`
fn is_snippet(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .split(['-', '_'])
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_each_kind() {
        type Case<'a> = (fn(&str) -> Result<()>, &'a [&'a str], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (
                application,
                &["a", "web", "my-app", "a1", "a-1b", "postgresql-k8s", "x2-y"],
                &["", "A", "1a", "a-1", "a--b", "-a", "a-", "a_b", "a/0", "a.b", "ä", "a b", "a\n"],
            ),
            (
                unit,
                &["a/0", "my-app/12"],
                &["a", "a/", "a/01", "a/-1", "A/0", "a/0/1", "a/ 1", "a-1/0"],
            ),
            (model, &["m", "0", "test-abc", "a-1"], &["", "-a", "A", "a_b", "a/b"]),
            (
                endpoint,
                &["db", "http-api", "a_b", "juju-info", "dB2"],
                &["", "2b", "a-", "a--b", "a:b", "a/b"],
            ),
            (
                config_key,
                &["k", "_x", "vip_cidr", "os-host", "a.b"],
                &["", "1a", "a b", "a=b", "-a"],
            ),
            (action, &["backup", "run_it", "a1"], &["", "juju-run", "a b", "../x", "1a"]),
            (storage, &["data", "a-1", "database-data"], &["", "Data", "a_b", "a/0"]),
        ];
        for (check, good, bad) in cases {
            for name in *good {
                assert!(check(name).is_ok(), "{name:?} should be accepted");
            }
            for name in *bad {
                assert!(check(name).is_err(), "{name:?} should be refused");
            }
        }
    }

    #[test]
    fn refusal_says_what_is_right() {
        let text = application("My_App").unwrap_err().to_string();
        assert!(text.starts_with("invalid application name \"My_App\": use lower-case"), "{text}");
        assert!(application(&"a".repeat(LENGTH_MAX)).is_ok());
        assert!(application(&"a".repeat(LENGTH_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn generated_names_fit(name in "[a-z][a-z0-9]{0,8}(-[a-z0-9]{0,4}[a-z][a-z0-9]{0,4}){0,3}", n in 0u32..) {
            prop_assert!(application(&name).is_ok());
            let unit_name = format!("{name}/{n}");
            prop_assert_eq!(split_unit(&unit_name), Some((name.as_str(), n)));
        }

        #[test]
        fn accepted_names_are_safe_in_paths(name in ".{0,12}") {
            for check in [charm, application, model, endpoint, config_key, action, storage, container, resource] {
                if check(&name).is_ok() {
                    prop_assert!(!name.contains(['/', '\\', '\0', '\n', ' ', ':', '=']));
                    prop_assert!(!name.starts_with('.') && !name.starts_with('-'));
                }
            }
        }
    }
}
