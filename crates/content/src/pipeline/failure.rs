//! What is left out, and what keeps its place all the same.
//!
//! A unit that could not be fetched is not gone from the source. So in mirror mode it is not removed: whatever the last
//! version has at its place stays there.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::Error;

/// Failures that are reported one by one; more are only counted.
const REPORTED_MAX: usize = 1_000;

/// With so many failures something else must be wrong.
const FAILURES_MAX: usize = 1_000_000;

/// Something that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What, as the source calls it.
    pub name: String,
    /// Why, in one line.
    pub reason: String,
    /// What stays in the repository because of it.
    pub place: Place,
}

/// Places in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// None.
    Nowhere,
    /// One path.
    Path(String),
    /// All below: `project` means `project/…`.
    Below(String),
}

impl Failure {
    /// A unit that would be at `path`.
    #[must_use]
    pub fn at(path: &str, reason: impl Into<String>) -> Self {
        Self { name: path.to_owned(), reason: reason.into(), place: Place::Path(path.to_owned()) }
    }

    /// Everything below `path`: what a page would have told of that was not read.
    #[must_use]
    pub fn below(path: &str, reason: impl Into<String>) -> Self {
        Self { name: path.to_owned(), reason: reason.into(), place: Place::Below(path.to_owned()) }
    }

    /// Something that never had a place.
    #[must_use]
    pub fn nowhere(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), reason: reason.into(), place: Place::Nowhere }
    }
}

/// What failed so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) reported: Vec<Failure>,
    pub(super) count: usize,
    kept: Kept,
}

/// Places that are kept, by a hash of 64 bits: a unit that stays by mistake once in aeons is better than a list of all
/// paths in memory.
#[derive(Debug, Default)]
struct Kept {
    paths: HashSet<u64>,
    below: HashSet<u64>,
}

impl Failures {
    pub(super) fn add(&mut self, failure: Failure) -> Result<(), Error> {
        self.count += 1;
        if self.count > FAILURES_MAX {
            return Err(Error::Failures { most: FAILURES_MAX });
        }
        self.keep(&failure.place);
        if self.reported.len() < REPORTED_MAX {
            self.reported.push(failure);
        }
        Ok(())
    }

    pub(super) fn keep(&mut self, place: &Place) {
        match place {
            Place::Nowhere => {}
            Place::Path(path) => drop(self.kept.paths.insert(hash(path))),
            Place::Below(path) => drop(self.kept.below.insert(hash(path))),
        }
    }

    /// Whether what is at that path stays.
    pub(super) fn keeps(&self, path: &str) -> bool {
        let is_below = |(end, _)| self.kept.below.contains(&hash(path.get(..end).unwrap_or(path)));
        self.kept.paths.contains(&hash(path))
            || (!self.kept.below.is_empty() && path.match_indices('/').any(is_below))
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_keeps_its_place() {
        let mut failures = Failures::default();
        failures.add(Failure::at("a/b", "")).unwrap();
        failures.add(Failure::below("c", "")).unwrap();
        failures.add(Failure::nowhere("d", "")).unwrap();
        for (path, kept) in [
            ("a/b", true),
            ("a", false),
            ("a/b/c", false),
            ("c/x", true),
            ("c/x/y", true),
            ("c", false),
            ("cc/x", false),
            ("x/c/y", false),
            ("d", false),
        ] {
            assert_eq!(failures.keeps(path), kept, "{path}");
        }
        assert_eq!((failures.count, failures.reported.len()), (3, 3));
    }
}
