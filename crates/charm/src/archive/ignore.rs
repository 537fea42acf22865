//! What is left out when a directory is packed: `.jujuignore` and what nobody wants in a charm.
//!
//! Patterns are those of `.gitignore`: `*` and `?` within a component, `[a-z]` sets, `**` across components, a slash
//! at the start or in the middle ties the pattern to the root, one at the end to directories; `!` takes back; the
//! last pattern that matches decides; nothing below an ignored directory is looked at.

use std::fs;
use std::path::Path;

use crate::error::{Result, io};

/// Left out of every source tree.
const DEFAULTS: &[&str] = &[
    ".git",
    ".gitignore",
    ".gitattributes",
    ".github",
    ".svn",
    ".hg",
    ".bzr",
    ".tox",
    ".nox",
    ".venv",
    "__pycache__",
    "*.py[cod]",
    "*.charm",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".coverage",
    ".hypothesis",
    ".idea",
    ".vscode",
    ".DS_Store",
    "*.swp",
    "*~",
    "/build",
    "/.jujuignore",
    "/.craft",
];

/// A list of patterns; the later ones win.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    components: Vec<String>,
    takes_back: bool,
    only_directories: bool,
}

impl Ignore {
    /// Ignores nothing.
    pub fn nothing() -> Ignore {
        Ignore::default()
    }

    /// What is left out of a charm's source tree: the usual clutter, then what its `.jujuignore` says.
    pub fn of_source(directory: &Path) -> Result<Ignore> {
        let mut ignore = Ignore::nothing();
        for pattern in DEFAULTS {
            ignore.add(pattern);
        }
        let file = directory.join(".jujuignore");
        match fs::read(&file) {
            Ok(text) => String::from_utf8_lossy(&text).lines().for_each(|line| ignore.add(line)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("read", &file)(error)),
        }
        Ok(ignore)
    }

    /// Adds one line of an ignore file; empty lines and comments add nothing.
    pub fn add(&mut self, line: &str) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let (line, takes_back) = match line.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let line = line.strip_prefix('\\').unwrap_or(line);
        let (line, only_directories) = match line.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let anchored = line.contains('/');
        let mut components: Vec<String> =
            line.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if components.is_empty() {
            return;
        }
        if !anchored {
            components.insert(0, "**".to_owned());
        }
        self.patterns.push(Pattern { components, takes_back, only_directories });
    }

    /// Whether a path (relative, with `/`) is left out. Ask for the directories above it first: nothing below an
    /// ignored one comes back.
    pub fn matches(&self, path: &str, is_directory: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let decisive = self.patterns.iter().rev().find(|pattern| {
            let components: Vec<&str> = pattern.components.iter().map(String::as_str).collect();
            (is_directory || !pattern.only_directories) && path_matches(&components, &parts)
        });
        decisive.is_some_and(|pattern| !pattern.takes_back)
    }
}

fn path_matches(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern, parts) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            // `a/**` matches what is inside `a`, not `a` itself.
            let least = usize::from(rest.is_empty());
            (least..=parts.len()).any(|skipped| path_matches(rest, &parts[skipped..]))
        }
        ([first, rest @ ..], [part, others @ ..]) => {
            let (pattern, text): (Vec<char>, Vec<char>) =
                (first.chars().collect(), part.chars().collect());
            component_matches(&pattern, &text) && path_matches(rest, others)
        }
        _ => false,
    }
}

/// Matches one component. Looks back only to the last `*`, so the time is bounded by the product of the lengths.
fn component_matches(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut position, mut star) = (0, 0, None);
    while position < text.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => set_matches(pattern, at, text[position]),
            Some('\\') if pattern.get(at + 1) == Some(&text[position]) => Some(at + 2),
            Some(c) if *c == text[position] => Some(at + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => {
                at = next;
                position += 1;
            }
            (None, Some((star_at, star_position))) => {
                at = star_at + 1;
                position = star_position + 1;
                star = Some((star_at, position));
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on after a set `[…]` at `at` that contains the character.
fn set_matches(pattern: &[char], at: usize, c: char) -> Option<usize> {
    let body = &pattern[at + 1..];
    let negated = matches!(body.first(), Some('!' | '^'));
    let members = &body[usize::from(negated)..];
    let close = members.iter().skip(1).position(|c| *c == ']').map(|position| position + 1)?;
    let (members, mut found, mut i) = (&members[..close], false, 0);
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == '-' {
            found |= members[i] <= c && c <= members[i + 2];
            i += 3;
        } else {
            found |= members[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(at + 1 + usize::from(negated) + close + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*.pyc", &["a.pyc", "x/a.pyc"], &["a.py", "pyc"]),
            ("/build", &["build"], &["x/build", "builds"]),
            ("docs/api", &["docs/api"], &["x/docs/api", "docs"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a"]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["z", "a/zz"]),
            ("*.py[cod]", &["a.pyc", "a.pyo"], &["a.pyx", "a.py"]),
            ("[!a-c]x", &["dx"], &["ax", "cx", "x"]),
            ("?", &["a", "x/ä"], &["ab"]),
            ("a*b*c", &["abc", "axxbyyc"], &["ab", "acb"]),
            ("\\#x", &["#x"], &["x"]),
            ("# comment", &[], &["# comment"]),
            ("[", &[], &["[", "a"]),
        ];
        for (pattern, good, bad) in cases {
            let mut ignore = Ignore::nothing();
            ignore.add(pattern);
            for path in *good {
                assert!(ignore.matches(path, false), "{pattern} ignores {path}");
            }
            for path in *bad {
                assert!(!ignore.matches(path, false), "{pattern} keeps {path}");
            }
        }
    }

    #[test]
    fn later_patterns_win_and_slash_means_directory() {
        let mut ignore = Ignore::nothing();
        for line in ["*.log", "!keep.log", "cache/"] {
            ignore.add(line);
        }
        assert!(ignore.matches("a.log", false) && !ignore.matches("x/keep.log", false));
        assert!(ignore.matches("x/cache", true) && !ignore.matches("x/cache", false));
    }

    proptest! {
        #[test]
        fn any_pattern_ends(line in "[a*?\\[\\]!/^-]{0,24}", path in "[ab/*\\[-]{1,24}") {
            let mut ignore = Ignore::nothing();
            ignore.add(&line);
            let _ = ignore.matches(&path, true);
        }
    }
}
