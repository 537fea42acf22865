//! Random flows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{
    Access, Backoff, Child, Controller, Fate, NewFlow, NewTask, Retry, Wait, Work, task_id,
};
use uuid::Uuid;

/// Resources all flows share.
const RESOURCES: u64 = 24;

/// Random numbers (xorshift64*), good enough for shapes.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(Uuid::now_v7().as_u128() as u64 | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

/// What a task shall do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) millis: u64,
    /// Fails in its first attempt.
    pub(crate) fails_first: bool,
    pub(crate) fails_for_good: bool,
    /// Undoing it fails in the first attempt.
    pub(crate) revert_fails_first: bool,
}

pub(crate) fn flow(random: &mut Random) -> NewFlow {
    let mut flow = plain(random);
    if random.one_in(8) {
        let child = Child { flow: plain(random), fate: Fate::Joined };
        flow.tasks.push(NewTask {
            name: "child".into(),
            work: Work::Flow(Box::new(child)),
            ..NewTask::default()
        });
    }
    let first = random.below(RESOURCES);
    for at in 0..random.below(4) {
        let access = if random.one_in(3) { Access::Shared } else { Access::Exclusive };
        flow.resources.push((format!("r{}", (first + at * 3) % RESOURCES), access));
    }
    flow
}

fn plain(random: &mut Random) -> NewFlow {
    let id = Uuid::now_v7();
    let mut tasks: Vec<NewTask> = Vec::new();
    let guarded = random.one_in(5);
    if guarded {
        let controller = Controller::Times {
            attempts_max: 2,
            backoff: Backoff::constant(Duration::from_millis(20)),
        };
        tasks.push(NewTask {
            name: "controller".into(),
            work: Work::Retry(controller),
            ..NewTask::default()
        });
    }
    for _ in 0..1 + random.below(6) {
        let at = tasks.len();
        let least = u64::from(guarded);
        let mut needs: Vec<usize> = (least as usize..at).filter(|_| random.one_in(2)).collect();
        if guarded {
            needs.insert(0, 0);
        }
        let guard = guarded.then_some(0);
        tasks.push(NewTask { needs, guard, ..task(random, task_id(id, at)) });
    }
    NewFlow { id, kind: "chaos".into(), title: "random".into(), tasks, ..NewFlow::default() }
}

fn task(random: &mut Random, id: Uuid) -> NewTask {
    let work = match random.below(20) {
        0 => Work::Sleep(Duration::from_millis(random.below(300))),
        1 => Work::Wait(Wait { key: id.to_string(), at_least: 1 }),
        2 => Work::Gate,
        _ => Work::Run,
    };
    let input = Input {
        millis: random.below(30),
        fails_first: random.one_in(12),
        fails_for_good: random.one_in(30),
        revert_fails_first: random.one_in(12),
    };
    let retry = Retry::times(3);
    NewTask {
        name: "chaos".into(),
        input: json!(input),
        work,
        retry: if random.one_in(2) { retry.or_revert() } else { retry },
        ..NewTask::default()
    }
}
