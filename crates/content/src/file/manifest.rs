//! A line of a list: `relative_path,sha256,size` (Pulp's format; a path may have commas).
//!
//! Paths are written by others and served to others. So what could lead out of a directory, or hide something, is refused.

use crate::{digest, path};

/// The longest path, bytes.
pub const PATH_BYTES_MAX: usize = 1_024;

/// A file of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, relative to the list.
    pub path: String,
    /// SHA-256.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A line that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What stands where the path should.
    pub path: String,
    /// Whether that could be a path.
    pub is_path: bool,
    /// What is wrong.
    pub why: &'static str,
}

/// Whether a line says something at all.
#[must_use]
pub fn is_entry(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#')
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &str) -> Result<Entry, Refused> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut parts = line.rsplitn(3, ',');
    let (size, digest, path) = (parts.next(), parts.next(), parts.next());
    let given = path.unwrap_or(line);
    let refused = |is_path| move |why| Refused { path: given.to_owned(), is_path, why };
    let (Some(size), Some(digest)) = (size, digest.filter(|_| line.matches(',').count() > 1))
    else {
        return Err(refused(false)("it has no path, digest and size"));
    };
    if !path::is_relative(given) {
        return Err(refused(false)("no file may have that path"));
    }
    if given.len() > PATH_BYTES_MAX {
        return Err(refused(false)("the path is too long"));
    }
    let digest = digest.trim().to_ascii_lowercase();
    if digest::check(&digest).is_err() {
        return Err(refused(true)("its digest is no SHA-256"));
    }
    let size = Some(size.trim()).filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
    let size: Option<i64> = size.and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| refused(true)("its size is no number of bytes"))?;
    Ok(Entry { path: given.to_owned(), digest, size: size.unsigned_abs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lines_are_read() {
        for (line, path, size) in [
            (format!("a,{DIGEST},0"), "a", 0),
            (format!("a/b,c.txt,{DIGEST},12\r\n"), "a/b,c.txt", 12),
            (format!(",,{},7\n", DIGEST.to_uppercase()), ",", 7),
            (format!("A/a b/..c,{DIGEST},7"), "A/a b/..c", 7),
        ] {
            let expected = Entry { path: path.to_owned(), digest: DIGEST.to_owned(), size };
            assert_eq!(parse(&line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn hostile_lines_are_refused() {
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        for path in [
            "..",
            "../a",
            "a/../b",
            "a/..",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            "",
            "a\u{7}b",
            "a\u{0}b",
            "a\u{85}b",
            "a\tb",
            &long,
        ] {
            let refused = parse(&format!("{path},{DIGEST},1")).unwrap_err();
            assert!(!refused.is_path && refused.path == path, "{refused:?}");
        }
        for (digest, size) in [
            ("abc", "1"),
            (DIGEST, "-1"),
            (DIGEST, "+1"),
            (DIGEST, ""),
            (DIGEST, "x"),
            (DIGEST, "9223372036854775808"),
            ("../../../../etc", "1"),
        ] {
            let refused = parse(&format!("a,{digest},{size}")).unwrap_err();
            assert!(refused.is_path && refused.path == "a", "{refused:?}");
        }
        for line in ["", "a", "a,1"] {
            assert!(!parse(line).unwrap_err().is_path);
        }
        for line in ["", "\n", "# a", "  \r\n"] {
            assert!(!is_entry(line), "{line}");
        }
    }
}
