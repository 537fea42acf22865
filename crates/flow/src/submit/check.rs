//! What no plan may be like.

use std::collections::BTreeSet;

use crate::{
    Access, Child, Error, Fate, NewFlow, Result, Work,
    trace::{TRACE_MAX, is_trace},
};

/// Tasks of one flow; more belong into flows of their own.
const TASKS_MAX: usize = 100_000;

/// Refuses a flow whose resources or tasks make no sense.
pub(super) fn check(flow: &NewFlow) -> Result<()> {
    let refused = |reason: String| Err(Error::Plan { kind: flow.kind.clone(), reason });
    let mut names = BTreeSet::new();
    for (name, _) in &flow.resources {
        if name.is_empty() || name.contains('\n') {
            return refused(format!("`{}` is no name of a resource", name.escape_debug()));
        }
        if !names.insert(name) {
            return refused(format!("resource `{name}` is named twice"));
        }
    }
    if flow.trace.as_deref().is_some_and(|trace| !is_trace(trace)) {
        return refused(format!(
            "its trace context is not of 1 to {TRACE_MAX} visible ASCII characters"
        ));
    }
    if flow.tasks.len() > TASKS_MAX {
        return refused(format!("more than {TASKS_MAX} tasks"));
    }
    for (at, task) in flow.tasks.iter().enumerate() {
        let bound = task.bindings.iter().map(|binding| binding.task);
        let asked = task.when.iter().map(|when| when.task);
        let needs = task.needs.iter().copied().chain(bound).chain(asked).chain(task.guard);
        if let Some(need) = needs.into_iter().find(|need| *need >= at) {
            return refused(format!("task {at} needs task {need}, which is not before it"));
        }
        if let Some(guard) = task.guard
            && !matches!(flow.tasks[guard].work, Work::Retry(_))
        {
            return refused(format!(
                "task {at} is guarded by task {guard}, which is no controller"
            ));
        }
        if let Some(label) = task.labels.first()
            && task.work != Work::Run
        {
            return refused(format!(
                "task {at} needs a worker with the label `{label}`, but no worker runs it"
            ));
        }
        if let Work::Flow(child) = &task.work {
            check_child(flow, at, child)?;
        }
    }
    Ok(())
}

/// A parent that holds resources and waits for a child that waits for others could wait for ever.
fn check_child(flow: &NewFlow, at: usize, child: &Child) -> Result<()> {
    let covered = |(name, access): &(String, Access)| {
        let held = |(own, how): &(String, Access)| {
            own == name && (*how == Access::Exclusive || *access == Access::Shared)
        };
        flow.resources.iter().any(held)
    };
    if child.fate == Fate::Joined
        && let Some((name, _)) = child.flow.resources.iter().find(|one| !covered(one))
    {
        let reason =
            format!("task {at} waits for a flow about `{name}`, which this flow does not hold");
        return Err(Error::Plan { kind: flow.kind.clone(), reason });
    }
    check(&child.flow)
}
