//! `cargo xtask tidy`: rules of style that no compiler checks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell::{cargo, output, root, say};

/// Longest file, tests included.
const FILE_LINES_MAX: usize = 600;
/// Longest line of prose or code.
const LINE_CHARACTERS_MAX: usize = 140;

/// Words that name nothing, and what is asked for instead.
const MODULE_NAMES_BANNED: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "common", "misc", "types"];

/// Marks that do not belong in what is kept.
const MARKS_BANNED: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"];

/// Licences a dependency may have; an expression passes if one of its choices is made of these.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Finds every breach and reports them together.
pub(crate) fn run() -> Result<()> {
    say("tidiness");
    let mut breaches = Vec::new();
    for path in tracked_files()? {
        if path.is_file() {
            check_file(&path, &mut breaches)?;
        }
    }
    check_licences(&mut breaches)?;
    for breach in &breaches {
        println!("{breach}");
    }
    match breaches.len() {
        0 => Ok(()),
        count => bail!("{count} breaches of style"),
    }
}

fn tracked_files() -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("git").args(["ls-files"]).current_dir(root()))?;
    Ok(listed.lines().map(|line| root().join(line)).collect())
}

fn check_file(path: &Path, breaches: &mut Vec<String>) -> Result<()> {
    let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let is_text = is_rust
        || path.extension().is_some_and(|extension| {
            ["md", "toml", "py", "sql", "sh", "yaml"].iter().any(|known| extension == *known)
        });
    if !is_text {
        return Ok(());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.ends_with([' ', '\t']) {
            breaches.push(format!("{name}:{number}: trailing space"));
        }
        let code = is_rust && !name.ends_with("tidy.rs");
        // A row of a table cannot be broken.
        let is_row = line.trim_start().starts_with("//! |");
        if code && !is_row && line.chars().count() > LINE_CHARACTERS_MAX {
            breaches.push(format!("{name}:{number}: longer than {LINE_CHARACTERS_MAX} characters"));
        }
        if let Some(mark) = MARKS_BANNED.iter().find(|mark| code && line.contains(**mark)) {
            breaches.push(format!("{name}:{number}: {mark} is a debt; pay it or file it"));
        }
    }
    if is_rust {
        check_rust(path, &name, &text, breaches);
    }
    Ok(())
}

fn check_rust(path: &Path, name: &str, text: &str, breaches: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        breaches
            .push(format!("{name}: {lines} lines; split it by subject ({FILE_LINES_MAX} at most)"));
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if MODULE_NAMES_BANNED.contains(&stem.as_str()) {
        breaches.push(format!("{name}: a module named {stem} says nothing; name its subject"));
    }
    let is_test = name.contains("/tests") || stem == "tests";
    let starts_with_prose = text.starts_with("//!") || text.starts_with("#![doc");
    if !is_test && !starts_with_prose {
        breaches.push(format!("{name}: begin with //! and say what the file is about"));
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
}

fn check_licences(breaches: &mut Vec<String>) -> Result<()> {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read cargo's metadata")?;
    let mut refused = BTreeSet::new();
    for package in metadata.packages {
        let licence = package.license.unwrap_or_default();
        if !allowed(&licence) {
            refused.insert(format!("{}: licence {licence:?} is not in the list", package.name));
        }
    }
    breaches.extend(refused);
    Ok(())
}

/// Whether an SPDX expression can be satisfied by the allowed licences. Good for the flat
/// expressions crates use: choices of conjunctions, with parentheses taken as grouping choices.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    conjunctions(&expression).iter().all(|group| {
        group.split(" OR ").any(|licence| {
            let licence = licence.trim_matches(['(', ')', ' ']);
            let licence = licence.split(" WITH ").next().unwrap_or_default();
            LICENCES.contains(&licence)
        })
    })
}

/// Splits at the `AND`s outside parentheses; `A OR B AND C` reads as `(A OR B) AND C`, which asks
/// for more, never for less.
fn conjunctions(expression: &str) -> Vec<String> {
    let mut depth = 0;
    let mut groups = vec![String::new()];
    for word in expression.split(' ') {
        depth += word.matches('(').count();
        let is_and = word == "AND" && depth == 0;
        depth = depth.saturating_sub(word.matches(')').count());
        match groups.last_mut() {
            Some(group) if !is_and => {
                group.push_str(word);
                group.push(' ');
            }
            _ => groups.push(String::new()),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_judged() {
        let fine = [
            "MIT",
            "MIT OR Apache-2.0",
            "Unlicense OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "ISC AND (Apache-2.0 OR ISC)",
            "MIT/Apache-2.0",
        ];
        for expression in fine {
            assert!(allowed(expression), "{expression}");
        }
        for expression in ["", "GPL-3.0", "AGPL-3.0 AND MIT", "(MIT OR ISC) AND OpenSSL"] {
            assert!(!allowed(expression), "{expression}");
        }
    }
}
