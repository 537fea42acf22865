//! The steps around a hook: begin, and commit, fail, kill or skip.

use crate::agent::{
    Hook, HookStep, Journal, Operation, RelationHook, RelationJournal, Resolved, Snapshot, Step,
};
use crate::api::Life;

use super::{Local, Next, executing, failure, workload_after, workload_before};

/// So many deaths by signal in a row count as a failure: a hook that always runs out of memory
/// must not run for ever.
const KILLS: u32 = 3;

/// A step that changes nothing yet.
pub(super) fn step(snapshot: &Snapshot, journal: Journal) -> Step {
    Step { version: snapshot.version, journal, ..Step::default() }
}

/// Writes down that a hook is about to run, for the first time or again.
#[must_use]
pub fn begin_hook(snapshot: &Snapshot, hook: &Hook) -> Step {
    let mut journal = snapshot.journal.clone();
    let retry = journal.operation == run(hook, HookStep::Failed);
    take_up(&mut journal, hook);
    if retry {
        journal.kills = 0;
        journal.last_chance = snapshot.life != Life::Alive;
    }
    match hook {
        Hook::ConfigChanged => {
            journal.config_hash.clone_from(&snapshot.config_hash);
            journal.trust_hash.clone_from(&snapshot.trust_hash);
            journal.address_hash.clone_from(&snapshot.address_hash);
        }
        Hook::LeaderSettingsChanged => journal.leader_settings = snapshot.leader_settings,
        _ => {}
    }
    let workload_status = workload_before(hook, journal.status_set);
    journal.operation = run(hook, HookStep::Pending);
    Step {
        agent_status: executing(&Next::RunHook(hook.clone())),
        workload_status,
        clear_resolved: retry && snapshot.resolved != Resolved::None,
        want_context: true,
        ..step(snapshot, journal)
    }
}

/// Writes down that a hook has succeeded. The agent adds what it changed.
#[must_use]
pub fn commit_hook(snapshot: &Snapshot, hook: &Hook, local: &Local) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.status_set |= local.status_set;
    if *hook == Hook::Start {
        journal.boot_id.clone_from(&local.boot_id);
    }
    conclude(snapshot, journal, hook)
}

/// Writes down in one step that a hook for which the charm has nothing to run has succeeded. Leaves
/// everything as [`begin_hook`] and [`commit_hook`] do.
#[must_use]
pub fn pass_hook(snapshot: &Snapshot, hook: &Hook, local: &Local) -> Step {
    let begun = begin_hook(snapshot, hook);
    let running = Snapshot { journal: begun.journal, ..snapshot.clone() };
    let committed = commit_hook(&running, hook, local);
    Step {
        workload_status: committed.workload_status.or(begun.workload_status),
        agent_status: committed.agent_status.or(begun.agent_status),
        clear_resolved: begun.clear_resolved || committed.clear_resolved,
        ..committed
    }
}

/// Takes a hook as done without running it: its reason is gone, the operator said so, or a dying
/// unit goes on without it.
#[must_use]
pub fn skip_hook(snapshot: &Snapshot, hook: &Hook) -> Step {
    let mut journal = snapshot.journal.clone();
    take_up(&mut journal, hook);
    conclude(snapshot, journal, hook)
}

/// Writes down that a hook has failed: it exited with another code than 0, its changes were
/// refused, or its agent died.
#[must_use]
pub fn fail_hook(snapshot: &Snapshot, hook: &Hook, local: &Local) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.status_set |= local.status_set;
    journal.failures = journal.failures.saturating_add(1);
    journal.kills = 0;
    journal.operation = run(hook, HookStep::Failed);
    with_trouble(step(snapshot, journal))
}

/// Writes down that a hook was killed by a signal: it runs again at once, but the third time in a
/// row it has failed.
#[must_use]
pub fn kill_hook(snapshot: &Snapshot, hook: &Hook, local: &Local) -> Step {
    let kills = snapshot.journal.kills + 1;
    if kills >= KILLS {
        return fail_hook(snapshot, hook, local);
    }
    let mut journal = snapshot.journal.clone();
    journal.status_set |= local.status_set;
    journal.kills = kills;
    journal.operation = run(hook, HookStep::Queued);
    step(snapshot, journal)
}

fn run(hook: &Hook, step: HookStep) -> Operation {
    Operation::RunHook { hook: hook.clone(), step }
}

/// Makes `hook` the one in progress. A queued one it comes before is put back, counts that belong
/// to another hook are dropped.
fn take_up(journal: &mut Journal, hook: &Hook) {
    let current = match std::mem::take(&mut journal.operation) {
        Operation::RunHook { hook, step } => Some((hook, step)),
        _ => None,
    };
    let same = current.as_ref().is_some_and(|(current, _)| current == hook);
    if !same {
        journal.failures = 0;
        journal.kills = 0;
        journal.last_chance = false;
        if let Some((other, HookStep::Queued)) = &current {
            journal.queue.insert(0, other.clone());
        }
    }
    if journal.interrupted.as_ref() == Some(hook) {
        journal.interrupted = None;
    } else if current.is_none() && journal.queue.first() == Some(hook) {
        // A dying unit takes it from under a switch that it leaves alone.
        journal.queue.remove(0);
    }
}

/// What is true after a hook, and what follows it.
fn conclude(snapshot: &Snapshot, mut journal: Journal, hook: &Hook) -> Step {
    let had_failed = journal.failures > 0;
    let mut step = step(snapshot, Journal::default());
    match hook {
        Hook::Install => journal.installed = true,
        Hook::Start => {
            journal.started = true;
            journal.stopped = false;
        }
        Hook::Stop => journal.stopped = true,
        Hook::Remove => journal.removed = true,
        Hook::ConfigChanged => {
            step.refresh_addresses = true;
            if !journal.started {
                journal.queue.insert(0, Hook::Start);
            }
        }
        Hook::UpgradeCharm => journal.queue.insert(0, Hook::ConfigChanged),
        Hook::LeaderElected => journal.leader = snapshot.leader,
        Hook::UpdateStatus | Hook::LeaderSettingsChanged => {}
        Hook::StorageAttached(hook) => {
            journal.storage.insert(hook.storage.clone(), true);
        }
        Hook::StorageDetaching(hook) => {
            journal.storage.remove(&hook.storage);
            step.detached.push(hook.storage.clone());
        }
        Hook::Notice(hook) => step.noticed = Some(hook.clone()),
        Hook::RelationBroken(hook) => {
            journal.relations.remove(&hook.relation);
            step.leave.push(hook.relation);
        }
        _ => {
            conclude_relation(&mut journal, hook);
            conclude_secret(&mut journal, hook, &mut step);
        }
    }
    forget_secrets(&mut journal, snapshot);
    step.workload_status = workload_after(hook, journal.status_set);
    step.clear_resolved = had_failed;
    step.trouble = had_failed.then(String::new);
    go_on(&mut journal);
    step.journal = journal;
    with_trouble(step)
}

/// Takes up what is owed: the next queued hook, the hook an upgrade came in between of, or
/// nothing.
pub(super) fn go_on(journal: &mut Journal) {
    journal.failures = 0;
    journal.kills = 0;
    journal.last_chance = false;
    journal.operation = if !journal.queue.is_empty() {
        Operation::RunHook { hook: journal.queue.remove(0), step: HookStep::Queued }
    } else if let Some(hook) = journal.interrupted.take() {
        journal.failures = 1;
        Operation::RunHook { hook, step: HookStep::Failed }
    } else {
        Operation::Continue
    };
}

/// Shows the error if the step leaves the unit with a failed hook.
pub(super) fn with_trouble(mut step: Step) -> Step {
    if let Operation::RunHook { hook, step: HookStep::Failed } = &step.journal.operation {
        let status = failure(hook);
        step.trouble = Some(status.message.clone());
        step.agent_status = Some(status);
    }
    step
}

fn conclude_relation(journal: &mut Journal, hook: &Hook) {
    let Some(relation) = hook.relation() else { return };
    let Some(state) = journal.relations.get_mut(&relation.relation) else { return };
    match hook {
        Hook::RelationCreated(_) => state.created = true,
        Hook::RelationJoined(_) => {
            announced(state, relation);
            state.changed_pending.clone_from(&relation.remote_unit);
        }
        Hook::RelationChanged(_) => {
            announced(state, relation);
            if relation.remote_unit.is_some() && state.changed_pending == relation.remote_unit {
                state.changed_pending = None;
            }
        }
        Hook::RelationDeparted(_) => {
            if let Some(unit) = &relation.remote_unit {
                state.members.remove(unit);
            }
        }
        _ => {}
    }
}

/// Remembers the databag version a hook was about.
fn announced(state: &mut RelationJournal, hook: &RelationHook) {
    match &hook.remote_unit {
        Some(unit) => state.members.insert(unit.clone(), hook.change_version),
        None => state.applications.insert(hook.remote_application.clone(), hook.change_version),
    };
}

fn conclude_secret(journal: &mut Journal, hook: &Hook, step: &mut Step) {
    match hook {
        Hook::SecretChanged(hook) => {
            journal.secrets_consumed.insert(hook.secret.clone(), hook.revision);
        }
        Hook::SecretRemove(hook) => {
            journal.secrets_obsolete.entry(hook.secret.clone()).or_default().push(hook.revision);
        }
        Hook::SecretRotate(hook) => step.rotated = Some(hook.clone()),
        Hook::SecretExpired(hook) => step.expired = Some(hook.clone()),
        _ => {}
    }
}

/// Drops what is remembered of secrets that are gone.
fn forget_secrets(journal: &mut Journal, snapshot: &Snapshot) {
    journal.secrets_consumed.retain(|id, _| snapshot.secrets_consumed.contains_key(id));
    journal.secrets_obsolete.retain(|id, told| {
        let obsolete = snapshot.secrets_obsolete.get(id);
        told.retain(|revision| obsolete.is_some_and(|obsolete| obsolete.contains(revision)));
        !told.is_empty()
    });
}
