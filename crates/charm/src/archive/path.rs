//! Which names and link targets are safe: decided on the text alone, before anything is written.

/// Longest target of a link, in bytes.
pub(super) const TARGET_BYTES_MAX: u64 = 1024;

const PATH_BYTES_MAX: usize = 1024;
const COMPONENT_BYTES_MAX: usize = 255;

/// Accepts a relative path of plain components, `a/b/c`; answers the reason otherwise.
pub(super) fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if path.contains('\\') {
        return Err("it contains a backslash, which some systems read as a separator");
    }
    if path.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    if path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic() {
        return Err("it starts with a drive letter");
    }
    if path.len() > PATH_BYTES_MAX {
        return Err("it is too long");
    }
    for component in path.split('/') {
        match component {
            "" => return Err("it has an empty component"),
            "." => return Err("it has the component `.`"),
            ".." => return Err("it has the component `..`"),
            long if long.len() > COMPONENT_BYTES_MAX => {
                return Err("one of its components is too long");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Accepts a relative target that stays inside the tree, for a link at `path`; answers the reason otherwise.
///
/// `..` is allowed only at the start: there it climbs through real directories (nothing may lie below a link), so
/// that counting is enough. After a name it could climb from wherever another link leads.
pub(crate) fn check_link(path: &str, target: &str) -> Result<(), &'static str> {
    if target.is_empty() {
        return Err("its target is empty");
    }
    if target.starts_with('/') {
        return Err("its target is absolute");
    }
    if target.contains('\\') || target.chars().any(char::is_control) {
        return Err("its target contains a backslash or control character");
    }
    let mut depth = path.matches('/').count();
    let mut climbing = true;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if !climbing => return Err("its target has `..` after a name"),
            ".." if depth == 0 => return Err("its target is outside the archive"),
            ".." => depth -= 1,
            _ => climbing = false,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a/b", ".hidden", "a/..b", "a/b..", "...", "ä/ö", "a b", "lib/x:y"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        let long = "x".repeat(256);
        let deep = "x/".repeat(600);
        for bad in [
            "", "/", "/a", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/",
            "a\\b", "..\\a", "C:/a", "c:a", "a\0b", "a\nb", &long, &deep,
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links() {
        let good = [
            ("a", "b"),
            ("a/b", "../c"),
            ("hooks/install", "../dispatch"),
            ("a", "b/c"),
            ("a/b/c", "../../d"),
            ("a", "./b"),
            ("a/b", ".."),
        ];
        for (path, target) in good {
            assert_eq!(check_link(path, target), Ok(()), "{path} -> {target}");
        }
        let bad = [
            ("a", ".."),
            ("a", "../a"),
            ("a/b", "../../c"),
            ("a", "/etc/passwd"),
            ("a", ""),
            ("a", "b/../c"),
            ("a/b", "c/../../../d"),
            ("a", "..\\b"),
        ];
        for (path, target) in bad {
            assert!(check_link(path, target).is_err(), "{path} -> {target}");
        }
    }
}
