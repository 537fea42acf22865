//! The statuses the runtime itself sets around a hook or a task.

use crate::agent::{ContextStatus, Hook, PendingTask, TaskWork};

use super::Next;

fn status(status: &str, message: impl Into<String>) -> ContextStatus {
    ContextStatus { status: status.into(), message: message.into() }
}

/// The agent's status while it carries out an operation; none: it stays what it is.
///
/// `update-status` does not show: it would write a status every few minutes per unit.
#[must_use]
pub fn executing(next: &Next) -> Option<ContextStatus> {
    let message = match next {
        Next::Deploy { charm, .. } => format!("deploying charm {}", charm.url),
        Next::RunHook(hook) | Next::RetryHook(hook) => running_hook(hook)?,
        Next::RunTask(task) => running_task(task),
        Next::FailHook(hook) => return Some(failure(hook)),
        Next::Idle => return Some(status("idle", "")),
        _ => return None,
    };
    Some(status("executing", message))
}

fn running_hook(hook: &Hook) -> Option<String> {
    if *hook == Hook::UpdateStatus {
        return None;
    }
    let name = hook.name();
    Some(match hook.relation().and_then(|relation| relation.remote_unit.as_ref()) {
        Some(unit) => format!("running {name} hook for {unit}"),
        None => format!("running {name} hook"),
    })
}

fn running_task(task: &PendingTask) -> String {
    match task.work {
        TaskWork::Action => format!("running action {}", task.name),
        TaskWork::Exec => "running commands".into(),
    }
}

/// The agent's status after a hook has failed.
#[must_use]
pub fn failure(hook: &Hook) -> ContextStatus {
    status("error", format!("hook failed: \"{}\"", hook.name()))
}

/// The workload's status when a hook begins, if the runtime sets it. `status_set`: the charm has
/// set one itself before.
#[must_use]
pub fn workload_before(hook: &Hook, status_set: bool) -> Option<ContextStatus> {
    match hook {
        Hook::Install if !status_set => Some(status("maintenance", "installing charm software")),
        Hook::Stop => Some(status("maintenance", "stopping charm software")),
        Hook::Remove => Some(status("maintenance", "cleaning up prior to charm deletion")),
        _ => None,
    }
}

/// The workload's status after a hook has succeeded, if the runtime sets it.
#[must_use]
pub fn workload_after(hook: &Hook, status_set: bool) -> Option<ContextStatus> {
    match hook {
        Hook::Start if !status_set => Some(status("unknown", "")),
        Hook::Stop => Some(status("maintenance", "")),
        Hook::Remove => Some(status("terminated", "")),
        _ => None,
    }
}
