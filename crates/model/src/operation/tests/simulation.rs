//! One unit with a controller that applies steps and an agent that carries out operations.

use std::collections::BTreeMap;

use crate::agent::{
    CharmReference, Hook, PendingTask, RelationId, RelationSnapshot, Snapshot, Step,
    StorageSnapshot, TaskReport, TaskWork,
};
use crate::api::{Life, ModelKind};
use crate::operation::*;

/// How a hook run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    Failure,
    Killed,
    /// The agent dies while the hook runs.
    Crash,
}

/// The unit under test with everything around it.
#[derive(Clone, Debug)]
pub(super) struct Simulation {
    pub(super) snapshot: Snapshot,
    pub(super) local: Local,
    /// One line per operation, hooks by name.
    pub(super) log: Vec<String>,
    /// Hooks committed by running them.
    pub(super) committed: Vec<(Hook, Snapshot)>,
    pub(super) agent: String,
    pub(super) workload: String,
    pub(super) trouble: String,
    pub(super) observed: i64,
    pub(super) dead: bool,
}

pub(super) fn charm(revision: i64) -> CharmReference {
    CharmReference {
        url: format!("local:web-{revision}"),
        digest: format!("{revision:064}"),
        revision,
    }
}

pub(super) fn relation(endpoint: &str, remote: &str) -> RelationSnapshot {
    RelationSnapshot {
        endpoint: endpoint.into(),
        remote_application: remote.into(),
        ..RelationSnapshot::default()
    }
}

pub(super) fn peer() -> RelationSnapshot {
    RelationSnapshot { peer: true, ..relation("cluster", "web") }
}

pub(super) fn members(units: &[(&str, i64)]) -> BTreeMap<String, i64> {
    units.iter().map(|(unit, version)| ((*unit).to_owned(), *version)).collect()
}

impl Simulation {
    /// A new unit `web/0`, the leader, of a machine model.
    pub(super) fn new() -> Self {
        let snapshot = Snapshot {
            unit: "web/0".into(),
            charm: charm(1),
            charm_modified: 1,
            config_hash: "config-1".into(),
            trust_hash: "trust-1".into(),
            address_hash: "address-1".into(),
            leader: true,
            retry_hooks: true,
            generation: 1,
            ..Snapshot::default()
        };
        Self {
            snapshot,
            local: Local { boot_id: "boot-1".into(), ..Local::default() },
            log: Vec::new(),
            committed: Vec::new(),
            agent: "allocating".into(),
            workload: String::new(),
            trouble: String::new(),
            observed: 0,
            dead: false,
        }
    }

    pub(super) fn kubernetes() -> Self {
        let mut new = Self::new();
        new.snapshot.model.kind = ModelKind::Caas;
        new
    }

    /// A unit that has started and is idle, with an empty log.
    pub(super) fn started() -> Self {
        Self::new().settled()
    }

    pub(super) fn settled(mut self) -> Self {
        self.settle();
        self.log.clear();
        self.committed.clear();
        self
    }

    pub(super) fn next(&self) -> Next {
        next_operation(&self.snapshot, &self.local)
    }

    /// The controller's half: one transaction.
    pub(super) fn apply(&mut self, step: Step) {
        assert_eq!(step.version, self.snapshot.version, "a step on the current journal");
        assert_eq!(step.journal.check(), Ok(()), "{:?}", step.journal);
        let snapshot = &mut self.snapshot;
        snapshot.version += 1;
        snapshot.journal = step.journal;
        for id in step.enter {
            snapshot.relations.get_mut(&id).unwrap().in_scope = true;
        }
        for id in step.leave {
            if let Some(relation) = snapshot.relations.get_mut(&id) {
                relation.in_scope = false;
                if relation.life != Life::Alive || snapshot.life != Life::Alive {
                    snapshot.relations.remove(&id);
                }
            }
        }
        for (id, location) in step.provisioned {
            let storage = snapshot.storage.get_mut(&id).unwrap();
            storage.provisioned = true;
            storage.location = location;
        }
        snapshot.storage.retain(|id, _| !step.detached.contains(id));
        snapshot.secrets_rotate.retain(|due| Some(due) != step.rotated.as_ref());
        if step.noticed.is_some() && step.noticed == snapshot.notice {
            snapshot.notice = None;
        }
        snapshot.secrets_expired.retain(|due| Some(due) != step.expired.as_ref());
        if step.clear_resolved {
            snapshot.resolved = crate::agent::Resolved::None;
        }
        if let Some(report) = &step.task
            && report.status != "running"
        {
            snapshot.tasks.retain(|task| task.task != report.task);
        }
        if let Some(status) = step.agent_status {
            self.agent = format!("{} {}", status.status, status.message).trim().into();
        }
        if let Some(status) = step.workload_status {
            self.workload = format!("{} {}", status.status, status.message).trim().into();
        }
        if let Some(trouble) = step.trouble {
            self.trouble = trouble;
        }
        if let Some(generation) = step.observed_generation {
            self.observed = generation;
        }
        self.dead |= step.dead;
    }

    fn run(&mut self, hook: &Hook, end: End) {
        let mut passed = self.clone();
        passed.apply(pass_hook(&self.snapshot, hook, &self.local));
        self.apply(begin_hook(&self.snapshot, hook));
        let begun = self.snapshot.clone();
        match end {
            End::Success => {
                self.committed.push((hook.clone(), begun));
                self.apply(commit_hook(&self.snapshot, hook, &self.local));
                assert_eq!(
                    passed.shown(),
                    self.shown(),
                    "one step leaves what two leave: {hook:?}"
                );
            }
            End::Failure => self.apply(fail_hook(&self.snapshot, hook, &self.local)),
            End::Killed => self.apply(kill_hook(&self.snapshot, hook, &self.local)),
            End::Crash => {}
        }
        self.local.retry_due = false;
        self.local.update_status_due = false;
        self.local.deferred_due = false;
    }

    /// What others see of the unit, but for the number of steps it took.
    fn shown(&self) -> (Snapshot, &str, &str, &str) {
        let snapshot = Snapshot { version: 0, ..self.snapshot.clone() };
        (snapshot, &self.agent, &self.workload, &self.trouble)
    }

    /// Carries out one operation; hooks end as told. Returns it.
    pub(super) fn advance(&mut self, end: End) -> Next {
        let next = self.next();
        let mut line = None;
        match &next {
            Next::Deploy { charm, charm_modified } => {
                line = Some(format!("deploy {}", charm.revision));
                self.apply(begin_deploy(&self.snapshot, charm, *charm_modified));
                if end != End::Crash {
                    self.apply(commit_deploy(&self.snapshot, charm, *charm_modified));
                    self.local.charm_missing = false;
                }
            }
            Next::RunHook(hook) | Next::RetryHook(hook) => {
                let again = if matches!(next, Next::RetryHook(_)) { "retry " } else { "" };
                line = Some(format!("{again}{}{}", describe(hook), ending(end)));
                self.run(hook, end);
            }
            Next::SkipHook(hook) => {
                line = Some(format!("skip {}", describe(hook)));
                self.apply(skip_hook(&self.snapshot, hook));
            }
            Next::FailHook(hook) => self.apply(fail_hook(&self.snapshot, hook, &self.local)),
            Next::RunTask(task) => {
                line = Some(format!("task {}", task.name));
                self.apply(begin_task(&self.snapshot, task));
                if end != End::Crash {
                    let report = TaskReport {
                        task: task.task,
                        status: "completed".into(),
                        ..Default::default()
                    };
                    self.apply(commit_task(&self.snapshot, report));
                }
            }
            Next::FailTask { task, message } => {
                line = Some(format!("fail task {task}: {message}"));
                self.apply(fail_task(&self.snapshot, *task, message));
            }
            Next::CancelTask(task) => {
                line = Some(format!("cancel task {task}"));
                self.apply(cancel_task(&self.snapshot, *task));
            }
            Next::AcceptLeadership => self.apply(accept_leadership(&self.snapshot)),
            Next::ResignLeadership => self.apply(resign_leadership(&self.snapshot)),
            Next::EnterScopes(ids) => self.apply(enter_scopes(&self.snapshot, ids)),
            Next::DropRelations(ids) => {
                line = Some(format!("drop {ids:?}"));
                self.apply(drop_relations(&self.snapshot, ids));
            }
            Next::ProvisionStorage(ids) => {
                let made = ids.iter().map(|id| (id.clone(), format!("/storage/{id}"))).collect();
                self.apply(provisioned(&self.snapshot, made));
            }
            Next::DetachStorage(ids) => {
                line = Some(format!("forget {}", ids.join(" ")));
                self.apply(detach_storage(&self.snapshot, ids));
            }
            Next::Idle => self.apply(idle(&self.snapshot)),
            Next::Dead => {
                line = Some("dead".into());
                self.apply(finish(&self.snapshot));
            }
            Next::WaitRetry | Next::Wait => {}
        }
        self.log.extend(line);
        next
    }

    /// Carries out operations until there is nothing to do but wait. Returns why.
    pub(super) fn settle(&mut self) -> Next {
        for _ in 0..1_000 {
            let next = self.advance(End::Success);
            if matches!(next, Next::Idle | Next::Dead | Next::Wait | Next::WaitRetry) {
                return next;
            }
        }
        panic!("does not settle: {:#?}", self.log);
    }

    /// Settles and takes the log.
    pub(super) fn flow(&mut self) -> Vec<String> {
        self.settle();
        std::mem::take(&mut self.log)
    }

    /// Advances up to the hook of this name and ends it so.
    pub(super) fn end_hook(&mut self, name: &str, end: End) {
        for _ in 0..100 {
            let found = match self.next() {
                Next::RunHook(hook) | Next::RetryHook(hook) => hook.name() == name,
                _ => false,
            };
            if found {
                self.advance(end);
                self.log.clear();
                return;
            }
            self.advance(End::Success);
        }
        panic!("{name} is never run: {:#?}", self.log);
    }

    pub(super) fn relate(&mut self, id: RelationId, relation: RelationSnapshot) {
        self.snapshot.relations.insert(id, relation);
    }

    pub(super) fn related(&mut self, id: RelationId) -> &mut RelationSnapshot {
        self.snapshot.relations.get_mut(&id).unwrap()
    }

    pub(super) fn store(&mut self, id: &str, life: Life) {
        let storage = StorageSnapshot { kind: "filesystem".into(), life, ..Default::default() };
        self.snapshot.storage.insert(id.into(), storage);
    }

    pub(super) fn task(&mut self, number: i64) {
        self.snapshot.tasks.push(PendingTask {
            task: number,
            name: format!("action-{number}"),
            work: TaskWork::Action,
            parallel: false,
            cancelled: false,
        });
    }

    /// Sends the unit and its relations to their end, as removal of the unit does.
    pub(super) fn remove(&mut self) {
        self.snapshot.life = Life::Dying;
    }
}

fn ending(end: End) -> &'static str {
    match end {
        End::Success => "",
        End::Failure => " fails",
        End::Killed => " is killed",
        End::Crash => " crashes",
    }
}

fn describe(hook: &Hook) -> String {
    let unit = hook.relation().and_then(|relation| relation.remote_unit.clone());
    let about = match hook {
        Hook::StorageAttached(hook) | Hook::StorageDetaching(hook) => Some(hook.storage.clone()),
        Hook::SecretChanged(hook)
        | Hook::SecretRotate(hook)
        | Hook::SecretExpired(hook)
        | Hook::SecretRemove(hook) => Some(format!("{}:{}", hook.secret, hook.revision)),
        _ => unit,
    };
    match about {
        Some(about) => format!("{} {about}", hook.name()),
        None => hook.name(),
    }
}
