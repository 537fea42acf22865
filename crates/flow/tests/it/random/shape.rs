//! What random flows look like.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{Access, Controller, NewFlow, NewTask, Retry, Task as _, Wait, Work};

use crate::world::flow;

use super::watch::Watched;

/// What comes while flows wait for it, or after that.
pub(super) const LATE: [&str; 3] = ["late/0", "late/1", "late/2"];

/// What comes of a task.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Fate {
    Succeed,
    FailOnce,
    FailForGood,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Resources and whether exclusively.
    resources: BTreeMap<u8, bool>,
    /// Whether a controller guards all of it.
    guarded: bool,
    pub(super) tasks: Vec<Task>,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) fate: Fate,
    /// Bits of the tasks before it that it needs.
    needs: u8,
    reverts: bool,
    kind: u8,
}

/// What a handler is given.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) fate: Fate,
    pub(super) order: usize,
    pub(super) number: usize,
    pub(super) resources: BTreeMap<u8, bool>,
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let fate = prop_oneof![
        8 => Just(Fate::Succeed),
        1 => Just(Fate::FailOnce),
        1 => Just(Fate::FailForGood),
    ];
    let task = (fate, any::<u8>(), any::<bool>(), 0..18_u8)
        .prop_map(|(fate, needs, reverts, kind)| Task { fate, needs, reverts, kind });
    (
        prop::collection::btree_map(0..5_u8, any::<bool>(), 0..4),
        prop::bool::weighted(0.2),
        prop::collection::vec(task, 0..6),
    )
        .prop_map(|(resources, guarded, tasks)| Shape { resources, guarded, tasks })
}

impl Task {
    fn work(&self, at: usize) -> Work {
        let wait = |key: &str| Work::Wait(Wait { key: key.into(), at_least: 1 });
        match self.kind {
            0 => Work::Gate,
            1 => wait("come"),
            2 | 3 => wait(LATE[at % LATE.len()]),
            4 => Work::Sleep(Duration::from_secs(5)),
            _ => Work::Run,
        }
    }

    /// Whether a handler runs it.
    pub(super) fn is_run(&self) -> bool {
        self.work(0) == Work::Run
    }
}

impl Shape {
    /// The position of the first task in the flow: a controller may come before it.
    pub(super) fn first(&self) -> usize {
        usize::from(self.guarded)
    }

    /// Positions among the tasks of those the task at `at` needs.
    pub(super) fn needs(&self, at: usize) -> impl Iterator<Item = usize> {
        let needs = self.tasks[at].needs;
        (0..at).filter(move |need| needs >> need & 1 == 1)
    }

    /// The flow, which was submitted as the `order`th.
    pub(super) fn flow(&self, order: usize) -> NewFlow {
        let resources = self.resources.iter().map(|(name, exclusive)| {
            let access = if *exclusive { Access::Exclusive } else { Access::Shared };
            (format!("r{name}"), access)
        });
        let first = self.first();
        let controller = self.guarded.then(|| NewTask {
            name: "controller".into(),
            work: Work::Retry(Controller::times(2)),
            ..NewTask::default()
        });
        let tasks = self.tasks.iter().enumerate().map(|(at, task)| {
            let (fate, number) = (task.fate, first + at);
            let resources = self.resources.clone();
            let retry = Retry::times(3);
            NewTask {
                name: Watched::NAME.into(),
                input: json!(Input { fate, order, number, resources }),
                work: task.work(at),
                needs: self.needs(at).map(|need| need + first).chain((0..first).take(1)).collect(),
                guard: self.guarded.then_some(0),
                retry: if task.reverts { retry.or_revert() } else { retry },
                ..NewTask::default()
            }
        });
        let tasks = controller.into_iter().chain(tasks).collect();
        NewFlow { resources: resources.collect(), tasks, ..flow(&[], vec![]) }
    }
}
