//! An agent played by hand, step by step.

use std::collections::BTreeMap;

use tutti_client::{Error, Problem};
use tutti_model::agent::{
    Changes, Context, Journal, RelationId, RelationSettings, Report, Session, SessionRequest,
    Snapshot, Step, StepAnswer, TaskReport, UnitChanges,
};
use tutti_model::api::Life;

use crate::world::{World, refusal};

/// An agent with a session of its own.
pub(crate) struct Player<'w> {
    world: &'w World,
    pub(crate) session: i64,
}

impl<'w> Player<'w> {
    /// Opens a session.
    pub(crate) async fn start(world: &'w World) -> Self {
        let request = SessionRequest { hostname: "box".into(), ..SessionRequest::default() };
        let session: Session = world.post("/v1/agents/0/sessions", &request).await;
        Self { world, session: session.session }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/agents/0/{rest}session={}", self.session)
    }

    /// What changed after a generation.
    pub(crate) async fn changes(&self, after: i64, wait_ms: u64) -> UnitChanges {
        self.world.get(&self.path(&format!("changes?after={after}&wait_ms={wait_ms}&"))).await
    }

    /// The id of a unit.
    pub(crate) async fn id(&self, unit: &str) -> String {
        let changes = self.changes(0, 0).await;
        let found = changes.units.into_iter().find(|change| change.name == unit && !change.gone);
        found.unwrap_or_else(|| panic!("no unit {unit}")).id
    }

    pub(crate) async fn snapshot(&self, unit: &str) -> Snapshot {
        let id = self.id(unit).await;
        self.world.get(&self.path(&format!("units/{id}?"))).await
    }

    /// Makes a step on top of the unit's present journal.
    pub(crate) async fn try_step(&self, unit: &str, mut step: Step) -> Result<StepAnswer, Error> {
        let snapshot = self.snapshot(unit).await;
        step.version = snapshot.version;
        step.journal = match step.observed_generation {
            Some(_) => followed(&snapshot),
            None => snapshot.journal.clone(),
        };
        self.send(&snapshot.unit_id, &step).await
    }

    /// Makes a step as it is.
    pub(crate) async fn send(&self, id: &str, step: &Step) -> Result<StepAnswer, Error> {
        self.world.client.post(&self.path(&format!("units/{id}/steps?")), step).await
    }

    pub(crate) async fn step(&self, unit: &str, step: Step) -> Snapshot {
        self.try_step(unit, step).await.unwrap().snapshot.unwrap_or_default()
    }

    pub(crate) async fn context(&self, unit: &str) -> Context {
        let step = Step { want_context: true, ..Step::default() };
        self.try_step(unit, step).await.unwrap().context.unwrap()
    }

    /// Commits a hook with these changes.
    pub(crate) async fn flush(&self, unit: &str, changes: Changes) -> Snapshot {
        self.step(unit, Step { changes: Some(changes), ..Step::default() }).await
    }

    /// Commits a hook whose changes are refused.
    pub(crate) async fn refused(&self, unit: &str, changes: Changes) -> Problem {
        let step = Step { changes: Some(changes), ..Step::default() };
        let problem = refusal(self.try_step(unit, step).await);
        assert_eq!((problem.status, problem.code.as_str()), (422, "refused"));
        problem
    }

    /// Enters every alive relation the unit is not in.
    pub(crate) async fn enter_all(&self, unit: &str) -> Snapshot {
        let snapshot = self.snapshot(unit).await;
        let enter = snapshot.relations.iter();
        let enter = enter
            .filter(|(_, one)| one.life == Life::Alive && !one.in_scope)
            .map(|(id, _)| *id)
            .collect();
        self.step(unit, Step { enter, ..Step::default() }).await
    }

    /// Finishes a dying unit.
    pub(crate) async fn die(&self, unit: &str) {
        let snapshot = self.snapshot(unit).await;
        assert_eq!(snapshot.life, Life::Dying, "{unit}");
        let leave = snapshot.relations.iter().filter(|(_, one)| one.in_scope);
        let leave = leave.map(|(id, _)| *id).collect();
        let detached = snapshot.storage.keys().cloned().collect();
        self.step(unit, Step { leave, detached, dead: true, ..Step::default() }).await;
    }

    pub(crate) async fn report(&self, unit: &str, reports: &[Report]) {
        let id = self.id(unit).await;
        let path = self.path(&format!("units/{id}/reports?"));
        self.world.client.post::<_, ()>(&path, reports).await.unwrap();
    }

    pub(crate) async fn task(&self, unit: &str, task: TaskReport) -> StepAnswer {
        let want_context = task.status == "running";
        let step = Step { task: Some(task), want_context, ..Step::default() };
        self.try_step(unit, step).await.unwrap()
    }
}

/// The journal of a unit that has all its application wants.
pub(crate) fn followed(snapshot: &Snapshot) -> Journal {
    Journal {
        charm: Some(snapshot.charm.clone()),
        charm_modified: snapshot.charm_modified,
        config_hash: snapshot.config_hash.clone(),
        trust_hash: snapshot.trust_hash.clone(),
        ..snapshot.journal.clone()
    }
}

/// Strings by key.
pub(crate) fn bag(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A write to a databag.
pub(crate) fn write(relation: RelationId, application: bool, pairs: &[(&str, &str)]) -> Changes {
    let settings = RelationSettings { relation, application, settings: bag(pairs) };
    Changes { relations: vec![settings], ..Changes::default() }
}
