//! A controller that is killed while it makes a change: who sends the request again with the same
//! `Idempotency-Key` finds it made once, whether the first attempt died before its commit or after.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tutti_bus::Address;
use tutti_client::Client;
use tutti_controller::{BusOptions, Controller, Options};
use tutti_model::api::{Accepted, ApplicationInfo, CharmInfo, FlowPage, ModelCreate, ModelInfo};

use crate::charm::charm;
use crate::world::{Answer, World};

/// Where the process to be killed keeps its data, and in which database.
const DATA: &str = "TUTTI_TEST_KILLED_DATA";
const DATABASE: &str = "TUTTI_TEST_KILLED_DATABASE";

/// How often a controller is killed on each engine.
const ROUNDS: u32 = 12;

/// By when a change that is not held up is committed, whatever else the machine does; no assertion rests on it
/// but that both cases are met.
const LONG: Duration = Duration::from_secs(3);

/// Not a test: the process that is killed, started by the one below.
#[tokio::test]
#[ignore = "serves until it is killed"]
async fn a_controller_to_be_killed() {
    let Ok(data) = std::env::var(DATA) else { return };
    let mut options = Options::new(data);
    options.database = std::env::var(DATABASE).ok();
    options.bus = Some(bus_of(&options));
    let _controller = Controller::start(options).await.unwrap();
    std::future::pending::<()>().await;
}

/// The bus of a controller to be killed; it need not be there.
fn bus_of(options: &Options) -> BusOptions {
    let socket = bus_socket(options);
    let url = format!("unix://{}", socket.display());
    BusOptions { address: Address::unix(socket, None), url }
}

/// Where it would be.
pub(crate) fn bus_socket(options: &Options) -> PathBuf {
    options.data.join("bus.sock")
}

/// A controller in a process of its own.
pub(crate) struct Process {
    child: Child,
    socket: PathBuf,
}

impl Process {
    /// Starts one on the data of a world whose own controller has stopped.
    pub(crate) async fn start(options: &Options) -> Self {
        let socket = options.socket();
        let mut process = Self { child: spawn(options), socket };
        for _ in 0..2000 {
            if UnixStream::connect(&process.socket).await.is_ok() {
                return process;
            }
            // The database may know of the one that was killed for a moment longer.
            if process.child.try_wait().unwrap().is_some() {
                process.child = spawn(options);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no controller");
    }

    pub(crate) async fn client(&self) -> Client {
        let address = format!("unix:{}", self.socket.display());
        Client::connect(&address.parse().unwrap()).await.unwrap()
    }

    /// Sends a request with a key that will be waited for until its flow has ended.
    async fn send(&self, key: &str, wait: &str, path: &str, body: &Value) -> UnixStream {
        let (body, mut socket) =
            (body.to_string(), UnixStream::connect(&self.socket).await.unwrap());
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Idempotency-Key: {key}\r\nPrefer: {wait}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(options: &Options) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "killed::a_controller_to_be_killed", "--ignored"]);
    command.env(DATA, &options.data).stdout(Stdio::null()).stderr(Stdio::null());
    match &options.database {
        Some(database) => command.env(DATABASE, database),
        None => command.env_remove(DATABASE),
    };
    command.spawn().unwrap()
}

async fn text(mut socket: UnixStream) -> String {
    let mut answer = String::new();
    // A connection that was cut has said all it will.
    let _ = socket.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_change_is_made_once_whenever_the_controller_dies() {
    for mut world in World::all().await {
        world.stop().await;
        let mut process = Process::start(&world.options).await;
        let client = process.client().await;
        let model = ModelCreate { name: "m".into(), ..ModelCreate::default() };
        client.post::<_, ModelInfo>("/v1/models", &model).await.unwrap();
        let archive = charm("db").pack(world.directory.path());
        let charm: CharmInfo =
            client.post_file("/v1/models/m/charms", &archive, |_, _| {}).await.unwrap();
        let path = "/v1/models/m/applications";
        let (mut before, mut after) = (0, 0);
        // Closer and closer to the commit, from both sides.
        let (mut low, mut high) = (Duration::ZERO, LONG);
        for round in 0..ROUNDS {
            let delay = match round {
                0 => low,
                1 => high,
                _ => (low + high) / 2,
            };
            let (name, key) = (format!("a{round}"), format!("key-{round}"));
            let body = json!({"charm": charm.url, "application": name, "units": 1});
            // Nobody serves the unit, so its flow does not end, and no answer comes before the death.
            let first = process.send(&key, "wait=60", path, &body).await;
            tokio::time::sleep(delay).await;
            process.kill();
            assert_eq!(text(first).await, "", "the client never knew");
            process = Process::start(&world.options).await;
            let again =
                Answer::read(&text(process.send(&key, "respond-async", path, &body).await).await);
            assert_eq!(again.status, 202, "{}", again.body);
            if again.header("idempotency-replayed") == "true" {
                (after, high) = (after + 1, high.min(delay));
            } else {
                (before, low) = (before + 1, low.max(delay));
            }
            let third =
                Answer::read(&text(process.send(&key, "respond-async", path, &body).await).await);
            assert_eq!(third.header("idempotency-replayed"), "true");
            assert_eq!((third.status, &third.body), (again.status, &again.body));
            let accepted: Accepted = again.json();
            let client = process.client().await;
            let flows: FlowPage = client
                .get(&format!("/v1/flows?model=m&resource=application/{name}"))
                .await
                .unwrap();
            let ids: Vec<_> = flows.flows.iter().map(|flow| flow.id.clone()).collect();
            assert_eq!(ids, [accepted.flow.unwrap().id], "one flow, that of the answer");
            let all: Vec<ApplicationInfo> = client.get(path).await.unwrap();
            assert_eq!(all.len(), round as usize + 1);
            assert!(all.iter().all(|one| one.units.len() == 1 && one.generation == 1));
        }
        assert!(
            before > 0 && after > 0,
            "killed {before} times before the commit, {after} times after"
        );
        drop(process);
    }
}
