//! What a caller says about a flow: its tasks, what they need, and what follows a failure. A plan is data: it is stored with
//! the flow, so any worker can go on with it that has handlers for the versions of the tasks.

mod backoff;
mod condition;
mod retry;
mod spec;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Fate, Task, TxTask, version};

pub use backoff::Backoff;
pub use condition::{Condition, Depth, When};
pub use retry::{Controller, Failure, Retry, Then};
pub(crate) use spec::Spec;

/// How a flow uses a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Alone: flows before it end first, flows behind it wait.
    Exclusive,
    /// Together with other shared ones.
    Shared,
}

/// What a task adds to the resources of its flow, by its input: see [`Task::RESOURCES`].
pub type Resources<I> = Option<fn(&I) -> Vec<(String, Access)>>;

/// A flow to submit. Its tasks begin once it is at the head of the queue of every resource it names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NewFlow {
    /// Its id, from the caller, so that desired state can refer to it in the same transaction. Use UUIDv7.
    pub id: Uuid,
    /// What sort of change it is, such as `deploy`.
    pub kind: String,
    /// One sentence for people.
    pub title: String,
    /// The scope it belongs to, for filters and for a fair share of the workers; opaque to the engine.
    pub model: Option<String>,
    /// What it changes or relies on; a name must not occur twice.
    pub resources: Vec<(String, Access)>,
    /// Its tasks; each may need earlier ones.
    pub tasks: Vec<NewTask>,
    /// Whether it brings its resources to whatever is desired when it runs. As long as it has not started, a newer flow of
    /// the same kind for exactly the same resources takes its place, unless another flow was queued between them.
    pub converge: bool,
    /// The generation of the desired state it was submitted for.
    pub generation: Option<i64>,
    /// Among flows that could run, greater ones go first. The order within a resource's queue is not touched.
    pub priority: i32,
    /// For what it is submitted, as whoever collects spans knows it; see [`Trace`](crate::Trace). Flows of its tasks that name
    /// none have this one. 256 visible ASCII characters at most.
    pub trace: Option<String>,
}

/// A task of a new flow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NewTask {
    /// The [`Task::NAME`] of its handler, followed by `@` and the [`Task::VERSION`] from 2 on: [`NewTask::of`] says it. For other
    /// [`Work`] only a name, such as `unit.converge`.
    pub name: String,
    /// One sentence for people.
    pub title: String,
    /// The resource it works on, for filters.
    pub resource: Option<String>,
    /// What its handler is given; completed by `bindings`.
    pub input: Value,
    /// Members of the input that earlier tasks provide. A task needs what it binds; there is no need to say so twice.
    pub bindings: Vec<Binding>,
    /// Positions in [`NewFlow::tasks`] of earlier tasks that must have succeeded.
    pub needs: Vec<usize>,
    /// What the outputs of needed tasks must be like; else this task is skipped.
    pub when: Vec<When>,
    /// What is to be done.
    pub work: Work,
    /// What follows a failure.
    pub retry: Retry,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What a worker must have to run it, such as `gpu` or `zone=a`; see [`Builder::label`](crate::Builder::label). While no
    /// worker has them all, it waits.
    pub labels: Vec<String>,
    /// The position of the [`Work::Retry`] that guards it; it needs that task or one that does.
    pub guard: Option<usize>,
    /// The nested flows it is in, outermost first: numbers of the caller's choice.
    pub within: Vec<u32>,
}

impl NewTask {
    /// A task of this type: by its name and version, with what it says of itself.
    #[must_use]
    pub fn of<T: Task>() -> Self {
        let name = version::of(T::NAME, T::VERSION);
        Self { name, retry: T::RETRY, timeouts: T::TIMEOUTS, ..Self::default() }
    }

    /// The same for a [`TxTask`].
    #[must_use]
    pub fn of_tx<T: TxTask>() -> Self {
        Self { name: version::of(T::NAME, T::VERSION), retry: T::RETRY, ..Self::default() }
    }
}

/// What a task does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A worker runs its handler.
    #[default]
    Run,
    /// It succeeds by a signal from outside; no worker is held.
    Wait(Wait),
    /// It succeeds after so long; no worker is held.
    Sleep(Duration),
    /// It succeeds at this time, in microseconds since 1970, UTC.
    Until(i64),
    /// It succeeds when all it needs has: a joint of large flows.
    Gate,
    /// It runs first of those it guards and decides what follows a failure among them. Its output is `{"attempt": n,
    /// "value": …}`.
    Retry(Controller),
    /// It runs a task for each item of a list: the member `items` of its input. Its output is the list of theirs.
    Each(Box<Each>),
    /// It submits a flow and waits for its end, unless told otherwise. Its output is `{"flow": id, "output": …}` with the output
    /// of the flow's last task, or only the id if it does not wait.
    Flow(Box<Child>),
}

/// What a task waits for: [`signal`](crate::signal) of the key with at least this value, now or earlier. Its own task id as
/// key makes it wait for [`complete`](crate::complete).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The key signalled. Ids of flows are taken: under that of its child a flow waits for the child's end.
    pub key: String,
    /// The smallest value that will do.
    pub at_least: i64,
}

/// The task run for each item of a list known only when the flow runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Each {
    /// The handler, as in [`NewTask::name`].
    pub name: String,
    /// What each is given, besides its item.
    pub input: Value,
    /// The member of the input the item becomes; empty if it is the whole input.
    pub item: String,
    /// What follows a failure of one.
    pub retry: Retry,
    /// How long one may take.
    pub timeouts: Timeouts,
    /// What a worker must have to run one.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// A flow submitted by a task of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Child {
    /// The flow. Its id is replaced by one derived from the task's, so that it is submitted once however often the task runs:
    /// when it runs again, a flow that has succeeded stays as it is, and another is run again.
    /// It runs under the resources of its parent, of which it may name any.
    pub flow: NewFlow,
    /// What it is to its parent.
    pub fate: Fate,
}

impl PartialEq for Child {
    fn eq(&self, other: &Self) -> bool {
        self.fate == other.fate
            && self.flow.id == other.flow.id
            && self.flow.kind == other.flow.kind
    }
}

/// How long a task may take; `None` means as long as it likes. Measured by the worker's monotonic clock. An attempt with a limit
/// runs on threads apart from those of flows, so that it can be left behind if it blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// One attempt; for a wait, all of it. A longer attempt is dropped and counts as a retryable failure.
    pub attempt: Option<Duration>,
    /// From the first attempt's start to the last one's end.
    pub total: Option<Duration>,
    /// Between two [`TaskContext::heartbeat`](crate::TaskContext::heartbeat)s.
    pub heartbeat: Option<Duration>,
    /// From the [cancellation](crate::TaskContext::cancelled) of its flow to the end of the attempt; an attempt that does not
    /// listen is left behind then. [`Builder::cancel_max`](crate::Builder::cancel_max) is for tasks that do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Duration>,
}

impl Timeouts {
    /// As long as it likes.
    pub const NONE: Self = Self { attempt: None, total: None, heartbeat: None, cancel: None };
}

/// A member of a task's input that an earlier task provides. It is left out if that task was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The member of the input; empty for the whole input.
    pub into: String,
    /// The position of the earlier task.
    pub task: usize,
    /// The part of its output as a JSON pointer (RFC 6901); empty for all of it.
    pub from: String,
}

/// The id of a flow's task, known before the flow is submitted.
#[must_use]
pub fn task_id(flow: Uuid, position: usize) -> Uuid {
    Uuid::from_u128(flow.as_u128().wrapping_add(1 + position as u128))
}

/// The id of the flow a task submits: as old as the task, and far from the ids around it, however deep flows are nested.
#[must_use]
pub fn child_id(task: Uuid) -> Uuid {
    let (time, random) = task.as_u64_pair();
    // SplitMix64.
    let mut mixed = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The first two bits are the variant (RFC 9562).
    Uuid::from_u64_pair(time, (mixed >> 2) | (1 << 63))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Adds the ids of a flow, of its tasks and of what they submit.
    fn add(flow: Uuid, depth: u32, ids: &mut BTreeSet<Uuid>) {
        assert!(ids.insert(flow), "{flow} is there twice");
        for position in 0..20 {
            let task = task_id(flow, position);
            assert!(ids.insert(task), "task {task} is there twice");
            if depth > 0 {
                add(child_id(task), depth - 1, ids);
            }
        }
    }

    #[test]
    fn ids_of_nested_flows_differ() {
        for _ in 0..10 {
            let mut ids = BTreeSet::new();
            let flow = Uuid::now_v7();
            add(flow, 3, &mut ids);
            let alike =
                |id: &Uuid| id.get_variant() == flow.get_variant() && id.get_version_num() == 7;
            assert!(ids.iter().all(alike));
        }
    }
}
