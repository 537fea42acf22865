//! Whatever happens around a unit, the promises hold.
//!
//! A random story: the world changes (joins, leaves, writes, config, refresh, leadership, tasks,
//! storage) while the unit works, and its hooks succeed, fail, are killed or lose their agent. The
//! order of hooks is watched all the time; at the end the world stands still and hooks succeed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::simulation::{End, Simulation, charm, peer, relation};
use crate::agent::{Hook, Operation, RelationId, Resolved};
use crate::api::Life;
use crate::convergence::{Wanted, drift};
use crate::operation::Next;

/// Something that happens in the world, or in the unit.
#[derive(Clone, Debug)]
enum Event {
    Advance(End),
    Config(u8),
    Trust(u8),
    Relate(RelationId),
    EndRelation(RelationId),
    VanishRelation(RelationId),
    Suspend(RelationId, bool),
    Join(RelationId, u8),
    Leave(RelationId, u8),
    Write(RelationId, u8),
    WriteApplication(RelationId),
    Refresh { force: bool },
    Resource,
    Leader(bool),
    LeaderSettings,
    Resolve(bool),
    AutomaticRetry(bool),
    RetryTimer,
    UpdateStatus,
    Task,
    CancelTasks,
    AddStorage,
    RemoveStorage,
    LoseDirectory,
    Reboot,
    Remove,
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        8 => Just(End::Success),
        2 => Just(End::Failure),
        1 => Just(End::Killed),
        1 => Just(End::Crash),
    ]
}

/// Everything but the unit's removal.
fn events() -> impl Strategy<Value = Event> {
    let relation = 1..4_i64;
    prop_oneof![
        20 => ends().prop_map(Event::Advance),
        2 => (0..4_u8).prop_map(Event::Config),
        1 => (0..2_u8).prop_map(Event::Trust),
        2 => relation.clone().prop_map(Event::Relate),
        1 => relation.clone().prop_map(Event::EndRelation),
        1 => relation.clone().prop_map(Event::VanishRelation),
        1 => (relation.clone(), any::<bool>()).prop_map(|(id, on)| Event::Suspend(id, on)),
        4 => (relation.clone(), 0..3_u8).prop_map(|(id, unit)| Event::Join(id, unit)),
        2 => (relation.clone(), 0..3_u8).prop_map(|(id, unit)| Event::Leave(id, unit)),
        3 => (relation.clone(), 0..3_u8).prop_map(|(id, unit)| Event::Write(id, unit)),
        2 => relation.prop_map(Event::WriteApplication),
        2 => any::<bool>().prop_map(|force| Event::Refresh { force }),
        1 => Just(Event::Resource),
        2 => any::<bool>().prop_map(Event::Leader),
        1 => Just(Event::LeaderSettings),
        2 => any::<bool>().prop_map(Event::Resolve),
        1 => any::<bool>().prop_map(Event::AutomaticRetry),
        3 => Just(Event::RetryTimer),
        1 => Just(Event::UpdateStatus),
        1 => Just(Event::Task),
        1 => Just(Event::CancelTasks),
        1 => Just(Event::AddStorage),
        1 => Just(Event::RemoveStorage),
        1 => Just(Event::LoseDirectory),
        1 => Just(Event::Reboot),
    ]
}

/// A unit's story and what a watcher has seen of it.
struct Story {
    unit: Simulation,
    seen: Seen,
    number: i64,
    removed: bool,
    /// Which relation a place stands for now: numbers are never given twice.
    places: BTreeMap<i64, RelationId>,
}

/// What the charm has been told.
#[derive(Default)]
struct Seen {
    installed: bool,
    started: bool,
    over: bool,
    relations: BTreeMap<RelationId, Told>,
    /// The charm changed and `upgrade-charm` was not committed yet.
    upgrade_owed: bool,
    config: String,
}

/// What the charm knows of one relation.
#[derive(Default)]
struct Told {
    created: bool,
    members: BTreeSet<String>,
    owed: Option<String>,
}

impl Story {
    fn new() -> Self {
        Self {
            unit: Simulation::new(),
            seen: Seen::default(),
            number: 1,
            removed: false,
            places: BTreeMap::new(),
        }
    }

    fn fresh(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    fn happen(&mut self, event: &Event) {
        let number = self.fresh();
        let snapshot = &mut self.unit.snapshot;
        snapshot.generation = number;
        match event {
            Event::Advance(end) => self.advance(*end),
            Event::Config(value) => snapshot.config_hash = format!("config-{value}"),
            Event::Trust(value) => snapshot.trust_hash = format!("trust-{value}"),
            Event::Refresh { force } => {
                snapshot.charm = charm(number);
                snapshot.charm_modified = number;
                snapshot.force_upgrade = *force;
            }
            Event::Resource => snapshot.charm_modified = number,
            Event::Leader(leader) => snapshot.leader = *leader,
            Event::LeaderSettings => snapshot.leader_settings = number,
            Event::Resolve(retry) if self.unit.agent.starts_with("error") => {
                snapshot.resolved = if *retry { Resolved::Retry } else { Resolved::Skip };
            }
            Event::Resolve(_) => {}
            Event::AutomaticRetry(on) => snapshot.retry_hooks = *on,
            Event::RetryTimer => self.unit.local.retry_due = true,
            Event::UpdateStatus => self.unit.local.update_status_due = true,
            Event::Task => self.unit.task(number),
            Event::CancelTasks => snapshot.tasks.iter_mut().for_each(|task| task.cancelled = true),
            Event::AddStorage if self.removed => {}
            Event::AddStorage => self.unit.store(&format!("data/{number}"), Life::Alive),
            Event::RemoveStorage => {
                if let Some(storage) = snapshot.storage.values_mut().next() {
                    storage.life = Life::Dying;
                }
            }
            Event::LoseDirectory => {
                self.unit.local.charm_missing = snapshot.journal.charm.is_some();
            }
            Event::Reboot => self.unit.local.boot_id = format!("boot-{number}"),
            Event::Remove => {
                self.removed = true;
                self.unit.remove();
            }
            _ => self.relations(event, number),
        }
    }

    fn relations(&mut self, event: &Event, version: i64) {
        let relations = &mut self.unit.snapshot.relations;
        if let Event::Relate(place) = event {
            let id = self.places.entry(*place).or_insert(version);
            if !relations.contains_key(id) {
                *id = version;
                let new = if *place == 1 { peer() } else { relation("db", &format!("db{place}")) };
                relations.insert(version, new);
            }
            return;
        }
        let (Event::EndRelation(place)
        | Event::VanishRelation(place)
        | Event::Suspend(place, _)
        | Event::Join(place, _)
        | Event::Leave(place, _)
        | Event::Write(place, _)
        | Event::WriteApplication(place)) = event
        else {
            return;
        };
        let Some(id) = self.places.get(place).copied() else { return };
        let Some(relation) = relations.get_mut(&id) else { return };
        let name = |unit: &u8| match place {
            1 => format!("web/{}", unit + 1),
            _ => format!("db{place}/{unit}"),
        };
        match event {
            Event::EndRelation(_) => relation.life = Life::Dying,
            Event::VanishRelation(_) => drop(relations.remove(&id)),
            Event::Suspend(_, on) => relation.suspended = *on,
            Event::Join(_, unit) => drop(relation.members.entry(name(unit)).or_insert(version)),
            Event::Leave(_, unit) => drop(relation.members.remove(&name(unit))),
            Event::Write(_, unit) => {
                relation.members.entry(name(unit)).and_modify(|old| *old = version);
            }
            _ => drop(relation.applications.insert(format!("db{place}"), version)),
        }
    }

    /// One operation, with every rule about order checked.
    fn advance(&mut self, end: End) {
        if self.unit.dead {
            return;
        }
        let before = self.unit.snapshot.clone();
        let committed = self.unit.committed.len();
        let next = self.unit.advance(end);
        match &next {
            Next::SkipHook(hook) => {
                let id = hook.relation().map(|about| about.relation);
                if id.is_none_or(|id| before.journal.relations.contains_key(&id)) {
                    self.told(hook);
                }
            }
            Next::RunHook(hook) | Next::RetryHook(hook) => {
                self.may_run(hook);
                if self.unit.committed.len() > committed {
                    self.told(hook);
                    if *hook == Hook::ConfigChanged {
                        self.seen.config.clone_from(&before.config_hash);
                    }
                }
            }
            Next::DropRelations(ids) => {
                for id in ids {
                    self.seen.relations.remove(id);
                }
            }
            Next::Deploy { .. } => {
                let (then, now) = (&before.journal, &self.unit.snapshot.journal);
                self.seen.upgrade_owed |= then.installed
                    && (&then.charm, then.charm_modified) != (&now.charm, now.charm_modified);
            }
            _ => {}
        }
        if *self.unit.agent == *"idle" && next == Next::Idle {
            let snapshot = &self.unit.snapshot;
            assert_eq!(snapshot.journal.operation, Operation::Continue);
            let wanted = Wanted {
                charm: snapshot.charm.clone(),
                charm_modified: snapshot.charm_modified,
                config_hash: snapshot.config_hash.clone(),
                trust_hash: snapshot.trust_hash.clone(),
            };
            if snapshot.life == Life::Alive {
                assert_eq!(drift(&snapshot.journal, &wanted), None, "it has what it says");
            }
        }
    }

    /// Invariants 1 and 2: which hook may run now.
    fn may_run(&self, hook: &Hook) {
        let log = &self.unit.log;
        assert!(!self.seen.over, "{hook:?} after remove: {log:#?}");
        let (installed, started) = (self.seen.installed, self.seen.started);
        let Some(about) = hook.relation() else {
            match hook {
                Hook::Install => assert!(!installed, "{log:#?}"),
                Hook::StorageAttached(_) | Hook::StorageDetaching(_) => {}
                Hook::UpdateStatus | Hook::Stop => assert!(started, "{hook:?} {log:#?}"),
                _ => assert!(installed, "{hook:?} before install {log:#?}"),
            }
            return;
        };
        let told = self.seen.relations.get(&about.relation);
        if let Hook::RelationCreated(_) = hook {
            assert!(installed && told.is_none_or(|told| !told.created), "{log:#?}");
            return;
        }
        let told = told.unwrap_or_else(|| panic!("{hook:?} of an unknown relation {log:#?}"));
        assert!(told.created && (started || self.removed), "{hook:?} {log:#?}");
        if let Some(owed) = &told.owed {
            assert_eq!(about.remote_unit.as_ref(), Some(owed), "changed follows joined {log:#?}");
            assert!(matches!(hook, Hook::RelationChanged(_)), "{hook:?} {log:#?}");
        }
        let known = about.remote_unit.as_ref().is_some_and(|unit| told.members.contains(unit));
        match hook {
            Hook::RelationJoined(_) => assert!(!known, "joined twice {log:#?}"),
            Hook::RelationDeparted(_) => assert!(known, "{log:#?}"),
            Hook::RelationChanged(about) => {
                assert!(known || about.remote_unit.is_none(), "changed before joined {log:#?}");
            }
            Hook::RelationBroken(_) => {
                assert!(told.members.is_empty(), "broken before departed {log:#?}");
                assert_ne!(about.remote_application, "web", "peers never break {log:#?}");
            }
            _ => {}
        }
    }

    /// A hook was committed.
    fn told(&mut self, hook: &Hook) {
        match hook {
            Hook::Install => self.seen.installed = true,
            Hook::Start => self.seen.started = true,
            Hook::Remove => self.seen.over = true,
            Hook::UpgradeCharm => self.seen.upgrade_owed = false,
            Hook::ConfigChanged => {
                self.seen.config.clone_from(&self.unit.snapshot.journal.config_hash);
            }
            _ => {}
        }
        let Some(about) = hook.relation() else { return };
        let told = self.seen.relations.entry(about.relation).or_default();
        match (hook, about.remote_unit.clone()) {
            (Hook::RelationCreated(_), _) => told.created = true,
            (Hook::RelationJoined(_), Some(unit)) => {
                told.members.insert(unit.clone());
                told.owed = Some(unit);
            }
            (Hook::RelationChanged(_), Some(_)) => told.owed = None,
            (Hook::RelationDeparted(_), Some(unit)) => drop(told.members.remove(&unit)),
            (Hook::RelationBroken(_), _) => drop(self.seen.relations.remove(&about.relation)),
            _ => {}
        }
    }

    /// The world stands still; hooks succeed. Answers what the unit ends in.
    fn stand_still(&mut self, end: End) -> Next {
        self.unit.snapshot.retry_hooks = true;
        for _ in 0..1_500 {
            self.unit.local.retry_due = true;
            let next = self.unit.next();
            self.advance(end);
            if matches!(next, Next::Idle | Next::Dead) {
                return next;
            }
        }
        panic!("never rests: {:#?}", self.unit.log.iter().rev().take(40).collect::<Vec<_>>());
    }
}

/// `TUTTI_TEST_CASES` stories, for a long run.
fn cases() -> u32 {
    std::env::var("TUTTI_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants 1, 2, 4, 6 and 8.
    #[test]
    fn a_unit_comes_to_rest_and_knows_everything(story in prop::collection::vec(events(), 0..150)) {
        let mut told = Story::new();
        for event in &story {
            told.happen(event);
        }
        prop_assert_eq!(told.stand_still(End::Success), Next::Idle);
        let Story { unit, seen, .. } = &told;
        let (snapshot, journal) = (&unit.snapshot, &unit.snapshot.journal);
        prop_assert_eq!(&unit.agent, "idle");
        prop_assert_eq!(&unit.trouble, "");
        prop_assert_eq!(unit.observed, snapshot.generation);

        for (id, relation) in &snapshot.relations {
            if relation.suspended || relation.life != Life::Alive {
                prop_assert!(!journal.relations.contains_key(id));
                continue;
            }
            prop_assert!(relation.in_scope);
            let known = &journal.relations[id];
            prop_assert!(known.created && known.changed_pending.is_none());
            prop_assert_eq!(&known.members, &relation.members);
            prop_assert_eq!(&known.applications, &relation.applications);
            let members: BTreeSet<_> = relation.members.keys().cloned().collect();
            prop_assert_eq!(&seen.relations[id].members, &members);
        }
        prop_assert!(journal.relations.keys().all(|id| snapshot.relations.contains_key(id)));

        prop_assert_eq!(journal.charm.as_ref(), Some(&snapshot.charm), "no refresh is lost");
        prop_assert_eq!(journal.charm_modified, snapshot.charm_modified);
        prop_assert!(!seen.upgrade_owed, "{:#?}", unit.log);
        prop_assert_eq!(&seen.config, &snapshot.config_hash, "config-changed saw the last config");
        prop_assert_eq!(journal.leader, snapshot.leader);
        prop_assert!(snapshot.tasks.is_empty());
        let attached: BTreeSet<_> = journal.storage.keys().collect();
        prop_assert_eq!(attached, snapshot.storage.keys().collect::<BTreeSet<_>>());
    }

    /// Invariant 7: removal ends, whatever came before and however hooks end meanwhile.
    #[test]
    fn removal_ends(
        story in prop::collection::vec(events(), 0..100),
        meanwhile in prop::collection::vec(events(), 0..20),
        retry in any::<bool>(),
        end in ends(),
    ) {
        let mut told = Story::new();
        for event in story.iter().chain([&Event::Remove]).chain(&meanwhile) {
            told.happen(event);
        }
        told.unit.snapshot.retry_hooks = retry;
        for _ in 0..1_000 {
            told.advance(end);
        }
        let unit = &told.unit;
        prop_assert!(unit.dead, "{:#?}", unit.log.iter().rev().take(30).collect::<Vec<_>>());
        let left = |relation: &crate::agent::RelationSnapshot| !relation.in_scope;
        prop_assert!(unit.snapshot.relations.values().all(left));
        prop_assert!(unit.snapshot.storage.is_empty());
    }

    /// Invariant 5, the unit's half: a hook is begun before it is committed, and committed once.
    #[test]
    fn what_is_committed_was_begun(story in prop::collection::vec(events(), 0..100)) {
        let mut told = Story::new();
        for event in &story {
            told.happen(event);
        }
        for (hook, begun) in &told.unit.committed {
            let pending = matches!(
                &begun.journal.operation,
                Operation::RunHook { hook: other, step: crate::agent::HookStep::Pending }
                    if other == hook
            );
            prop_assert!(pending, "{:?}", hook);
        }
        let versions: BTreeSet<_> = told.unit.committed.iter().map(|(_, at)| at.version).collect();
        prop_assert_eq!(versions.len(), told.unit.committed.len());
    }
}
