//! A controller of a test's own, on each engine there is, and shortcuts to its API.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tutti_client::{Client, Error, Problem};
use tutti_controller::{Controller, Options};
use tutti_model::api::{
    Accepted, ApplicationInfo, CharmInfo, Deploy, FlowInfo, ModelCreate, ModelInfo, Status,
};
use tutti_store::Store;

use crate::agent::Agent;
use crate::charm::Source;

/// A running controller.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) options: Options,
    controller: Option<Controller>,
    schema: Option<(String, String)>,
    pub(crate) directory: TempDir,
}

impl World {
    /// A fresh controller on every engine.
    pub(crate) async fn all() -> Vec<Self> {
        let mut worlds = vec![Self::sqlite().await];
        worlds.extend(Self::postgres().await);
        worlds
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new(directory.path().join("data"));
        Self::start(directory, options, None).await
    }

    async fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TUTTI_TEST_POSTGRES").ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("controller_test_{}_{number}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::new(directory.path().join("data"));
        options.database = Some(format!("{server}?schema={schema}"));
        Some(Self::start(directory, options, Some((server, schema))).await)
    }

    async fn start(directory: TempDir, options: Options, schema: Option<(String, String)>) -> Self {
        let controller = Controller::start(options.clone()).await.unwrap();
        let address = format!("unix:{}", options.socket().display());
        let client = Client::connect(&address.parse().unwrap()).await.unwrap();
        Self { client, options, controller: Some(controller), schema, directory }
    }

    /// Stops the controller and starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops the controller.
    pub(crate) async fn stop(&mut self) {
        self.controller.take().unwrap().stop().await;
    }

    /// Starts the controller after [`World::stop`].
    pub(crate) async fn start_again(&mut self) {
        self.controller = Some(Controller::start(self.options.clone()).await.unwrap());
    }

    /// Stops the controller for good.
    pub(crate) async fn end(mut self) {
        self.controller.take().unwrap().stop().await;
    }

    /// Stops the controller and answers which of these tables hold rows.
    pub(crate) async fn leftovers(mut self, tables: &[&'static str]) -> Vec<(&'static str, i64)> {
        self.controller.take().unwrap().stop().await;
        let file = self.options.data.join("tutti.db").display().to_string();
        let url = self.options.database.clone().unwrap_or(file);
        let store = Store::open(&url, &[]).await.unwrap();
        let mut found = Vec::new();
        for table in tables {
            // The statement outlives the test process anyway.
            let sql: &'static str = format!("SELECT COUNT(*) FROM {table}").leak();
            let rows: i64 = store.read(move |tx| tx.one(sql, ())).await.unwrap();
            if rows > 0 {
                found.push((*table, rows));
            }
        }
        store.close().await;
        found
    }

    /// Sends a request by hand; answers status line, headers and body.
    pub(crate) async fn raw(&self, head: &str, body: &str) -> String {
        let mut socket = UnixStream::connect(self.options.socket()).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Sends a request with headers; answers everything of the answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let lines: String =
            headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut socket = UnixStream::connect(self.options.socket()).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}{lines}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        Answer::read(&answer)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.client.get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: impl Serialize) -> T {
        self.client.post(path, &body).await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub(crate) async fn put(&self, path: &str, body: impl Serialize) -> Accepted {
        self.client.put(path, &body).await.unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    pub(crate) async fn patch(&self, path: &str, body: impl Serialize) -> Accepted {
        self.client.patch(path, &body).await.unwrap_or_else(|error| panic!("PATCH {path}: {error}"))
    }

    pub(crate) async fn delete(&self, path: &str) -> Accepted {
        self.client.delete(path).await.unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }

    /// A model on machines, `m`.
    pub(crate) async fn model(&self) -> ModelInfo {
        self.add_model("m", "").await
    }

    pub(crate) async fn add_model(&self, name: &str, cloud: &str) -> ModelInfo {
        let (name, cloud) = (name.into(), cloud.into());
        self.post("/v1/models", ModelCreate { name, cloud, ..ModelCreate::default() }).await
    }

    /// Uploads a charm to `m`.
    pub(crate) async fn upload(&self, source: &Source) -> CharmInfo {
        let archive = source.pack(self.directory.path());
        self.client.post_file("/v1/models/m/charms", &archive, |_, _| {}).await.unwrap()
    }

    /// Deploys a fresh upload to `m`.
    pub(crate) async fn deploy(&self, source: &Source, units: u32) -> Accepted {
        let charm = self.upload(source).await.url;
        let units = (!source.subordinate()).then_some(units);
        self.post("/v1/models/m/applications", Deploy { charm, units, ..Deploy::default() }).await
    }

    pub(crate) async fn status(&self) -> Status {
        self.get("/v1/models/m/status").await
    }

    pub(crate) async fn application(&self, name: &str) -> ApplicationInfo {
        self.get(&format!("/v1/models/m/applications/{name}")).await
    }

    /// The flow once it has ended.
    pub(crate) async fn ended(&self, accepted: &Accepted) -> FlowInfo {
        let id = &accepted.flow.as_ref().unwrap().id;
        let flow: FlowInfo = self.get(&format!("/v1/flows/{id}?wait_ms=60000")).await;
        assert!(!flow.finished.is_empty(), "flow has not ended: {flow:#?}");
        flow
    }

    pub(crate) async fn agent(&self) -> Agent {
        Agent::start(self.client.clone()).await
    }

    /// Looks again and again until something is so.
    pub(crate) async fn until<F: Future<Output = bool>>(
        &self,
        what: &str,
        mut so: impl FnMut() -> F,
    ) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not so in time: {what}");
    }
}

/// An answer with its headers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The problem document a call was refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Problem {
    match result {
        Err(Error::Problem(problem)) => *problem,
        other => panic!("not refused: {other:?}"),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some((server, schema)) = self.schema.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
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
