//! Who uses what, in which order, and what of it is against the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use tutti_flow::{Failure, Outcome, Task, TaskContext, TaskRow, TaskState};
use uuid::Uuid;

use super::shape::{Fate, Input, Shape};

/// Of a flow at a worker: tasks running, and whether they need the resource alone.
type Users = BTreeMap<(Uuid, u32), (u32, bool)>;

#[derive(Default)]
struct Seen {
    workers: u32,
    dead: BTreeSet<u32>,
    /// By resource.
    using: BTreeMap<u8, Users>,
    /// By resource: the order in which flows first used it exclusively.
    order: BTreeMap<u8, Vec<usize>>,
    firsts: BTreeSet<(u8, usize)>,
    /// By flow, in order: what began and ended.
    steps: BTreeMap<Uuid, Vec<(Step, usize)>>,
    wrong: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Execute,
    Executed,
    Revert,
    Reverted,
}

#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub(super) fn next_worker(&self) -> u32 {
        let mut seen = self.0.lock().unwrap();
        seen.workers += 1;
        seen.workers
    }

    /// From now on nothing of this worker has any effect.
    pub(super) fn kill(&self, worker: u32) {
        let mut seen = self.0.lock().unwrap();
        seen.dead.insert(worker);
        for users in seen.using.values_mut() {
            users.retain(|(_, theirs), _| *theirs != worker);
        }
    }

    /// Whether the worker is alive to do it.
    fn begin(&self, step: Step, worker: u32, flow: Uuid, input: &Input) -> bool {
        let mut seen = self.0.lock().unwrap();
        let Seen { dead, using, order, firsts, steps, wrong, .. } = &mut *seen;
        if dead.contains(&worker) {
            return false;
        }
        for (&resource, &exclusive) in &input.resources {
            let users = using.entry(resource).or_default();
            if users
                .iter()
                .any(|((other, _), (_, theirs))| *other != flow && (exclusive || *theirs))
            {
                wrong.push(format!("flow {} is not alone on {resource}", input.order));
            }
            users.entry((flow, worker)).or_insert((0, exclusive)).0 += 1;
            if exclusive && firsts.insert((resource, input.order)) {
                order.entry(resource).or_default().push(input.order);
            }
        }
        steps.entry(flow).or_default().push((step, input.number));
        true
    }

    fn end(&self, step: Step, worker: u32, flow: Uuid, input: &Input) -> bool {
        let mut seen = self.0.lock().unwrap();
        if seen.dead.contains(&worker) {
            return false;
        }
        seen.steps.entry(flow).or_default().push((step, input.number));
        true
    }

    /// An attempt is over, or was dropped by a worker that lost its lease.
    fn leave(&self, worker: u32, flow: Uuid, input: &Input) {
        let mut seen = self.0.lock().unwrap();
        for resource in input.resources.keys() {
            let Some(users) = seen.using.get_mut(resource) else { continue };
            if let Some(user) = users.get_mut(&(flow, worker)) {
                user.0 -= 1;
                if user.0 == 0 {
                    users.remove(&(flow, worker));
                }
            }
        }
    }

    /// What succeeded ran, what never began did not, and nothing was undone before what relies on it.
    pub(super) fn check(&self, flow: Uuid, shape: &Shape, rows: &[TaskRow]) {
        let seen = self.0.lock().unwrap();
        let steps = seen.steps.get(&flow).cloned().unwrap_or_default();
        for (at, task) in shape.tasks.iter().enumerate().filter(|(_, task)| task.is_run()) {
            let number = at + shape.first();
            let row = &rows[number];
            let did = |step| steps.contains(&(step, number));
            if row.state == TaskState::Succeeded {
                assert!(did(Step::Executed), "{number} succeeded unseen: {task:?} {steps:?}");
            }
            if row.attempt == 0 && shape.first() == 0 {
                assert!(!did(Step::Execute), "{number} never began: {task:?} {steps:?}");
            }
            let mut standing = false;
            let needs: Vec<usize> = shape.needs(at).map(|need| need + shape.first()).collect();
            for (step, other) in &steps {
                match step {
                    Step::Executed if *other == number => standing = true,
                    Step::Reverted if *other == number => standing = false,
                    Step::Revert if needs.contains(other) => {
                        assert!(!standing, "{other} is undone before {number}: {steps:?}");
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn check_resources(&self) {
        let seen = self.0.lock().unwrap();
        assert_eq!(seen.wrong, [""; 0]);
        for (resource, order) in &seen.order {
            assert!(order.is_sorted(), "r{resource}: {order:?}");
        }
    }
}

/// The handler, as one worker has it.
pub(super) struct Watched {
    pub(super) watch: Watch,
    pub(super) worker: u32,
}

/// Uses the resources of a flow until it is dropped.
struct User<'a> {
    watched: &'a Watched,
    flow: Uuid,
    input: &'a Input,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.watched.watch.leave(self.watched.worker, self.flow, self.input);
    }
}

impl Watched {
    async fn pass(&self, flow: Uuid, input: &Input, begin: Step, end: Step) {
        if !self.watch.begin(begin, self.worker, flow, input) {
            std::future::pending::<()>().await;
        }
        let _user = User { watched: self, flow, input };
        tokio::task::yield_now().await;
        if !self.watch.end(end, self.worker, flow, input) {
            std::future::pending::<()>().await;
        }
    }
}

impl Task for Watched {
    const NAME: &'static str = "watched";
    type Input = Input;
    type Output = ();

    async fn execute(&self, context: TaskContext, input: Input) -> Result<(), Failure> {
        self.pass(context.flow, &input, Step::Execute, Step::Executed).await;
        match input.fate {
            Fate::FailOnce if context.attempt == 1 => Err(Failure::Retryable("once".into())),
            Fate::FailForGood => Err(Failure::Terminal("for good".into())),
            _ => Ok(()),
        }
    }

    async fn revert(
        &self,
        context: TaskContext,
        input: Input,
        _: Outcome<()>,
    ) -> Result<(), Failure> {
        self.pass(context.flow, &input, Step::Revert, Step::Reverted).await;
        Ok(())
    }
}
