//! A database of a test's own on each engine, handlers that log what they do, and flows in a line.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{
    Access, Builder, Engine, Failure, FlowRow, FlowState, NewFlow, NewTask, Outcome, Retry, Task,
    TaskContext, TaskFilter, TaskRow, query,
};
use tutti_store::Store;
use uuid::Uuid;

/// A place for a database.
pub(crate) struct Place {
    pub(crate) url: String,
    _directory: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", directory.path().display());
        Self { url, _directory: Some(directory) }
    }

    pub(crate) fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TUTTI_TEST_POSTGRES").ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let url = format!("{server}?schema=flow_test_{}_{number}", std::process::id());
        Some(Self { url, _directory: None })
    }

    pub(crate) fn all() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres()).collect()
    }

    /// The same database as another process would open it that hears no bell of this one: a schema of views of its tables, as
    /// bells ring for schemas.
    pub(crate) async fn deaf(&self, store: &Store) -> (Self, Store) {
        let url = format!("{}_deaf", self.url);
        let deaf = Store::open(&url, &[]).await.unwrap();
        let (_, schema) = self.url.split_once("?schema=").unwrap();
        let schema = schema.to_owned();
        store
            .write(move |tx| {
                let like = "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'flow%'";
                let tables: Vec<String> = tx.all(like, (&schema,))?;
                for table in tables {
                    let sql = format!("CREATE VIEW {schema}_deaf.{table} AS SELECT * FROM {schema}.{table}");
                    tx.exec(sql.leak(), ())?;
                }
                Ok::<_, tutti_store::Error>(())
            })
            .await
            .unwrap();
        (Self { url, _directory: None }, deaf)
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url, tutti_flow::MIGRATIONS).await.unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((server, schema)) = self.url.split_once("?schema=") else { return };
        let (server, schema) = (server.to_owned(), schema.to_owned());
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Store::open(&server, &[]).await.unwrap();
                // The statement outlives the test process anyway.
                let sql: &'static str = format!("DROP SCHEMA IF EXISTS {schema} CASCADE").leak();
                store.write(move |tx| tx.exec(sql, ())).await.unwrap();
                store.close().await;
            });
        });
        dropping.join().unwrap();
    }
}

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// What happened since this was asked last.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Waits until a line is there.
    pub(crate) async fn has(&self, line: &str) {
        let wait = async {
            while !self.lines().iter().any(|one| one == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no line {line}"));
    }
}

/// Logs `+name` when it begins and `-name` when it ends, fails as told, and logs `~name` when undone.
pub(crate) struct Step(pub(crate) Log);

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) millis: u64,
    /// Runs until this line is in the log.
    pub(crate) until: String,
    /// Fails this often before it succeeds.
    pub(crate) failures: u32,
    pub(crate) terminal: bool,
    pub(crate) panics: bool,
    pub(crate) until_cancelled: bool,
    pub(crate) revert_fails: bool,
}

impl Task for Step {
    const NAME: &'static str = "step";
    type Input = Plan;
    type Output = String;

    async fn execute(&self, context: TaskContext, plan: Plan) -> Result<String, Failure> {
        self.0.add(format!("+{}", plan.name));
        if plan.until_cancelled {
            context.cancelled().await;
        }
        if !plan.until.is_empty() {
            self.0.has(&plan.until).await;
        }
        tokio::time::sleep(Duration::from_millis(plan.millis)).await;
        if plan.panics {
            panic!("on purpose");
        }
        if plan.terminal {
            return Err(Failure::Terminal(format!("{} refused", plan.name)));
        }
        if context.attempt <= plan.failures {
            return Err(Failure::Retryable(format!("{} busy", plan.name)));
        }
        self.0.add(format!("-{}", plan.name));
        Ok(format!("made by {}", plan.name))
    }

    async fn revert(
        &self,
        _: TaskContext,
        plan: Plan,
        outcome: Outcome<String>,
    ) -> Result<(), Failure> {
        let what = match outcome {
            Outcome::Succeeded(output) => output,
            Outcome::Failed(message) => message,
            Outcome::Unknown => "unknown".into(),
        };
        self.0.add(format!("~{} ({what})", plan.name));
        if plan.revert_fails { Err(Failure::Terminal("cannot undo".into())) } else { Ok(()) }
    }
}

pub(crate) fn step(plan: Plan, needs: &[usize]) -> NewTask {
    NewTask {
        name: Step::NAME.into(),
        title: format!("do {}", plan.name),
        input: json!(plan),
        needs: needs.to_vec(),
        retry: Retry::times(3),
        ..NewTask::default()
    }
}

pub(crate) fn named(name: &str) -> Plan {
    Plan { name: name.into(), ..Plan::default() }
}

pub(crate) fn flow(resources: &[&str], tasks: Vec<NewTask>) -> NewFlow {
    NewFlow {
        id: Uuid::now_v7(),
        kind: "test".into(),
        title: "test the engine".into(),
        model: Some("one".into()),
        resources: resources.iter().map(|name| ((*name).into(), Access::Exclusive)).collect(),
        tasks,
        ..NewFlow::default()
    }
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    since.as_micros().try_into().unwrap()
}

pub(crate) async fn submit(store: &Store, flow: NewFlow) -> FlowRow {
    store.write(move |tx| tutti_flow::submit(tx, flow.clone(), now())).await.unwrap()
}

pub(crate) async fn ended(store: &Store, id: Uuid) -> FlowRow {
    tokio::time::timeout(PATIENCE, tutti_flow::ended(store, id))
        .await
        .expect("the flow ends in time")
        .unwrap()
}

pub(crate) async fn state(store: &Store, id: Uuid) -> FlowState {
    store.read(move |tx| query::flow(tx, id)).await.unwrap().unwrap().state
}

pub(crate) async fn tasks(store: &Store, flow: Uuid) -> Vec<TaskRow> {
    let filter = TaskFilter { flow: Some(flow), ..TaskFilter::default() };
    store.read(move |tx| query::tasks(tx, &filter)).await.unwrap()
}

/// Waits until a flow is in a state.
pub(crate) async fn reaches(store: &Store, id: Uuid, wanted: FlowState) {
    sees("the state", || async { (state(store, id).await == wanted).then_some(()) }).await;
}

/// Looks again and again until something is there; answers what was seen, so that nothing can
/// change between seeing and looking closer.
pub(crate) async fn sees<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never there: {what}"))
}

pub(crate) fn engine(store: &Store, log: &Log) -> Builder {
    Engine::builder(store.clone()).task(Step(log.clone()))
}

pub(crate) async fn row(store: &Store, id: Uuid) -> FlowRow {
    store.read(move |tx| query::flow(tx, id)).await.unwrap().unwrap()
}
