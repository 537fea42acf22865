//! Versions: made by hand, compared, deleted, kept.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tutti_content::distribution::{self, Wish};
use tutti_content::modify::{self, Modification, Removal};
use tutti_content::repository::{self, Count, difference, removal, version};
use tutti_content::{Error, Window, listing};

use crate::{Files, addresses, open};

/// Paths and what is at each.
type Set = BTreeMap<String, i64>;

impl Files {
    /// What a version holds.
    async fn held(&self, number: i64) -> Set {
        let id = self.repository;
        let held = self.read(move |tx| version::content(tx, id, number, "", 1000)).await;
        held.into_iter().map(|unit| (unit.path, unit.id)).collect()
    }

    async fn numbers(&self) -> Vec<i64> {
        let id = self.repository;
        let list = self.read(move |tx| version::list(tx, id)).await;
        list.into_iter().map(|version| version.number).collect()
    }

    async fn counts(&self, number: i64) -> Count {
        let id = self.repository;
        let list = self.read(move |tx| version::list(tx, id)).await;
        let version = list.into_iter().find(|version| version.number == number).unwrap();
        version.counts.0.get("file").copied().unwrap_or_default()
    }

    async fn distribute(&self, name: &'static str, version: Option<i64>) {
        let wish = Wish {
            name: name.into(),
            base_path: name.into(),
            repository: Some(self.repository),
            version,
            ..Wish::default()
        };
        self.write(move |tx| distribution::create(tx, "file", &wish, 1)).await.unwrap();
    }
}

fn only_in(one: &Set, other: &Set) -> BTreeSet<(String, i64)> {
    let differs = |(path, unit): &(&String, &i64)| other.get(*path) != Some(*unit);
    one.iter().filter(differs).map(|(path, unit)| (path.clone(), *unit)).collect()
}

#[tokio::test]
async fn a_version_is_made_from_an_older_one() {
    for files in Files::all().await {
        let (first, second) = (
            files.add(&[("a", "1"), ("b", "1")]).await,
            files.add(&[("a", "2"), ("c", "1")]).await,
        );
        let more = files.units(&[("d", "1")], 2).await;
        let modification = Modification {
            add: more.clone(),
            remove: Removal::Units(Vec::new()),
            base: Some(first),
            overwrite: true,
        };
        let made =
            modify::modify(&files.store, files.repository, modification, 3).await.unwrap().unwrap();
        assert_eq!((made.number, made.base), (3, Some(first)));
        let mut expected = files.held(first).await;
        expected.insert("d".into(), more[0]);
        assert_eq!(files.held(3).await, expected);
        assert_eq!(files.counts(3).await, Count { added: 2, removed: 2, present: 3 });
        let emptied = files.modify(&more, Removal::All).await.unwrap().unwrap();
        assert_eq!(files.held(emptied.number).await, BTreeMap::from([("d".into(), more[0])]));
        assert!(files.modify(&more, Removal::All).await.unwrap().is_none());
        assert_eq!(files.held(second).await.len(), 3);
    }
}

#[tokio::test]
async fn a_modification_that_is_refused_changes_nothing() {
    for files in Files::all().await {
        files.add(&[("a", "1")]).await;
        let other = files.units(&[("a", "2")], 2).await;
        let keeping = Modification {
            add: other.clone(),
            remove: Removal::Units(Vec::new()),
            base: None,
            overwrite: false,
        };
        let refused = modify::modify(&files.store, files.repository, keeping, 3).await;
        assert!(matches!(refused, Err(Error::Occupied { path }) if path == "a"));
        let unknown = files.modify(&[other[0], 4711], Removal::All).await;
        assert!(matches!(unknown, Err(Error::Missing { what: "unit", id: 4711 })));
        let two = files.units(&[("b", "1"), ("b", "2")], 2).await;
        let twice = files.modify(&two, Removal::All).await;
        assert!(matches!(twice, Err(Error::Occupied { .. })));
        assert_eq!(files.numbers().await, [0, 1]);
        assert_eq!(files.held(1).await.len(), 1);
        assert_eq!(files.add(&[("a", "2")]).await, 2);
    }
}

#[tokio::test]
async fn what_is_served_is_protected() {
    for files in Files::all().await {
        for bytes in ["1", "2", "3"] {
            files.add(&[("a", bytes)]).await;
        }
        files.distribute("one", Some(1)).await;
        files.distribute("newest", None).await;
        for (number, is_protected) in [(1, true), (2, false), (3, true)] {
            let deleted = removal::delete(&files.store, files.repository, number).await;
            assert_eq!(
                matches!(deleted, Err(Error::Protected { .. })),
                is_protected,
                "{number}: {deleted:?}"
            );
        }
        let id = files.repository;
        let change = files.write(move |tx| {
            let found = repository::by_id(tx, id)?.unwrap();
            repository::change(
                tx,
                id,
                &repository::Wish { retain: Some(1), ..repository::Wish::of(&found) },
                4,
            )
        });
        change.await.unwrap();
        assert_eq!(removal::retain(&files.store, id).await.unwrap(), [0]);
        assert_eq!(files.numbers().await, [1, 3]);
        assert_eq!(files.counts(3).await, Count { added: 1, removed: 1, present: 1 });
    }
}

#[tokio::test]
async fn the_last_version_stays() {
    for files in Files::all().await {
        let deleted = removal::delete(&files.store, files.repository, 0).await;
        assert!(matches!(deleted, Err(Error::OnlyVersion { .. })));
        files.add(&[("a", "1")]).await;
        removal::delete(&files.store, files.repository, 1).await.unwrap();
        let again = removal::delete(&files.store, files.repository, 1).await;
        assert!(again.is_ok(), "{again:?}");
        // Its number is not given again.
        assert_eq!(files.add(&[("b", "1")]).await, 2);
        assert_eq!(files.held(2).await.len(), 1);
    }
}

#[tokio::test]
async fn lists_of_content() {
    for files in Files::all().await {
        let units = files.units(&[("a", "1"), ("b", "2"), ("c", "3")], 2).await;
        files.modify(&units[..2], Removal::All).await.unwrap();
        files.modify(&units[1..], Removal::All).await.unwrap();
        let id = files.repository;
        let list = async |of: fn(repository::Repository, i64) -> listing::Of,
                          number,
                          path: Option<&str>| {
            let path = path.map(str::to_owned);
            let page = files.read(move |tx| {
                let found = repository::by_id(tx, id)?.unwrap();
                let content_types = vec!["file".to_owned()];
                let filter = listing::Filter {
                    content_types,
                    of: of(found, number),
                    path,
                    ..listing::Filter::default()
                };
                listing::content(tx, &filter, Window { limit: 1, offset: 0 })
            });
            let page = page.await;
            (page.count, page.rows.into_iter().map(|unit| unit.id).collect::<Vec<_>>())
        };
        assert_eq!(list(listing::Of::Present, 1, None).await, (2, vec![units[0]]));
        assert_eq!(list(listing::Of::Present, 2, None).await, (2, vec![units[1]]));
        assert_eq!(list(listing::Of::Present, 2, Some("c")).await, (1, vec![units[2]]));
        assert_eq!(list(listing::Of::Present, 2, Some("a")).await, (0, vec![]));
        assert_eq!(list(listing::Of::Added, 2, None).await, (1, vec![units[2]]));
        assert_eq!(list(listing::Of::Removed, 2, None).await, (1, vec![units[0]]));
        let beyond = files.read(move |tx| {
            let filter = listing::Filter {
                content_types: vec!["file".into()],
                ..listing::Filter::default()
            };
            listing::content(tx, &filter, Window { limit: 5, offset: 50 })
        });
        let beyond = beyond.await;
        assert_eq!((beyond.count, beyond.rows.len()), (3, 0));
    }
}

/// What is done to a repository of four paths with three units each.
#[derive(Clone, Debug)]
enum Step {
    /// The next version: for some paths the unit that is to be there, if any.
    Make(Vec<(usize, Option<usize>)>),
    /// Deletes one of the versions there are.
    Delete(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wanted = prop::collection::vec((0..4_usize, prop::option::of(0..3_usize)), 1..4);
    let step = prop_oneof![
        3 => wanted.prop_map(Step::Make),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..15)
}

async fn run(files: &Files, steps: &[Step]) {
    let names = ["a", "a/b", "a-c", "d"];
    let contents = ["1", "2", "3"];
    let all: Vec<(&str, &str)> =
        names.iter().flat_map(|name| contents.iter().map(|text| (*name, *text))).collect();
    let units = files.units(&all, 2).await;
    let mut expected: BTreeMap<i64, Set> = BTreeMap::from([(0, Set::new())]);
    for step in steps {
        match step {
            Step::Make(wanted) => {
                let newest = expected.values().next_back().cloned().unwrap();
                let mut next = newest.clone();
                for (path, unit) in wanted {
                    match unit {
                        Some(unit) => next.insert(names[*path].into(), units[path * 3 + unit]),
                        None => next.remove(names[*path]),
                    };
                }
                let (gone, new) = (only_in(&newest, &next), only_in(&next, &newest));
                let ids = |set: &BTreeSet<(String, i64)>| {
                    set.iter().map(|(_, id)| *id).collect::<Vec<_>>()
                };
                let made = files.modify(&ids(&new), Removal::Units(ids(&gone))).await.unwrap();
                assert_eq!(made.is_some(), next != newest);
                if let Some(made) = made {
                    expected.insert(made.number, next);
                }
            }
            Step::Delete(index) => {
                let number = *index.get(&expected.keys().copied().collect::<Vec<_>>());
                let deleted = removal::delete(&files.store, files.repository, number).await;
                assert_eq!(deleted.is_ok(), expected.len() > 1, "{deleted:?}");
                if expected.len() > 1 {
                    expected.remove(&number);
                }
            }
        }
        check(files, &expected).await;
    }
}

/// Every version holds what it should, counts what it should, and differs from every other one as it should.
async fn check(files: &Files, expected: &BTreeMap<i64, Set>) {
    assert_eq!(files.numbers().await, expected.keys().copied().collect::<Vec<_>>());
    let mut before = Set::new();
    for (number, set) in expected {
        assert_eq!(&files.held(*number).await, set, "version {number}");
        let count = Count {
            added: only_in(set, &before).len() as u64,
            removed: only_in(&before, set).len() as u64,
            present: set.len() as u64,
        };
        assert_eq!(files.counts(*number).await, count, "version {number}");
        before.clone_from(set);
    }
    let id = files.repository;
    for (from, one) in expected {
        for (to, other) in expected {
            let bounds = (*from, *to);
            let (changes, counts) = files
                .read(move |tx| {
                    let counts = difference::counts(tx, id, bounds)?;
                    Ok((difference::difference(tx, id, bounds, ("", 0), 100)?, counts))
                })
                .await;
            let (added, removed): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|change| change.is_added);
            let set = |changes: Vec<difference::Change>| {
                changes
                    .into_iter()
                    .map(|change| (change.path, change.unit))
                    .collect::<BTreeSet<_>>()
            };
            let count = counts.get("file").copied().unwrap_or_default();
            assert_eq!((count.added, count.removed), (added.len() as u64, removed.len() as u64));
            assert_eq!(set(added), only_in(other, one), "{from} to {to}");
            assert_eq!(set(removed), only_in(one, other), "{from} to {to}");
        }
    }
}

#[test]
fn versions_stay_what_they_are_whatever_others_go() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (url, database) in addresses() {
        let store = runtime.block_on(open(&url, tutti_content::MIGRATIONS));
        let directory = tempfile::tempdir().unwrap();
        let artifacts = tutti_content::Artifacts::open(directory.path()).unwrap();
        let mut files = Files { store, artifacts, repository: 0, directory, _database: database };
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(25));
        let mut number = 0;
        let cases: Vec<Vec<Step>> =
            (0..25).map(|_| steps().new_tree(&mut runner).unwrap().current()).collect();
        for case in cases {
            number += 1;
            let name: &'static str = format!("files {number}").leak();
            files.repository = runtime.block_on(Files::repository(&files.store, name));
            println!("{case:?}");
            runtime.block_on(run(&files, &case));
        }
        runtime.block_on(files.store.close());
    }
}
