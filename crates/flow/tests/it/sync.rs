//! How far a resource is: whatever happens to the flows about it, what is said of it is true.

use std::collections::BTreeMap;

use tutti_flow::{
    Error, FlowFilter, FlowState, NewFlow, NewTask, Sync, SyncState, Wait, Work, abandon, cancel,
    query, retry, revert, signal, sync_state,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{Log, Place, engine, flow, named, now, row, step, submit};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// An application as it really is: its units have handled changes, and its flows wait for them.
struct World<'s> {
    store: &'s Store,
    name: String,
    generation: i64,
    /// The newest change, over all generations and units.
    change: i64,
    /// What each unit has handled; the greatest number once it is gone.
    units: Vec<i64>,
    /// By generation, which units have to handle what.
    wanted: BTreeMap<i64, Vec<(usize, i64)>>,
    flows: Vec<Uuid>,
    observed: i64,
    applied: i64,
}

impl<'s> World<'s> {
    fn new(store: &'s Store, number: u64) -> Self {
        Self {
            store,
            name: format!("app/{number}"),
            generation: 0,
            change: 0,
            units: Vec::new(),
            wanted: BTreeMap::new(),
            flows: Vec::new(),
            observed: 0,
            applied: 0,
        }
    }

    fn key(&self, unit: usize) -> String {
        format!("{}/unit/{unit}", self.name)
    }

    /// A new generation that these units have to handle.
    async fn wish(&mut self, kind: &str, units: Vec<usize>) {
        self.generation += 1;
        self.change += 1;
        let wait = |unit: &usize| NewTask {
            work: Work::Wait(Wait { key: self.key(*unit), at_least: self.change }),
            ..step(named("wait"), &[])
        };
        let new = NewFlow {
            kind: kind.into(),
            converge: kind == "configure",
            generation: Some(self.generation),
            ..flow(&[&self.name], units.iter().map(wait).collect())
        };
        self.flows.push(submit(self.store, new).await.id);
        let wanted = units.into_iter().map(|unit| (unit, self.change)).collect();
        self.wanted.insert(self.generation, wanted);
    }

    async fn handle(&mut self, unit: usize, change: i64) {
        self.units[unit] = self.units[unit].max(change);
        let key = self.key(unit);
        self.store.write(move |tx| signal(tx, &key, change, now())).await.unwrap();
    }

    async fn ask(&self, dice: &mut Dice) {
        type Verb = fn(&mut Tx<'_>, Uuid) -> tutti_flow::Result<()>;
        if self.flows.is_empty() {
            return;
        }
        let id = self.flows[dice.roll(self.flows.len())];
        let verbs: [Verb; 5] = [cancel, cancel, retry, revert, abandon];
        let verb = verbs[dice.roll(verbs.len())];
        // What cannot be done now changes nothing.
        let _ = self.store.write(move |tx| verb(tx, id)).await;
    }

    async fn sync(&self) -> Sync {
        let name = self.name.clone();
        self.store.read(move |tx| sync_state(tx, &name)).await.unwrap()
    }

    /// Whether every unit has handled what it has to, up to a generation.
    fn has_arrived(&self, generation: i64) -> bool {
        let mut wanted = self.wanted.range(..=generation).flat_map(|(_, wanted)| wanted);
        wanted.all(|(unit, change)| self.units[*unit] >= *change)
    }

    async fn check(&mut self) {
        let name = self.name.clone();
        let (sync, open) = self
            .store
            .read(move |tx| {
                let state = FlowState::ALL.iter().copied().filter(|state| !state.is_ended());
                let filter = FlowFilter {
                    resource: Some(name.clone()),
                    state: state.collect(),
                    ..FlowFilter::default()
                };
                Ok::<_, tutti_flow::Error>((
                    sync_state(tx, &name)?,
                    !query::flows(tx, &filter)?.is_empty(),
                ))
            })
            .await
            .unwrap();
        let before = |oldest: Option<i64>| oldest.map_or(self.generation, |oldest| oldest - 1);
        let (applied, observed) = (before(sync.missing), before(sync.unhandled));
        let what =
            format!("{sync:?} of {}, applied {applied} observed {observed}", self.generation);
        assert!(applied <= observed && observed <= self.generation, "{what}");
        assert!(applied >= self.applied && observed >= self.observed, "fell: {what}");
        assert!(self.has_arrived(applied), "has not arrived: {what}");
        let under_way = !matches!(sync.state, SyncState::InSync | SyncState::Failed);
        assert_eq!(under_way, open, "{what}");
        let whole = applied == self.generation && !open;
        assert_eq!(sync.state == SyncState::InSync, whole, "{what}");
        assert!(open || whole || !self.has_arrived(self.generation), "is there: {what}");
        (self.applied, self.observed) = (applied, observed);
    }
}

#[tokio::test]
async fn what_is_said_is_true_whatever_happens() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        for seed in 0..40 {
            let (mut world, mut dice) = (World::new(&store, seed), Dice(seed));
            for _ in 0..25 {
                let unit = dice.roll(world.units.len().max(1));
                match dice.roll(9) {
                    0 | 1 => world.wish("configure", (0..world.units.len()).collect()).await,
                    2 => {
                        world.units.push(0);
                        world.wish("add-units", vec![world.units.len() - 1]).await;
                    }
                    3 => world.wish("expose", Vec::new()).await,
                    4..=6 if !world.units.is_empty() => {
                        let change = match dice.roll(12) {
                            0 => i64::MAX,
                            1..=3 => world.change - 1,
                            _ => world.change,
                        };
                        world.handle(unit, change).await;
                    }
                    _ => world.ask(&mut dice).await,
                }
                world.check().await;
            }
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_flow_does_not_hide_what_did_not_arrive() {
    for place in Place::all() {
        let store = place.open().await;
        let mut world = World::new(&store, 0);
        world.units.push(0);
        world.wish("deploy", vec![0]).await;
        world.handle(0, 1).await;
        world.wish("configure", vec![0]).await;
        let (deploy, configure) = (world.flows[0], world.flows[1]);
        store.write(move |tx| cancel(tx, configure)).await.unwrap();
        world.units.push(0);
        world.wish("add-units", vec![1]).await;
        world.handle(1, 3).await;
        assert_eq!(row(&store, world.flows[2]).await.state, FlowState::Succeeded);
        world.check().await;
        let found = world.sync().await;
        assert_eq!((found.state, found.flow), (SyncState::Failed, Some(configure)));
        assert_eq!((found.missing, found.unhandled), (Some(2), None));
        assert_eq!(found.reason, "cancelled");
        let refused = store.write(move |tx| revert(tx, deploy)).await.unwrap_err();
        assert!(matches!(refused, Error::NothingDone { .. }), "{refused}");
        // The unit catches up by itself.
        world.handle(0, 2).await;
        world.check().await;
        assert_eq!(world.sync().await.state, SyncState::InSync);
        store.close().await;
    }
}
