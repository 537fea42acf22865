//! How far a relation is: which units of its ends are in it.

use tutti_model::api::Life;
use tutti_model::convergence::{self, Condition, Facts, Progress, Said};
use tutti_store::Tx;

use super::Relation;
use super::sql::Inside;
use crate::agents::Heard;
use crate::models::Model;
use crate::models::config::retry_hooks;
use crate::{Error, flows};

/// A relation is wished for when it is made, and wished away once.
pub(super) fn generation(relation: &Relation) -> i64 {
    if relation.life.0 == Life::Alive { 1 } else { 2 }
}

/// How far a relation is. Units enter and leave it by themselves, whether or not a flow waits for them.
pub(super) fn progress(
    tx: &mut Tx<'_>,
    model: &Model,
    relation: &Relation,
    units: &[Inside],
    heard: &Heard,
) -> Result<Progress, Error> {
    let mut facts = facts(relation, units, retry_hooks(model), heard);
    if facts.behind.is_some() {
        facts.work = flows::at_work(tx, model, &[format!("relation/{}", relation.number)])?;
    }
    Ok(convergence::progress(facts))
}

fn facts(relation: &Relation, units: &[Inside], retries: bool, heard: &Heard) -> Facts {
    let is_alive = relation.life.0 == Life::Alive;
    let count = Count::of(units);
    // One that goes itself need not enter any more.
    let is_waited_for =
        |unit: &&Inside| unit.in_scope != is_alive && (unit.is_expected() || !is_alive);
    let waited_for = units.iter().filter(is_waited_for);
    let stuck = waited_for.clone().find(|unit| !unit.trouble.is_empty());
    let message = match is_alive {
        true => format!("{} of {} units are in it", count.inside, count.expected),
        false => {
            format!("{} units are still in it", units.iter().filter(|one| one.in_scope).count())
        }
    };
    let is_behind = !is_alive || count.inside < count.expected;
    let since = waited_for.map(|unit| unit.agent_since).next().unwrap_or_default();
    // That it was made has arrived before it is wished away.
    let arrived = i64::from(!is_behind || !is_alive);
    Facts {
        generation: generation(relation),
        observed: arrived,
        applied: arrived,
        silent: silent(units, heard),
        stuck: stuck.filter(|_| is_behind).map(|unit| Said {
            message: format!("{}: {}", unit.name, unit.trouble),
            since: unit.agent_since,
        }),
        is_retried: retries || !is_alive,
        behind: is_behind.then_some(Said { message, since }),
        has_begun: !is_alive || count.inside > 0,
        ..Facts::default()
    }
}

/// Whether every unit that should be in a relation is.
pub(super) fn joined(relation: &Relation, units: &[Inside], heard: &Heard) -> Condition {
    let Count { inside, expected } = Count::of(units);
    convergence::joined(relation.life.0, inside, expected, silent(units, heard).as_ref())
}

fn silent(units: &[Inside], heard: &Heard) -> Option<Said> {
    units.iter().find_map(|unit| heard.silent(&unit.agent))
}

/// Units that should be in a relation, and those of them that are.
struct Count {
    inside: usize,
    expected: usize,
}

impl Count {
    fn of(units: &[Inside]) -> Self {
        let expected = units.iter().filter(|unit| unit.is_expected());
        Self {
            inside: expected.clone().filter(|unit| unit.in_scope).count(),
            expected: expected.count(),
        }
    }
}

impl Inside {
    fn is_expected(&self) -> bool {
        self.life.0 == Life::Alive
    }
}
