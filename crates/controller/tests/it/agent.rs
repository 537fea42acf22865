//! An agent that does what it is asked at once, without running any hook.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tutti_client::Client;
use tutti_model::agent::{
    ContextStatus, Session, SessionRequest, Snapshot, Step, StepAnswer, UnitChange, UnitChanges,
};
use tutti_model::api::Life;

use crate::player::followed;

/// A running agent; dropping it ends it.
pub(crate) struct Agent {
    task: JoinHandle<()>,
    stuck: Arc<Mutex<BTreeSet<String>>>,
}

impl Agent {
    /// Opens a session and serves every unit.
    pub(crate) async fn start(client: Client) -> Self {
        let stuck = Arc::new(Mutex::new(BTreeSet::new()));
        let request = SessionRequest { hostname: "box".into(), ..SessionRequest::default() };
        let session: Session = client.post("/v1/agents/0/sessions", &request).await.unwrap();
        let worker = Worker { client, session: session.session, stuck: Arc::clone(&stuck) };
        let task = tokio::spawn(worker.run(session));
        Self { task, stuck }
    }

    /// From now on this unit fails its hooks.
    pub(crate) fn break_unit(&self, unit: &str) {
        self.stuck.lock().unwrap().insert(unit.into());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Worker {
    client: Client,
    session: i64,
    stuck: Arc<Mutex<BTreeSet<String>>>,
}

impl Worker {
    async fn run(self, session: Session) {
        let mut after = session.after;
        let mut changed = session.units;
        loop {
            for unit in changed.iter().filter(|unit| !unit.gone) {
                self.serve(unit).await;
            }
            let path =
                format!("/v1/agents/0/changes?session={}&after={after}&wait_ms=5000", self.session);
            let Ok(changes) = self.client.get::<UnitChanges>(&path).await else { return };
            (after, changed) = (changes.after, changes.units);
        }
    }

    /// Brings a unit to where the controller wants it. What goes wrong is tried with the next change.
    async fn serve(&self, unit: &UnitChange) {
        let path =
            |tail: &str| format!("/v1/agents/0/units/{}{tail}?session={}", unit.id, self.session);
        let Ok(snapshot) = self.client.get::<Snapshot>(&path("")).await else { return };
        let stuck = self.stuck.lock().unwrap().contains(&unit.name);
        let mut next = Some(snapshot);
        while let Some(snapshot) = next.take() {
            let Some(step) = step(&snapshot, stuck) else { return };
            let Ok(answer) = self.client.post::<_, StepAnswer>(&path("/steps"), &step).await else {
                return;
            };
            next = answer.snapshot;
        }
    }
}

/// One step that does all there is to do; none if there is nothing.
fn step(snapshot: &Snapshot, stuck: bool) -> Option<Step> {
    let mut journal = followed(snapshot);
    (journal.installed, journal.started) = (true, true);
    // What it has handled: when nothing is newer, there is nothing to do.
    journal.boot_id = snapshot.generation.to_string();
    let status = |status: &str, message: &str| {
        Some(ContextStatus { status: status.into(), message: message.into() })
    };
    let mut step = Step { version: snapshot.version, journal, ..Step::default() };
    if stuck {
        if !snapshot.journal.installed {
            step.trouble = Some("hook failed: \"install\"".into());
            step.agent_status = status("error", "hook failed: \"install\"");
            return Some(step);
        }
        return None;
    }
    if snapshot.life == Life::Alive {
        let provisioned = snapshot.storage.iter().filter(|(_, storage)| !storage.provisioned);
        step.provisioned = provisioned.map(|(id, _)| (id.clone(), format!("/srv/{id}"))).collect();
        let relations = snapshot.relations.iter();
        for (id, relation) in relations {
            match relation.life {
                Life::Alive if !relation.in_scope => step.enter.push(*id),
                Life::Dying if relation.in_scope => step.leave.push(*id),
                _ => {}
            }
        }
        step.observed_generation = Some(snapshot.generation);
        step.agent_status = status("idle", "");
        step.workload_status = status("active", "ready");
        step.trouble = Some(String::new());
        return (snapshot.journal != step.journal).then_some(step);
    }
    let inside = snapshot.relations.iter().filter(|(_, relation)| relation.in_scope);
    step.leave = inside.map(|(id, _)| *id).collect();
    step.detached = snapshot.storage.keys().cloned().collect();
    step.dead = snapshot.subordinates.is_empty();
    (step.dead || !step.leave.is_empty() || !step.detached.is_empty()).then_some(step)
}
