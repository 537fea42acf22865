//! What a unit does next, and what its journal becomes.
//!
//! The agent runs one loop per unit: fetch the [`Snapshot`](crate::agent::Snapshot), ask
//! [`next_operation`], carry it out, again. Nothing is queued from events: the next operation
//! follows from comparing what the unit has done (the journal) with what the controller wants, so
//! changes coalesce, and whatever a crash interrupts is decided anew.
//!
//! An operation is carried out in one or two durable [`Step`](crate::agent::Step)s, made by plain
//! functions from the snapshot:
//!
//! | [`Next`] | steps |
//! |---|---|
//! | `Deploy` | [`begin_deploy`], switch the directory, [`commit_deploy`] |
//! | `RunHook`, `RetryHook` | [`begin_hook`], run, then [`commit_hook`], [`fail_hook`] or [`kill_hook`]; or [`pass_hook`] |
//! | `SkipHook`, `FailHook` | [`skip_hook`], [`fail_hook`] |
//! | `RunTask` | [`begin_task`], run, [`commit_task`] |
//! | `FailTask`, `CancelTask` | [`fail_task`], [`cancel_task`] |
//! | `AcceptLeadership`, `ResignLeadership` | [`accept_leadership`], [`resign_leadership`] |
//! | `EnterScopes`, `DropRelations` | [`enter_scopes`], [`drop_relations`] |
//! | `ProvisionStorage`, `DetachStorage` | provision, [`provisioned`]; [`detach_storage`] |
//! | `Idle`, `Dead` | [`idle`], [`finish`] |
//! | `WaitRetry`, `Wait` | none: start the retry timer, or wait for a newer snapshot |
//!
//! The agent adds to a step what only it knows: the hook's changes, a newer observed generation.
//! After a step that commits, the controller goes on by itself as far as [`follow`] goes.
//! A step refused because the journal moved on is thrown away with the snapshot it was made from.
//!
//! - `next`: the priority list; `relations`: which relation hook; [`Local`]: what only the
//!   agent's memory knows;
//! - `hooks`, `deploys`, `others`: the steps; `follow`: those the controller takes by itself;
//! - `status`: agent and workload status the runtime itself sets; `delay`: how long to wait;
//! - `check`: which journals are possible at all.

mod check;
mod delay;
mod deploys;
mod follow;
mod hooks;
mod local;
mod next;
mod others;
mod relations;
mod secrets;
mod status;
#[cfg(test)]
mod tests;

pub use check::check_journal;
pub use delay::{deferral_delay, retry_delay, update_status_delay};
pub use deploys::{begin_deploy, commit_deploy};
pub use follow::follow;
pub use hooks::{begin_hook, commit_hook, fail_hook, kill_hook, pass_hook, skip_hook};
pub use local::Local;
pub use next::{Next, next_operation};
pub use others::{
    accept_leadership, begin_task, cancel_task, commit_task, detach_storage, drop_relations,
    enter_scopes, fail_task, finish, idle, provisioned, resign_leadership,
};
pub use status::{executing, failure, workload_after, workload_before};
