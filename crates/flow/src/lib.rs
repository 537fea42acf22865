//! Durable flows of tasks over named resources, on SQLite and PostgreSQL.
//!
//! A flow is submitted in the transaction that writes the desired state it brings about. It waits until it is at the head of
//! the queue of every resource it names; then its tasks run, as their needs allow, and each end is one commit. Whatever
//! process dies, what is recorded stays and what was running runs again.
//!
//! - [`submit`] queues a [`NewFlow`] of [`NewTask`]s; [`cancel`] and [`retry`] change its course.
//! - [`pattern`] puts a flow together from typed tasks; [`draw`](draw()) makes a picture of it.
//! - [`Engine`] runs tasks by their handlers, which implement [`Task`], or [`TxTask`] if all they do is write to this database.
//! - [`signal`], [`signal_gone`], [`trouble`] and [`complete`] bring news from outside to tasks that [`Wait`].
//! - [`claim`] gives tasks to workers that have no flows, such as those behind HTTP.
//! - [`query`] lists flows and tasks; [`sync_state`] sums up a resource; [`ended`] waits for a flow.
//! - [`Follower`] reads what happens to flows, as it happens or later.
//! - [`Engine::counters`] tells what a worker has done, for those who watch over it; [`Engine::failed`], that it has to be replaced.
//! - [`Builder::probe`] injects crashes at named points and [`Builder::clock`] moves time, in tests.
//!
//! Inside, `graph` decides without a database, `boundary` writes what one change of a flow comes to, `queue` grants resources,
//! `take` holds a worker's transactions, `worker` looks for work and `runner` runs one flow. Every write of a worker names the
//! flow's epoch, so one that lost its lease without knowing changes nothing.

mod announce;
mod aside;
mod attempt;
mod backend;
mod begin;
mod boundary;
mod breaker;
mod change;
pub mod claim;
mod claimant;
mod clock;
mod control;
mod counters;
mod draw;
mod ended;
mod engine;
mod error;
mod failure;
mod follow;
mod graph;
mod limited;
mod offer;
pub mod pattern;
mod plan;
mod policy;
mod probe;
pub mod query;
mod queue;
mod report;
mod retention;
mod runner;
mod signal;
mod sql;
mod state;
mod strain;
mod submit;
mod sync;
mod take;
mod task;
mod trace;
mod tx_task;
mod version;
mod worker;

use tutti_store::Migration;

pub use clock::Clock;
pub use control::{abandon, cancel, resume, retry, revert, skip, suspend, undoers};
pub use counters::{Counters, Counts};
pub use draw::{Format, draw};
pub use ended::ended;
pub use engine::{Builder, Engine};
pub use error::{Error, Result};
pub use follow::{FlowChange, FlowEvent, FlowNews, Follower, TaskFailure};
pub use plan::{
    Access, Backoff, Binding, Child, Condition, Controller, Depth, Each, Failure, NewFlow, NewTask,
    Resources, Retry, Then, Timeouts, Wait, When, Work, child_id, task_id,
};
pub use probe::{Action, Moment, Point};
pub use query::{
    FailedAttempt, FlowFilter, FlowRow, LogLine, OfferRow, TaskFilter, TaskRow, WaitingFor,
};
pub use retention::{Retention, forget, forget_flow, prune, prune_signals, purge};
pub use signal::{complete, signal, signal_gone, trouble};
pub use state::{FailureClass, Fate, FlowState, TaskState, UnknownState};
pub use strain::{Alarm, Strain, strain};
pub use submit::{submit, submit_many};
pub use sync::{Sync, SyncState, at_work, sync_state};
pub use task::{Outcome, Task, TaskContext};
pub use trace::Trace;
pub use tx_task::{TxError, TxTask};

/// The engine's tables; hand them to [`Store::open`](tutti_store::Store::open) with your own.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "tutti-flow",
        number: 1,
        name: "flow",
        sql: include_str!("../migrations/1_flow.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 2,
        name: "plans",
        sql: include_str!("../migrations/2_plans.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 3,
        name: "leaf_waits",
        sql: include_str!("../migrations/3_leaf_waits.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 4,
        name: "offers",
        sql: include_str!("../migrations/4_offers.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 5,
        name: "failures",
        sql: include_str!("../migrations/5_failures.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 6,
        name: "queries",
        sql: include_str!("../migrations/6_queries.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 7,
        name: "trace",
        sql: include_str!("../migrations/7_trace.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 8,
        name: "done",
        sql: include_str!("../migrations/8_done.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 9,
        name: "cancel_limit",
        sql: include_str!("../migrations/9_cancel_limit.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 10,
        name: "reported",
        sql: include_str!("../migrations/10_reported.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 11,
        name: "forgotten",
        sql: include_str!("../migrations/11_forgotten.sql"),
    },
    Migration {
        owner: "tutti-flow",
        number: 12,
        name: "ran",
        sql: include_str!("../migrations/12_ran.sql"),
    },
];

/// The topic that rings when there is work for a worker.
pub const TOPIC: &str = "flow";

/// The topic that rings when there is something to [`claim`], or to be heard about a claim.
pub const OFFERS: &str = "flow.offers";

/// The topic that rings when a flow ended.
pub const ENDED: &str = "flow.ended";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
