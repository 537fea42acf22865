//! The steps around a switch of the charm directory.
//!
//! The charm a unit runs is written in the transaction that commits the switch, never before, so a
//! crash in between repeats the switch and loses nothing.

use crate::agent::{CharmReference, Hook, HookStep, Journal, Operation, Resolved, Snapshot, Step};

use super::hooks::{go_on, step, with_trouble};
use super::{Next, executing};

/// Writes down that the charm directory is about to be switched, for the first time, to another
/// charm, or to make a vanished one again.
///
/// A hook in error that the upgrade's own hooks repeat anyway is dropped; another one is returned
/// to after them.
#[must_use]
pub fn begin_deploy(snapshot: &Snapshot, charm: &CharmReference, charm_modified: i64) -> Step {
    let mut journal = snapshot.journal.clone();
    let mut over = false;
    match std::mem::take(&mut journal.operation) {
        Operation::RunHook { step: HookStep::Failed, .. } if !journal.installed => over = true,
        Operation::RunHook { hook, step: HookStep::Failed } => {
            over = differs(&journal, charm, charm_modified) && repeated(&journal, &hook);
            journal.interrupted = if over { journal.interrupted } else { Some(hook) };
        }
        Operation::RunHook { hook, .. } if journal.installed => journal.queue.insert(0, hook),
        _ => {}
    }
    if over || journal.interrupted.is_none() {
        journal.failures = 0;
        journal.last_chance = false;
    }
    journal.kills = 0;
    journal.operation = Operation::Deploy { charm: charm.clone(), charm_modified };
    let next = Next::Deploy { charm: charm.clone(), charm_modified };
    Step {
        agent_status: executing(&next),
        clear_resolved: snapshot.resolved != Resolved::None,
        trouble: over.then(String::new),
        ..step(snapshot, journal)
    }
}

/// Writes down that the directory holds this charm. A new unit goes on to `install`, an installed
/// one to `upgrade-charm`; a directory made again changes nothing.
#[must_use]
pub fn commit_deploy(snapshot: &Snapshot, charm: &CharmReference, charm_modified: i64) -> Step {
    let mut journal = snapshot.journal.clone();
    if !journal.installed {
        journal.interrupted = None;
        journal.queue = vec![Hook::Install];
    } else if differs(&journal, charm, charm_modified) {
        // What follows an upgrade-charm follows this one: drop what an earlier one still owes.
        journal.queue.retain(|hook| !matches!(hook, Hook::UpgradeCharm | Hook::ConfigChanged));
        journal.queue.insert(0, Hook::UpgradeCharm);
    }
    journal.charm = Some(charm.clone());
    journal.charm_modified = charm_modified;
    go_on(&mut journal);
    with_trouble(step(snapshot, journal))
}

fn differs(journal: &Journal, charm: &CharmReference, charm_modified: i64) -> bool {
    journal.charm.as_ref() != Some(charm) || journal.charm_modified != charm_modified
}

/// Whether a hook runs as part of every upgrade.
fn repeated(journal: &Journal, hook: &Hook) -> bool {
    match hook {
        Hook::UpgradeCharm | Hook::ConfigChanged => true,
        Hook::Start => !journal.started,
        _ => false,
    }
}
