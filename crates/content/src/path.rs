//! Paths of content: relative, with `/` between segments, and never out of their place.

/// The longest path, bytes.
const LENGTH_MAX: usize = 4096;

/// Whether this is a path of content: segments that are not empty, nor `.` or `..`, with nothing in them that does not
/// print.
#[must_use]
pub fn is_relative(path: &str) -> bool {
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    path.len() <= LENGTH_MAX && path.split('/').all(segment) && !path.chars().any(char::is_control)
}

/// A path and all above it: of `a/b/c`, `a`, `a/b` and `a/b/c`.
pub(crate) fn above(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.filter_map(|end| path.get(..end)).filter(|path| !path.is_empty()).collect()
}

/// The bounds of all paths below one: not before the first, and before the second. `0` is the letter after `/`.
pub(crate) fn below(path: &str) -> (String, String) {
    if path.is_empty() {
        (String::new(), "\u{10ffff}".to_owned())
    } else {
        (format!("{path}/"), format!("{path}0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_their_place() {
        for path in ["a", "a/b.c", "a b/,c", "..a/b..", "ä"] {
            assert!(is_relative(path), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\n", "a\0b"] {
            assert!(!is_relative(path), "{path:?}");
        }
        assert!(!is_relative(&"a".repeat(5000)));
    }

    #[test]
    fn what_is_above_and_below() {
        assert_eq!(above("a/b/c"), ["a", "a/b", "a/b/c"]);
        assert_eq!(above("a"), ["a"]);
        let (from, to) = below("a/b");
        let within = |path: &str| from.as_str() <= path && path < to.as_str();
        assert!(
            within("a/b/c")
                && within("a/b/")
                && !within("a/b")
                && !within("a/b-c")
                && !within("a/bc")
        );
    }
}
