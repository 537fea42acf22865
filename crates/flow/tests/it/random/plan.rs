//! Flows made of shapes, as a careful caller would make them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_flow::{
    Access, Backoff, Child, Condition, Controller, Depth, Each, Fate as Tie, NewFlow, NewTask,
    Retry, Timeouts, Wait, When, Work,
};
use uuid::Uuid;

use super::shape::{Fate, Guard, Shape, Task, Undo, What};

/// What comes while flows wait for it, or after that.
pub(super) const LATE: usize = 3;

/// What has come before all cases.
pub(super) const COME: &str = "come";

/// The handler that every worker has, one in a transaction, one that a single worker has, and one that none has.
pub(super) const WATCHED: &str = "watched";
pub(super) const TX: &str = "tx";
pub(super) const RARE: &str = "rare";
const UNKNOWN: &str = "unknown";

/// The label that a single worker has.
pub(super) const LABEL: &str = "gpu";

/// What a handler is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) case: u64,
    /// Flows that share resources: a flow and those that run under what it holds.
    pub(super) family: usize,
    /// The position in the plan; for an item, that of its list.
    pub(super) at: usize,
    pub(super) resources: BTreeMap<u8, bool>,
    pub(super) fate: Fate,
    pub(super) undo: Undo,
}

/// Makes the flows of a case.
pub(super) struct Planner {
    case: u64,
    /// Of flows that other flows submit and do not wait for.
    families: usize,
}

/// Where a task is.
#[derive(Clone, Copy)]
struct Site<'a> {
    family: usize,
    resources: &'a BTreeMap<u8, bool>,
}

/// The key of what comes late.
pub(super) fn late(case: u64, at: usize) -> String {
    format!("{case}/late/{}", at % LATE)
}

impl Planner {
    /// Families with a number of `flows` or more are those of flows that somebody else submits.
    pub(super) fn new(case: u64, flows: usize) -> Self {
        Self { case, families: flows }
    }

    pub(super) fn flow(&mut self, shape: &Shape, family: usize) -> NewFlow {
        let site = Site { family, resources: &shape.resources };
        NewFlow {
            id: Uuid::now_v7(),
            converge: shape.converge,
            priority: shape.priority,
            ..self.body(&shape.tasks, site)
        }
    }

    fn body(&mut self, tasks: &[Task], site: Site<'_>) -> NewFlow {
        let resources = site.resources.iter().map(|(name, exclusive)| {
            let access = if *exclusive { Access::Exclusive } else { Access::Shared };
            (format!("{}/r{name}", self.case), access)
        });
        NewFlow {
            kind: "random".into(),
            title: format!("be a flow of case {}", self.case),
            model: Some(format!("case-{}", self.case)),
            resources: resources.collect(),
            tasks: self.tasks(tasks, site),
            ..NewFlow::default()
        }
    }

    fn tasks(&mut self, tasks: &[Task], site: Site<'_>) -> Vec<NewTask> {
        let mut made: Vec<NewTask> = Vec::new();
        // Those that may still get something to guard.
        let mut guards: Vec<usize> = Vec::new();
        for (at, task) in tasks.iter().enumerate() {
            let guard = match task.guard {
                Guard::None => None,
                Guard::Innermost => guards.last().copied(),
                Guard::Outermost => guards.first().copied(),
            };
            let (needs, relied_on) = needs(&made, at, task.needs, guard);
            let new = NewTask {
                when: asks(task, at, &needs).into_iter().collect(),
                needs: needs.into_iter().collect(),
                guard,
                ..self.task(task, at, site)
            };
            if matches!(new.work, Work::Retry(_)) {
                guards.push(at);
            }
            made.push(new);
            guards.retain(|guard| {
                !own(&made, Some(*guard)).iter().any(|one| relied_on.contains(one))
            });
        }
        made
    }

    fn task(&mut self, task: &Task, at: usize, site: Site<'_>) -> NewTask {
        let Task { fate, undo, .. } = *task;
        let Site { family, resources } = site;
        let input = Input { case: self.case, family, at, resources: resources.clone(), fate, undo };
        let retry = Retry::times(if fate == Fate::FailAlways { 2 } else { 10 });
        let retry = if task.reverts { retry.or_revert() } else { retry };
        let name = match task.what {
            What::Tx | What::LabelledTx => TX,
            What::Rare => RARE,
            What::Unknown => UNKNOWN,
            _ => WATCHED,
        };
        let given = match task.what {
            What::List(items) => json!({ "items": (0..items).collect::<Vec<_>>() }),
            What::Controller(_) => json!({ "values": [1, 2] }),
            _ => json!(input),
        };
        let labels = match task.what {
            What::Labelled | What::LabelledTx => vec![LABEL.into()],
            _ => Vec::new(),
        };
        let work = self.work(&task.what, at, site, &json!(input), retry);
        NewTask { name: name.into(), input: given, work, retry, labels, ..NewTask::default() }
    }

    fn work(
        &mut self,
        what: &What,
        at: usize,
        site: Site<'_>,
        input: &Value,
        retry: Retry,
    ) -> Work {
        let wait = |key: String| Work::Wait(Wait { key, at_least: 1 });
        match what {
            What::Run
            | What::Tx
            | What::Labelled
            | What::LabelledTx
            | What::Rare
            | What::Unknown => Work::Run,
            What::Gate => Work::Gate,
            What::Come => wait(COME.into()),
            What::Late => wait(late(self.case, at)),
            What::Sleep => Work::Sleep(Duration::from_secs(5)),
            What::List(_) => Work::Each(Box::new(Each {
                name: WATCHED.into(),
                input: input.clone(),
                item: "item".into(),
                retry,
                timeouts: Timeouts::default(),
                labels: Vec::new(),
            })),
            What::Controller(kind) => Work::Retry(controller(*kind)),
            What::Flow(tie, about, tasks) => {
                let none = BTreeMap::new();
                let resources = if *about { site.resources } else { &none };
                let family = match tie {
                    Tie::Joined => site.family,
                    _ => {
                        self.families += 1;
                        self.families - 1
                    }
                };
                let flow = self.body(tasks, Site { family, resources });
                Work::Flow(Box::new(Child { flow, fate: *tie }))
            }
        }
    }
}

fn controller(kind: u8) -> Controller {
    let backoff = |pause| Backoff::constant(Duration::from_secs(pause));
    let times = |pause| Controller::Times { attempts_max: 2, backoff: backoff(pause) };
    match kind {
        0 => Controller::AlwaysRevert,
        1 => Controller::AlwaysRevertAll,
        2 => Controller::ForEach { values: vec![json!("a"), json!("b")] },
        3 => Controller::ParameterizedForEach,
        4 => times(1),
        _ => times(0),
    }
}

/// A condition on what the first of those it needs answers.
fn asks(task: &Task, at: usize, needs: &BTreeSet<usize>) -> Option<When> {
    let asked = needs.first().copied().filter(|_| task.asks)?;
    let is = Condition::At("/yes".into(), Box::new(Condition::True));
    let depth = [Depth::Atom, Depth::Neighbors, Depth::Flow, Depth::All][at % 4];
    Some(When { task: asked, is, depth })
}

/// What a task needs, and the controllers of which it needs all guarded tasks. As patterns do it: who relies on a part of what
/// a controller guards relies on all of it, and nothing guarded begins before its controller.
fn needs(
    made: &[NewTask],
    at: usize,
    bits: u8,
    guard: Option<usize>,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let mut needs: BTreeSet<usize> = (0..at).filter(|need| bits >> need & 1 == 1).collect();
    let outer = own(made, guard);
    let relied_on: BTreeSet<usize> = needs
        .iter()
        .flat_map(|need| own(made, Some(*need)))
        .filter(|guard| !outer.contains(guard))
        .collect();
    let inside = |other: &usize| own(made, Some(*other)).iter().any(|one| relied_on.contains(one));
    needs.extend((0..at).filter(inside));
    needs.extend(guard);
    (needs, relied_on)
}

/// A task, if it is a controller, and the controllers that guard it.
fn own(made: &[NewTask], task: Option<usize>) -> Vec<usize> {
    let all = std::iter::successors(task, |number| made[*number].guard);
    all.filter(|number| matches!(made[*number].work, Work::Retry(_))).collect()
}
