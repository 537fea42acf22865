//! Random flows over random resources with workers that are killed, and people who cancel, suspend, retry, revert, skip and give
//! up: whatever happens, order, exclusion, undoing backwards, and an end for all.
//!
//! Many small cases share one database and its workers; each has resources of its own. A case is made of a seed. What goes wrong
//! is tried again with less and less in it, and told with its seed; the seed makes the same case, but what its workers do when,
//! and who is killed meanwhile, is the machine's.
//!
//! | variable | meaning |
//! |---|---|
//! | `TUTTI_FLOW_CASES` | how many cases there shall be |
//! | `TUTTI_FLOW_MINUTES` | how long there shall be more of them, instead |
//! | `TUTTI_FLOW_SEED` | all cases are made of this seed |

mod case;
mod check;
mod handlers;
mod house;
mod plan;
mod shape;
mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use proptest::{
    strategy::{Strategy as _, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio::task::JoinError;

use crate::world::{PATIENCE, Place};

use house::House;
use shape::Case;

/// Cases under way at a time.
const CASES_AT_ONCE: usize = 48;

/// How often a smaller case is tried before it counts as one that goes well.
const TRIES: u64 = 16;

/// How long a smaller case may take, and looking for one.
const PATIENCE_AGAIN: Duration = Duration::from_secs(10);
const SHRINKING: Duration = Duration::from_secs(90);

/// Cases of one run of the tests; `cargo xtask random` makes as many as there is time for.
const CASES_SQLITE: u64 = 10_000;
const CASES_POSTGRES: u64 = 1_000;

/// Seeds of two runs are far apart.
const SEEDS: u64 = 1_000_000_000;

type Tree = Box<dyn ValueTree<Value = Case>>;

fn tree(seed: u64) -> Tree {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    Box::new(shape::case().new_tree(&mut runner).unwrap())
}

async fn run(
    house: &Arc<House>,
    number: u64,
    case: Case,
    patience: Duration,
) -> Result<(), JoinError> {
    tokio::spawn(case::run(Arc::clone(house), number, case, patience)).await
}

/// The smallest case found that goes wrong too.
async fn shrunk(house: &Arc<House>, seed: u64, numbers: &mut u64) -> Case {
    let mut tree = tree(seed);
    let mut smallest = tree.current();
    let end = Instant::now() + SHRINKING;
    let mut smaller = tree.simplify();
    while smaller && Instant::now() < end {
        let case = tree.current();
        let first = *numbers;
        *numbers += TRIES;
        let tries =
            (first..*numbers).map(|number| run(house, number, case.clone(), PATIENCE_AGAIN));
        let fails = stream::iter(tries)
            .buffer_unordered(CASES_AT_ONCE)
            .any(|run| async move { run.is_err() })
            .await;
        smaller = if fails {
            smallest = case;
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    smallest
}

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

async fn check(place: Place, cases: u64) {
    let minutes = asked("TUTTI_FLOW_MINUTES");
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let cases = if end.is_some() { u64::MAX } else { asked("TUTTI_FLOW_CASES").unwrap_or(cases) };
    let only = asked("TUTTI_FLOW_SEED");
    let first = u64::from(crate::world::now().unsigned_abs() as u32) * SEEDS;
    let (house, began) = (House::open(place).await, Instant::now());
    let numbers = (0..cases).take_while(|_| end.is_none_or(|end| Instant::now() < end));
    let runs = numbers.map(|number| {
        let seed = only.unwrap_or(first + number);
        let house = &house;
        async move {
            let case = tree(seed).current();
            (number, seed, run(house, number, case, PATIENCE).await)
        }
    });
    let mut runs = stream::iter(runs).buffer_unordered(CASES_AT_ONCE);
    let mut done = 0;
    while let Some((number, seed, result)) = runs.next().await {
        done += 1;
        if let Err(error) = result {
            drop(runs);
            eprintln!("case {number} of the seed {seed} goes wrong: {error}");
            eprintln!("{:#?}", tree(seed).current());
            eprintln!("TUTTI_FLOW_SEED={seed} makes it again; looking for a smaller one");
            let smallest = shrunk(&house, seed, &mut (u64::MAX / 2)).await;
            panic!("seed {seed}, as small as found: {smallest:#?}");
        }
    }
    drop(runs);
    let kills = house.kills();
    house.close().await;
    println!("{done} cases, {kills} workers killed, {:?}", began.elapsed());
}

fn run_all(place: Option<Place>, cases: u64) {
    let Some(place) = place else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(check(place, cases));
}

#[test]
fn random_flows_on_sqlite() {
    run_all(Some(Place::sqlite()), CASES_SQLITE);
}

#[test]
fn random_flows_on_postgres() {
    run_all(Place::postgres(), CASES_POSTGRES);
}
