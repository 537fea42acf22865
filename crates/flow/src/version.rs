//! Versions of tasks. A plan calls a task by its name with the version it was made for, and a worker has a handler under the
//! name with each version it can run: so a plan of a newer release waits for a worker of that release, by no other rule than
//! that for a task whose handler a worker does not have. The first version goes without saying.

/// Versions of one task that a handler can run, at most: each is a name the worker advertises.
const VERSIONS_MAX: u32 = 100;

/// What a plan calls a task of a version.
pub(crate) fn of(name: &str, version: u32) -> String {
    if version == 1 { name.to_owned() } else { format!("{name}@{version}") }
}

/// The name of a task, of whichever version.
pub(crate) fn without(name: &str) -> &str {
    match name.rsplit_once('@') {
        Some((plain, version)) if version.parse::<u32>().is_ok() => plain,
        _ => name,
    }
}

/// Every name a handler of these versions answers to.
pub(crate) fn names(name: &str, least: u32, most: u32) -> impl Iterator<Item = String> {
    (least..=most).map(move |version| of(name, version))
}

/// Refuses to compile what makes no sense.
pub(crate) const fn check(name: &str, least: u32, most: u32) {
    assert!(least >= 1, "versions of tasks begin with 1");
    assert!(least <= most, "`MIN_VERSION` is greater than `VERSION`");
    assert!(most - least < VERSIONS_MAX, "too many versions: raise `MIN_VERSION`");
    let (bytes, mut at) = (name.as_bytes(), 0);
    while at < bytes.len() {
        assert!(bytes[at] != b'@', "what follows an `@` in the name of a task is its version");
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_version_from_the_second() {
        for (name, version, expected) in [("a", 1, "a"), ("a", 2, "a@2"), ("a.b", 30, "a.b@30")] {
            assert_eq!(of(name, version), expected);
            assert_eq!(without(expected), name);
        }
        for name in ["a@b", "@", "a@", "a@-1"] {
            assert_eq!(without(name), name);
        }
        assert_eq!(names("a", 1, 3).collect::<Vec<_>>(), ["a", "a@2", "a@3"]);
        assert_eq!(names("a", 2, 2).collect::<Vec<_>>(), ["a@2"]);
    }
}
