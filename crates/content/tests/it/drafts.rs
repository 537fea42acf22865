//! Drafts against a model of what they should do: random changes, some given up, some lost, some completed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tutti_content::repository::{self, Count, Draft, Member, Repository, version};
use tutti_content::{Error, unit};
use tutti_store::Store;

use crate::{addresses, open, stores};

/// Paths in play, and units of each.
const PATHS: usize = 5;
const UNITS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<(usize, usize)>),
    Remove(Vec<(usize, usize)>),
    Complete,
    Abandon,
    /// As after `kill -9`: nobody gives the draft up.
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let members = || prop::collection::vec((0..PATHS, 0..UNITS), 1..5);
    let step = prop_oneof![
        4 => members().prop_map(Step::Add),
        3 => members().prop_map(Step::Remove),
        2 => Just(Step::Complete),
        1 => Just(Step::Abandon),
        1 => Just(Step::Lose),
    ];
    prop::collection::vec(step, 1..30)
}

type Set = BTreeMap<usize, usize>;

/// What a draft is expected to hold.
struct Expected {
    before: Set,
    now: Set,
}

impl Expected {
    fn add(&mut self, (path, unit): (usize, usize)) {
        let is_of_draft =
            self.now.get(&path).is_some_and(|there| self.before.get(&path) != Some(there));
        if !is_of_draft {
            self.now.insert(path, unit);
        }
    }

    fn remove(&mut self, (path, unit): (usize, usize)) {
        if self.now.get(&path) == Some(&unit) {
            self.now.remove(&path);
        }
    }

    fn count(&self) -> Count {
        let only_in = |one: &Set, other: &Set| {
            one.iter().filter(|(path, unit)| other.get(path) != Some(unit)).count() as u64
        };
        Count {
            added: only_in(&self.now, &self.before),
            removed: only_in(&self.before, &self.now),
            present: self.now.len() as u64,
        }
    }
}

/// A repository with its units, under test.
struct Bench {
    store: Store,
    repository: i64,
    units: Vec<i64>,
}

impl Bench {
    async fn new(store: Store) -> Self {
        let name = uuid::Uuid::now_v7().to_string();
        let (repository, units) = store
            .write(move |tx| {
                let made = repository::ensure(tx, &name, "file", 1)?;
                let units: Vec<_> = (0..PATHS * UNITS)
                    .map(|n| unit::NewUnit {
                        content_type: "file".into(),
                        path: format!("path {}", n / UNITS),
                        identity: format!("{n}"),
                        metadata: "{}".into(),
                        files: Vec::new(),
                    })
                    .collect();
                let saved = unit::save(tx, &units, 1)?;
                Ok::<_, Error>((made.id, saved.into_iter().map(|saved| saved.id).collect()))
            })
            .await
            .unwrap();
        Self { store, repository, units }
    }

    fn member(&self, (path, unit): (usize, usize)) -> Member {
        let unit = self.units[path * UNITS + unit];
        Member { path: format!("path {path}"), unit, content_type: "file".into() }
    }

    async fn repository(&self) -> Repository {
        let id = self.repository;
        self.store.read(move |tx| repository::by_id(tx, id)).await.unwrap().unwrap()
    }

    async fn draft(&self) -> Draft {
        Draft::begin(&self.store, &self.repository().await, 1).await.unwrap()
    }

    async fn add(&self, draft: &Draft, members: &[(usize, usize)]) -> Result<(), Error> {
        let (draft, members) = (draft.clone(), self.members(members));
        self.store.write(move |tx| draft.add(tx, &members)).await.map(drop)
    }

    async fn remove(&self, draft: &Draft, members: &[(usize, usize)]) {
        let (draft, members) = (draft.clone(), self.members(members));
        self.store.write(move |tx| draft.remove(tx, &members)).await.unwrap();
    }

    fn members(&self, members: &[(usize, usize)]) -> Vec<Member> {
        members.iter().map(|member| self.member(*member)).collect()
    }

    /// What a version holds.
    async fn content(&self, number: i64) -> Set {
        let id = self.repository;
        let units =
            self.store.read(move |tx| version::content(tx, id, number, "", 1000)).await.unwrap();
        let of = |unit: &tutti_content::Unit| {
            let n = self.units.iter().position(|id| *id == unit.id).unwrap();
            (n / UNITS, n % UNITS)
        };
        units.iter().map(of).collect()
    }
}

async fn run(bench: &Bench, steps: &[Step]) {
    let mut versions: Vec<(i64, Set)> = vec![(0, Set::new())];
    let mut draft = bench.draft().await;
    let mut expected = Expected { before: Set::new(), now: Set::new() };
    for step in steps {
        match step {
            Step::Add(members) => {
                bench.add(&draft, members).await.unwrap();
                members.iter().for_each(|member| expected.add(*member));
                continue;
            }
            Step::Remove(members) => {
                let distinct: Set = members.iter().copied().collect();
                let members: Vec<_> = distinct.into_iter().collect();
                bench.remove(&draft, &members).await;
                members.iter().for_each(|member| expected.remove(*member));
                continue;
            }
            Step::Complete => {
                let done = draft.clone();
                let made = bench.store.write(move |tx| done.complete(tx, None, 2)).await.unwrap();
                let count = expected.count();
                assert_eq!(made.is_some(), count.added + count.removed > 0);
                if let Some(made) = made {
                    assert_eq!(made.counts.0["file"], count);
                    versions.push((made.number, expected.now.clone()));
                    expected.before = expected.now.clone();
                }
            }
            Step::Abandon => draft.clone().abandon(&bench.store).await.unwrap(),
            Step::Lose => {}
        }
        expected.now = expected.before.clone();
        let lost = std::mem::replace(&mut draft, bench.draft().await);
        let refused = bench.add(&lost, &[(0, 0)]).await;
        assert!(matches!(refused, Err(Error::DraftLost { .. })), "{refused:?}");
    }
    for (number, held) in &versions {
        assert_eq!(bench.content(*number).await, *held, "version {number}");
    }
    let newest = bench.repository().await.version;
    assert_eq!(newest, versions.last().unwrap().0);
}

#[test]
fn a_draft_does_what_it_is_told_and_versions_never_change() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    });
    let stores = runtime.block_on(stores());
    runner
        .run(&steps(), |steps| {
            runtime.block_on(async {
                for (store, _directory) in &stores {
                    run(&Bench::new(store.clone()).await, &steps).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_draft_says_which_paths_it_has_already() {
    for (url, _directory) in addresses() {
        let bench = Bench::new(open(&url, tutti_content::MIGRATIONS).await).await;
        let draft = bench.draft().await;
        let members = bench.members(&[(0, 0), (1, 0), (0, 1)]);
        let added = bench.store.write(move |tx| draft.add(tx, &members)).await.unwrap();
        assert_eq!(added.taken, ["path 0"]);
    }
}

#[tokio::test]
async fn a_unit_that_comes_back_can_be_replaced_at_once() {
    for (url, _directory) in addresses() {
        let bench = Bench::new(open(&url, tutti_content::MIGRATIONS).await).await;
        let steps = [
            Step::Add(vec![(0, 0)]),
            Step::Complete,
            Step::Remove(vec![(0, 0)]),
            Step::Add(vec![(0, 0), (0, 1)]),
            Step::Complete,
        ];
        run(&bench, &steps).await;
    }
}
