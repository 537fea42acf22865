//! A controller of a few units, in memory, that keeps to the agents' protocol: sessions that fence
//! older ones off, a change counter, steps guarded by the journal's version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path as Route, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tutti_agent::{Agent, Handle, Options, Timing};
use tutti_client::Address;
use tutti_model::agent::*;
use tutti_model::api::Life;
use tutti_model::operation;

use crate::charms::Charm;

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fake controller, its directory, and everything the agents told it.
pub(crate) struct Fake {
    pub(crate) directory: tempfile::TempDir,
    state: Shared,
}

type Shared = Arc<Inner>;

struct Inner {
    world: Mutex<World>,
    bell: watch::Sender<i64>,
}

#[derive(Default)]
struct World {
    /// UUID of the controller.
    name: String,
    session: i64,
    generation: i64,
    units: BTreeMap<String, Unit>,
    artifacts: BTreeMap<String, PathBuf>,
    /// So many next steps are taken, but their answers are lost.
    lost_answers: u32,
    /// The status and code that every call about a unit is answered with.
    broken: Option<(u16, &'static str)>,
    /// Calls answered so.
    refused: u32,
    /// Takes the agent's steps, and none by itself.
    leaves_all_to_the_agent: bool,
    /// Times an artifact was downloaded.
    downloads: u32,
}

/// One unit at the controller.
#[derive(Clone, Default)]
pub(crate) struct Unit {
    pub(crate) snapshot: Snapshot,
    pub(crate) context: Context,
    /// Every step taken.
    pub(crate) steps: Vec<Step>,
    /// Those the agent asked for.
    pub(crate) requests: usize,
    /// Every report, those in steps included.
    pub(crate) reports: Vec<Report>,
    pub(crate) agent_status: ContextStatus,
    pub(crate) workload_status: ContextStatus,
    pub(crate) observed: i64,
    /// How tasks ended.
    pub(crate) tasks: BTreeMap<i64, TaskReport>,
    /// Steps with changes are refused with this reason.
    pub(crate) refuse_changes: Option<String>,
    /// Whether the last task may run beside hooks.
    parallel: bool,
    gone: bool,
}

impl Unit {
    /// Whether the agent has handled everything.
    pub(crate) fn is_idle(&self) -> bool {
        self.agent_status.status == "idle" && self.observed >= self.snapshot.generation
    }

    /// Every deferred notice that was shown, the newest last.
    pub(crate) fn deferred(&self) -> Vec<DeferredNotice> {
        let shown = self.reports.iter().flat_map(|report| match report {
            Report::Deferred { notices } => notices.clone(),
            _ => Vec::new(),
        });
        shown.collect()
    }

    /// The log lines at a level.
    pub(crate) fn lines(&self, level: &str) -> Vec<String> {
        let lines = self.reports.iter().flat_map(|report| match report {
            Report::Log { lines } => lines.as_slice(),
            _ => &[],
        });
        lines.filter(|line| line.level == level).map(|line| line.message.clone()).collect()
    }
}

impl Fake {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World { name: "one".into(), ..World::default() };
        let state = Arc::new(Inner { world: Mutex::new(world), bell: watch::channel(0).0 });
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let app = router(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { directory, state }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.state.world.lock().unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        let directory = self.directory.path();
        let address = Address::Unix(directory.join("socket"));
        let timing = Timing {
            pace: 0.02,
            stop_grace: Duration::from_millis(200),
            reconnect_longest: Duration::from_millis(100),
            ..Timing::default()
        };
        let options = Options::new(address, directory.join("data"), "0", program());
        Options { timing, ..options }
    }

    pub(crate) fn agent(&self) -> Handle {
        Agent::start(self.options()).unwrap()
    }

    /// Makes a charm known.
    pub(crate) fn publish(&self, charm: Charm, revision: i64) -> CharmReference {
        let (reference, path) = charm.pack(self.directory.path(), revision);
        self.world().artifacts.insert(reference.digest.clone(), path);
        reference
    }

    /// Adds a unit and returns its id.
    pub(crate) fn add(&self, name: &str, charm: &CharmReference) -> String {
        let id = format!("id-{}", name.replace('/', "-"));
        let model = ModelIdentity { uuid: "m-1".into(), name: "m".into(), ..Default::default() };
        let snapshot = Snapshot {
            unit: name.into(),
            unit_id: id.clone(),
            model,
            charm: charm.clone(),
            charm_modified: 1,
            config_hash: "c1".into(),
            retry_hooks: true,
            machine: Some("0".into()),
            ..Snapshot::default()
        };
        self.world().units.insert(id.clone(), Unit { snapshot, ..Unit::default() });
        self.change(&id, |_| ());
        id
    }

    /// Changes what is wanted of a unit and tells its agent.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Unit)) {
        let mut world = self.world();
        world.generation += 1;
        let generation = world.generation;
        let unit = world.units.get_mut(id).unwrap();
        change(unit);
        unit.snapshot.generation = generation;
        self.state.bell.send_replace(generation);
    }

    /// Forgets a unit, as forced removal does.
    pub(crate) fn forget(&self, id: &str) {
        self.change(id, |unit| unit.gone = true);
    }

    pub(crate) fn lose_answers(&self, count: u32) {
        self.world().lost_answers = count;
    }

    /// From now on another controller answers, which has no units.
    pub(crate) fn become_another(&self) {
        let mut world = self.world();
        world.name = "another".into();
        world.units.clear();
    }

    pub(crate) fn leave_all_to_the_agent(&self) {
        self.world().leaves_all_to_the_agent = true;
    }

    /// From now on every step and report is answered with an error.
    pub(crate) fn break_down(&self) {
        self.refuse(503, "broken");
    }

    /// From now on every call about a unit is answered with this problem; with an empty code by
    /// something that is no controller.
    pub(crate) fn refuse(&self, status: u16, code: &'static str) {
        let mut world = self.world();
        (world.broken, world.refused) = (Some((status, code)), 0);
    }

    /// The end of [`Fake::refuse`].
    pub(crate) fn mend(&self) {
        self.world().broken = None;
    }

    /// Calls refused since [`Fake::refuse`].
    pub(crate) fn refused(&self) -> u32 {
        self.world().refused
    }

    pub(crate) fn downloads(&self) -> u32 {
        self.world().downloads
    }

    pub(crate) fn unit(&self, id: &str) -> Unit {
        self.world().units[id].clone()
    }

    pub(crate) fn is_gone(&self, id: &str) -> bool {
        self.world().units[id].gone
    }

    /// The unit's directory.
    pub(crate) fn unit_directory(&self, id: &str) -> PathBuf {
        let name = id.replacen("id-", "unit-", 1);
        self.directory.path().join("data/models/m-1/agents").join(name)
    }

    /// The events the unit's charm has seen, one per line.
    pub(crate) fn log(&self, id: &str) -> Vec<String> {
        lines(&self.unit_directory(id).join("log"))
    }

    /// Waits until the unit is as wanted.
    pub(crate) async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Unit) -> bool) -> Unit {
        let mut bell = self.state.bell.subscribe();
        let found = async {
            loop {
                bell.borrow_and_update();
                let unit = self.unit(id);
                if wanted(&unit) {
                    return unit;
                }
                bell.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(unit) => unit,
            Err(_) => {
                let unit = self.unit(id);
                panic!(
                    "{id} never was {what}: {:?} {:?} {:#?}\nsaw {:?}\nlog {:?}",
                    unit.agent_status,
                    unit.workload_status,
                    unit.snapshot.journal,
                    self.log(id),
                    unit.reports
                )
            }
        }
    }

    pub(crate) async fn until_idle(&self, id: &str) -> Unit {
        self.until(id, "idle", Unit::is_idle).await
    }

    /// Waits until a file of the unit's directory exists.
    pub(crate) async fn until_file(&self, id: &str, name: &str) {
        let path = self.unit_directory(id).join(name);
        soon("the file appears", || path.exists()).await;
    }
}

/// The example that is an agent, and every hook tool. `cargo test` builds it unless it is told which
/// targets to test; `cargo build --examples` does.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/agent")
}

/// Waits until something holds that nobody tells of.
pub(crate) async fn soon(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(what);
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn router(state: Shared) -> Router {
    Router::new()
        .route("/v1/agents/{machine}/sessions", post(open))
        .route("/v1/agents/{machine}/changes", get(changes))
        .route("/v1/agents/{machine}/units/{unit}", get(snapshot))
        .route("/v1/agents/{machine}/units/{unit}/steps", post(step))
        .route("/v1/agents/{machine}/units/{unit}/reports", post(report))
        .route("/v1/artifacts/{digest}", get(artifact))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(state)
}

type Parameters = Query<BTreeMap<String, String>>;
type Refusal = (StatusCode, Json<Value>);
type Answer<T> = Result<Json<T>, Refusal>;

fn problem(status: StatusCode, code: &str) -> Refusal {
    if code.is_empty() {
        return (status, Json(json!("nothing here")));
    }
    (status, Json(json!({ "code": code, "status": status.as_u16(), "detail": code })))
}

impl World {
    fn check(&self, parameters: &Parameters) -> Result<(), Refusal> {
        let session = parameters.get("session").and_then(|session| session.parse().ok());
        if session == Some(self.session) {
            return Ok(());
        }
        Err(problem(StatusCode::CONFLICT, "stale-session"))
    }

    fn unit(&mut self, parameters: &Parameters, id: &str) -> Result<&mut Unit, Refusal> {
        self.check(parameters)?;
        if let Some((status, code)) = self.broken {
            self.refused += 1;
            return Err(problem(StatusCode::from_u16(status).unwrap(), code));
        }
        let unit = self.units.get_mut(id).filter(|unit| !unit.gone);
        unit.ok_or_else(|| problem(StatusCode::NOT_FOUND, "unit-not-found"))
    }

    fn changes(&self, after: i64) -> Vec<UnitChange> {
        let changed = self.units.values().filter(|unit| unit.snapshot.generation > after);
        changed.map(change).collect()
    }
}

fn change(unit: &Unit) -> UnitChange {
    UnitChange {
        id: unit.snapshot.unit_id.clone(),
        name: unit.snapshot.unit.clone(),
        model: unit.snapshot.model.name.clone(),
        model_uuid: unit.snapshot.model.uuid.clone(),
        generation: unit.snapshot.generation,
        gone: unit.gone,
    }
}

async fn open(State(state): State<Shared>, Json(_): Json<SessionRequest>) -> Json<Session> {
    let mut world = state.world.lock().unwrap();
    world.session += 1;
    let present = world.units.values().filter(|unit| !unit.gone);
    let units = present.map(change).collect();
    state.bell.send_modify(|_| ());
    let controller = world.name.clone();
    Json(Session { session: world.session, controller, units, after: world.generation })
}

async fn changes(State(state): State<Shared>, parameters: Parameters) -> Answer<UnitChanges> {
    let after: i64 = parameters["after"].parse().unwrap();
    let wait = Duration::from_millis(parameters["wait_ms"].parse().unwrap());
    let mut bell = state.bell.subscribe();
    let changed = async {
        loop {
            bell.borrow_and_update();
            {
                let world = state.world.lock().unwrap();
                world.check(&parameters)?;
                if world.generation > after {
                    return Ok(());
                }
            }
            let _ = bell.changed().await;
        }
    };
    if let Ok(refused @ Err(_)) = tokio::time::timeout(wait, changed).await {
        refused?;
    }
    let world = state.world.lock().unwrap();
    Ok(Json(UnitChanges { units: world.changes(after), after: world.generation }))
}

async fn snapshot(
    State(state): State<Shared>,
    Route((_, id)): Route<(String, String)>,
    parameters: Parameters,
) -> Answer<Snapshot> {
    let mut world = state.world.lock().unwrap();
    Ok(Json(world.unit(&parameters, &id)?.snapshot.clone()))
}

async fn step(
    State(state): State<Shared>,
    Route((_, id)): Route<(String, String)>,
    parameters: Parameters,
    Json(step): Json<Step>,
) -> Answer<StepAnswer> {
    let mut world = state.world.lock().unwrap();
    let follows = !world.leaves_all_to_the_agent;
    let unit = world.unit(&parameters, &id)?;
    if step.version != unit.snapshot.version {
        let snapshot = serde_json::to_value(&unit.snapshot).unwrap();
        return Err((StatusCode::CONFLICT, Json(snapshot)));
    }
    if let (Some(reason), Some(_)) = (&unit.refuse_changes, &step.changes) {
        return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, reason));
    }
    unit.requests += 1;
    unit.apply(step.clone());
    let followed = match step.follow.as_ref().filter(|_| follows && !unit.gone) {
        Some(follow) => unit.go_on(follow),
        None => Followed::Nothing,
    };
    let context = step.want_context || matches!(followed, Followed::Begun(_));
    let answer = StepAnswer {
        snapshot: (!unit.gone).then(|| unit.snapshot.clone()),
        context: context.then(|| unit.context_of(&step)),
        followed,
    };
    // Wakes those who wait for the unit, not its agent: the generation stays.
    state.bell.send_modify(|_| ());
    if world.lost_answers > 0 {
        world.lost_answers -= 1;
        return Err(problem(StatusCode::SERVICE_UNAVAILABLE, "away"));
    }
    Ok(Json(answer))
}

async fn report(
    State(state): State<Shared>,
    Route((_, id)): Route<(String, String)>,
    parameters: Parameters,
    Json(reports): Json<Vec<Report>>,
) -> Result<StatusCode, Refusal> {
    let mut world = state.world.lock().unwrap();
    world.unit(&parameters, &id)?.take(reports);
    state.bell.send_modify(|_| ());
    Ok(StatusCode::NO_CONTENT)
}

async fn artifact(
    State(state): State<Shared>,
    Route(digest): Route<String>,
) -> Result<Vec<u8>, Refusal> {
    let mut world = state.world.lock().unwrap();
    world.downloads += 1;
    let path = world.artifacts.get(&digest);
    let path = path.ok_or_else(|| problem(StatusCode::NOT_FOUND, "artifact-not-found"))?;
    Ok(std::fs::read(path).unwrap())
}

impl Unit {
    fn go_on(&mut self, follow: &Follow) -> Followed {
        loop {
            let Some((step, followed)) = operation::follow(&self.snapshot, follow) else {
                return Followed::Nothing;
            };
            self.apply(step);
            if followed != Followed::Nothing {
                return followed;
            }
        }
    }

    fn apply(&mut self, step: Step) {
        step.journal.check().expect("the journal is possible");
        self.take(step.reports.clone());
        let snapshot = &mut self.snapshot;
        snapshot.journal = step.journal.clone();
        snapshot.version += 1;
        for id in &step.enter {
            snapshot.relations.get_mut(id).unwrap().in_scope = true;
        }
        for id in &step.leave {
            snapshot.relations.remove(id);
        }
        for (id, location) in &step.provisioned {
            let storage = snapshot.storage.get_mut(id).unwrap();
            storage.provisioned = true;
            storage.location.clone_from(location);
        }
        snapshot.storage.retain(|id, _| !step.detached.contains(id));
        if step.clear_resolved {
            snapshot.resolved = Resolved::None;
        }
        if let Some(task) = &step.task {
            let ended = self.tasks.get(&task.task).is_some_and(|known| known.status != "running");
            assert!(!ended, "task {} ends twice", task.task);
            self.tasks.insert(task.task, task.clone());
            // Running ones are listed again once they are cancelled.
            snapshot.tasks.retain(|other| other.task != task.task);
        }
        if let Some(status) = &step.agent_status {
            self.agent_status.clone_from(status);
        }
        if let Some(status) = &step.workload_status {
            self.workload_status.clone_from(status);
        }
        self.observed = step.observed_generation.unwrap_or(self.observed);
        self.gone |= step.dead;
        self.steps.push(step);
    }

    fn take(&mut self, reports: Vec<Report>) {
        for report in &reports {
            if let Report::Status { application: false, status } = report {
                self.workload_status = status.clone();
            }
        }
        self.reports.extend(reports);
    }

    fn context_of(&self, step: &Step) -> Context {
        let mut context = self.context.clone();
        context.leader = self.snapshot.leader;
        for (id, storage) in &self.snapshot.storage {
            let (kind, location) = (storage.kind.clone(), storage.location.clone());
            context.storage.insert(id.clone(), ContextStorage { kind, location });
        }
        if step.task.is_none() {
            context.action = None;
        }
        context
    }

    /// Makes the unit dying, as `remove-unit` does.
    pub(crate) fn die(&mut self) {
        self.snapshot.life = Life::Dying;
    }

    /// Cancels a task.
    pub(crate) fn cancel(&mut self, task: i64) {
        self.snapshot.tasks.retain(|other| other.task != task);
        self.snapshot.tasks.push(PendingTask {
            task,
            name: self.context.action.as_ref().unwrap().name.clone(),
            work: TaskWork::Exec,
            parallel: self.parallel,
            cancelled: true,
        });
    }

    /// Asks for a task.
    pub(crate) fn task(&mut self, task: i64, name: &str, action: Value) {
        let exec = name == "juju-exec";
        let work = if exec { TaskWork::Exec } else { TaskWork::Action };
        let parallel = action["parallel"] == true;
        self.parallel = parallel;
        let name = name.to_owned();
        let pending = PendingTask { task, name: name.clone(), work, parallel, cancelled: false };
        self.snapshot.tasks.push(pending);
        let text = |key: &str| action[key].as_str().unwrap_or_default().to_owned();
        self.context.action = Some(ContextAction {
            task,
            name,
            parameters: action["parameters"].clone(),
            command: text("command"),
            timeout_ms: action["timeout"].as_u64().unwrap_or_default(),
        });
    }
}
