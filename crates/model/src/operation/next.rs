//! The priority list: what a unit does next.

use crate::agent::{
    CharmReference, Hook, HookStep, Journal, Operation, PendingTask, RelationId, Resolved,
    Snapshot, StorageHook,
};
use crate::api::{Life, ModelKind};

use super::Local;
use super::relations::next_relation_operation;

/// One operation of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Switch the charm directory to this charm; for a new unit, make it.
    Deploy {
        /// The charm.
        charm: CharmReference,
        /// The charm-modified version that goes with it.
        charm_modified: i64,
    },
    /// Run a hook.
    RunHook(Hook),
    /// Run a failed hook again.
    RetryHook(Hook),
    /// Take a hook as done without running it.
    SkipHook(Hook),
    /// A hook was found running, which means its agent died: it has failed.
    FailHook(Hook),
    /// Run an action or command.
    RunTask(PendingTask),
    /// A task was found running, which means its agent died.
    FailTask {
        /// The task's number.
        task: i64,
        /// What to tell the operator.
        message: String,
    },
    /// A task was cancelled before it began.
    CancelTask(i64),
    /// Become the leader: queues `leader-elected`.
    AcceptLeadership,
    /// Stop being the leader; no hook.
    ResignLeadership,
    /// Enter the scope of these relations.
    EnterScopes(Vec<RelationId>),
    /// Forget these relations and leave their scope; no hook.
    DropRelations(Vec<RelationId>),
    /// Make these storage instances available.
    ProvisionStorage(Vec<String>),
    /// Forget storage the charm has never been told of.
    DetachStorage(Vec<String>),
    /// A hook is in error: start the retry timer, unless it runs, and wait.
    WaitRetry,
    /// Wait for a newer snapshot; the unit is not idle.
    Wait,
    /// Nothing to do: the unit is idle and has handled the snapshot's generation.
    Idle,
    /// The unit is finished.
    Dead,
}

/// Decides the next operation of a unit.
///
/// Called only between operations: a hook or task found in progress was interrupted. Beside Juju's
/// priorities these rules hold:
///
/// - A charm is new to the unit as long as `journal.charm` and `charm_modified` differ from the
///   snapshot's, whatever runs in between, so an upgrade is never lost.
/// - A unit in error upgrades only if forced, `upgrade-charm` then runs before the failed hook. A
///   unit that was never installed has nothing to upgrade: it takes a newer charm whenever
///   `install` is tried again (at once if forced), without `upgrade-charm`.
/// - New relations are entered with the charm that knows their endpoints: after an upgrade.
/// - A dying unit never waits for an operator. A failed hook runs once more and is then skipped;
///   before `install` was committed, or without a charm directory, hooks are skipped at once.
#[must_use]
pub fn next_operation(snapshot: &Snapshot, local: &Local) -> Next {
    let next = Decision::new(snapshot, local).next();
    match next {
        Next::RunHook(hook) | Next::RetryHook(hook)
            if local.charm_missing && snapshot.life != Life::Alive =>
        {
            Next::SkipHook(hook)
        }
        next => next,
    }
}

/// What the unit is in the middle of, once interrupted operations are dealt with.
#[derive(Clone, Copy)]
enum Doing<'a> {
    Nothing,
    Queued(&'a Hook),
    Failed(&'a Hook),
}

struct Decision<'a> {
    snapshot: &'a Snapshot,
    journal: &'a Journal,
    local: &'a Local,
    doing: Doing<'a>,
    alive: bool,
}

impl<'a> Decision<'a> {
    fn new(snapshot: &'a Snapshot, local: &'a Local) -> Self {
        let journal = &snapshot.journal;
        let doing = match &journal.operation {
            Operation::RunHook { hook, step: HookStep::Queued } => Doing::Queued(hook),
            Operation::RunHook { hook, .. } => Doing::Failed(hook),
            // A dying unit leaves a switch alone and returns to what the switch came between.
            Operation::Deploy { .. } => {
                let owed = journal.interrupted.as_ref().or_else(|| journal.queue.first());
                owed.map_or(Doing::Nothing, Doing::Queued)
            }
            Operation::Continue | Operation::RunAction { .. } => Doing::Nothing,
        };
        Self { snapshot, journal, local, doing, alive: snapshot.life == Life::Alive }
    }

    fn next(&self) -> Next {
        self.end()
            .or_else(|| self.interrupted())
            .or_else(|| self.deployment())
            .or_else(|| self.never_installed())
            .or_else(|| self.vanished_relations())
            .or_else(|| self.reboot())
            .or_else(|| self.new_relations())
            .or_else(|| self.leadership())
            .or_else(|| self.secrets())
            .or_else(|| self.tasks())
            .or_else(|| self.storage())
            .unwrap_or_else(|| match self.doing {
                Doing::Queued(hook) => self.queued(hook),
                Doing::Failed(hook) => self.failed(hook),
                Doing::Nothing if self.alive => self.alive(),
                Doing::Nothing => self.dying(),
            })
    }

    fn free(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }

    fn end(&self) -> Option<Next> {
        if self.snapshot.life == Life::Dead {
            return Some(Next::Dead);
        }
        self.journal.removed.then(|| self.dead())
    }

    /// A unit is finished only after its subordinates.
    fn dead(&self) -> Next {
        if self.snapshot.subordinates.is_empty() { Next::Dead } else { Next::Wait }
    }

    fn interrupted(&self) -> Option<Next> {
        match &self.journal.operation {
            Operation::RunHook { hook, step: HookStep::Pending } => {
                Some(Next::FailHook(hook.clone()))
            }
            Operation::RunAction { task } => {
                Some(Next::FailTask { task: *task, message: "action terminated".into() })
            }
            _ => None,
        }
    }

    /// A switch in progress is resumed, towards the newest charm; a vanished directory is made
    /// again.
    fn deployment(&self) -> Option<Next> {
        if !self.alive {
            return None;
        }
        if let Operation::Deploy { charm, charm_modified } = &self.journal.operation {
            let newest = self.journal.interrupted.is_none() || self.snapshot.force_upgrade;
            let resumed = Next::Deploy { charm: charm.clone(), charm_modified: *charm_modified };
            return Some(if newest { self.deploy() } else { resumed });
        }
        let charm = self.journal.charm.clone().filter(|_| self.local.charm_missing)?;
        Some(Next::Deploy { charm, charm_modified: self.journal.charm_modified })
    }

    fn deploy(&self) -> Next {
        Next::Deploy {
            charm: self.snapshot.charm.clone(),
            charm_modified: self.snapshot.charm_modified,
        }
    }

    fn charm_differs(&self) -> bool {
        self.journal.charm.as_ref() != Some(&self.snapshot.charm)
            || self.journal.charm_modified != self.snapshot.charm_modified
    }

    /// Dying before `install`: nothing runs but removal.
    fn never_installed(&self) -> Option<Next> {
        if self.alive || self.journal.installed {
            return None;
        }
        Some(if self.snapshot.storage.is_empty() {
            self.dead()
        } else {
            Next::DetachStorage(self.snapshot.storage.keys().cloned().collect())
        })
    }

    /// Relations that ended without this unit, by force.
    fn vanished_relations(&self) -> Option<Next> {
        let in_scope =
            |id| self.snapshot.relations.get(id).is_some_and(|relation| relation.in_scope);
        let gone: Vec<_> =
            self.journal.relations.keys().filter(|id| !in_scope(*id)).copied().collect();
        (!gone.is_empty()).then_some(Next::DropRelations(gone))
    }

    fn reboot(&self) -> Option<Next> {
        let (then, now) = (&self.journal.boot_id, &self.local.boot_id);
        let rebooted = !then.is_empty() && !now.is_empty() && then != now;
        (rebooted && self.journal.started && self.alive && self.free())
            .then_some(Next::RunHook(Hook::Start))
    }

    fn new_relations(&self) -> Option<Next> {
        if !self.journal.installed || !self.alive || !self.free() || self.charm_differs() {
            return None;
        }
        let usable = |id: &&RelationId| {
            let relation = &self.snapshot.relations[*id];
            relation.life == Life::Alive && !relation.suspended
        };
        let known = &self.journal.relations;
        let enter: Vec<_> = (self.snapshot.relations.keys())
            .filter(usable)
            .filter(|id| !known.contains_key(id))
            .copied()
            .collect();
        if !enter.is_empty() {
            return Some(Next::EnterScopes(enter));
        }
        let created = |id: &&RelationId| known.get(*id).is_some_and(|relation| relation.created);
        let id = self.snapshot.relations.keys().filter(usable).find(|id| !created(id))?;
        let relation = super::relations::application_hook(self.snapshot, *id, None, 0)?;
        Some(Next::RunHook(Hook::RelationCreated(relation)))
    }

    fn leadership(&self) -> Option<Next> {
        if !self.journal.installed {
            return None;
        }
        let wanted = self.snapshot.leader && self.alive;
        match (self.journal.leader, wanted) {
            (true, false) => Some(Next::ResignLeadership),
            (false, true) if self.free() => Some(Next::AcceptLeadership),
            (false, false)
                if self.free()
                    && self.alive
                    && self.journal.leader_settings != self.snapshot.leader_settings =>
            {
                Some(Next::RunHook(Hook::LeaderSettingsChanged))
            }
            _ => None,
        }
    }

    fn secrets(&self) -> Option<Next> {
        if !self.journal.installed || !self.alive || !self.free() {
            return None;
        }
        super::secrets::next_secret_hook(self.snapshot).map(Next::RunHook)
    }

    fn tasks(&self) -> Option<Next> {
        if matches!(self.doing, Doing::Queued(_)) || self.journal.charm.is_none() {
            return None;
        }
        let completed = &self.local.completed_tasks;
        let task = self.snapshot.tasks.iter().find(|task| !completed.contains(&task.task))?;
        Some(if task.cancelled { Next::CancelTask(task.task) } else { Next::RunTask(task.clone()) })
    }

    /// On machines storage comes before `install`, which has to see it; on Kubernetes after
    /// `start`.
    fn storage(&self) -> Option<Next> {
        let machine = self.snapshot.model.kind == ModelKind::Iaas;
        match self.doing {
            Doing::Nothing if self.journal.charm.is_some() => {}
            Doing::Queued(Hook::Install) if machine => {}
            _ => return None,
        }
        let announced =
            |id: &String| self.journal.storage.get(id).is_some_and(|attached| *attached);
        let hook = |id: &String| StorageHook { storage: id.clone() };
        let (staying, ending): (Vec<_>, Vec<_>) = (self.snapshot.storage.iter())
            .partition(|(_, storage)| self.alive && storage.life == Life::Alive);
        let unknown: Vec<_> =
            ending.iter().map(|(id, _)| (*id).clone()).filter(|id| !announced(id)).collect();
        if !unknown.is_empty() {
            return Some(Next::DetachStorage(unknown));
        }
        if let Some((id, _)) = ending.first() {
            return Some(Next::RunHook(Hook::StorageDetaching(hook(id))));
        }
        let missing: Vec<_> = (staying.iter())
            .filter(|(_, storage)| !storage.provisioned)
            .map(|(id, _)| (*id).clone())
            .collect();
        if !missing.is_empty() {
            return Some(Next::ProvisionStorage(missing));
        }
        let (id, _) = staying.iter().find(|(id, _)| !announced(id))?;
        (machine || self.journal.started).then(|| Next::RunHook(Hook::StorageAttached(hook(id))))
    }

    fn queued(&self, hook: &Hook) -> Next {
        if !self.journal.installed && self.charm_differs() {
            self.deploy()
        } else if self.pointless(hook) {
            Next::SkipHook(hook.clone())
        } else {
            Next::RunHook(hook.clone())
        }
    }

    fn failed(&self, hook: &Hook) -> Next {
        let hook_again = || {
            if !self.journal.installed && self.charm_differs() {
                self.deploy()
            } else {
                Next::RetryHook(hook.clone())
            }
        };
        if self.pointless(hook) {
            return Next::SkipHook(hook.clone());
        }
        if self.alive && self.snapshot.force_upgrade && self.charm_differs() {
            return self.deploy();
        }
        match self.snapshot.resolved {
            Resolved::Retry => return hook_again(),
            Resolved::Skip => return Next::SkipHook(hook.clone()),
            Resolved::None => {}
        }
        match (self.alive, self.snapshot.retry_hooks) {
            (false, _) if self.journal.last_chance => Next::SkipHook(hook.clone()),
            (false, _) => Next::RetryHook(hook.clone()),
            (true, true) if self.local.retry_due => hook_again(),
            (true, true) => Next::WaitRetry,
            (true, false) => Next::Wait,
        }
    }

    /// Whether the reason of a hook is gone before it could run.
    fn pointless(&self, hook: &Hook) -> bool {
        match hook {
            Hook::LeaderElected => !self.snapshot.leader,
            Hook::Notice(hook) => self.snapshot.notice.as_ref() != Some(hook),
            Hook::SecretChanged(_)
            | Hook::SecretRotate(_)
            | Hook::SecretExpired(_)
            | Hook::SecretRemove(_) => !super::secrets::still_due(self.snapshot, hook),
            _ => hook
                .relation()
                .is_some_and(|relation| !self.journal.relations.contains_key(&relation.relation)),
        }
    }

    fn alive(&self) -> Next {
        if self.charm_differs() {
            return self.deploy();
        }
        if !self.journal.installed {
            return Next::RunHook(Hook::Install);
        }
        let (journal, snapshot) = (self.journal, self.snapshot);
        if !journal.started
            || journal.config_hash != snapshot.config_hash
            || journal.trust_hash != snapshot.trust_hash
            || journal.address_hash != snapshot.address_hash
        {
            return Next::RunHook(Hook::ConfigChanged);
        }
        if let Some(next) = next_relation_operation(snapshot) {
            return next;
        }
        if let Some(notice) = &snapshot.notice {
            return Next::RunHook(Hook::Notice(notice.clone()));
        }
        if self.local.update_status_due || self.local.deferred_due {
            return Next::RunHook(Hook::UpdateStatus);
        }
        Next::Idle
    }

    fn dying(&self) -> Next {
        if let Some(next) = next_relation_operation(self.snapshot) {
            return next;
        }
        if self.journal.started && !self.journal.stopped {
            return Next::RunHook(Hook::Stop);
        }
        Next::RunHook(Hook::Remove)
    }
}
