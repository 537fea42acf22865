//! The server on a real socket.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tutti_charm::hook_tool::{Call, MESSAGE_BYTES_MAX, Request, Response, decode, encode};

use super::*;

/// Remembers effects, or refuses them.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) effects: Mutex<Vec<Effect>>,
    pub(super) trouble: Option<&'static str>,
    pub(super) delay: Duration,
    /// Told when an effect begins.
    pub(super) begun: Notify,
}

impl EffectSink for Sink {
    fn perform(&self, effect: Effect) -> BoxFuture<'_, Result<Option<PathBuf>, String>> {
        async move {
            self.begun.notify_one();
            tokio::time::sleep(self.delay).await;
            if let Some(trouble) = self.trouble {
                return Err(trouble.to_owned());
            }
            let path =
                matches!(effect, Effect::FetchResource { .. }).then(|| "/cache/i.tar".into());
            self.effects.lock().unwrap().push(effect);
            Ok(path)
        }
        .boxed()
    }
}

struct Fixture {
    _directory: tempfile::TempDir,
    server: HookServer,
}

impl Fixture {
    fn start(sink: Sink) -> (Self, Arc<Sink>) {
        let directory = tempfile::tempdir().unwrap();
        let server = HookServer::bind(&directory.path().join("run/agent.socket")).unwrap();
        let sink = Arc::new(sink);
        let run = Run::task("web/0", &journal());
        let context = HookContext::new(run, Context { leader: true, ..context() });
        server.begin("web/0-start-1", context, Arc::<Sink>::clone(&sink));
        (Self { _directory: directory, server }, sink)
    }

    /// A call from another thread, as a tool's process makes it.
    async fn call(&self, context: &str, call: Call) -> Response {
        let path = self.server.path().to_owned();
        let request = Request { context: context.into(), call };
        let exchange = move || exchange(&path, &encode(&request).unwrap());
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }
}

fn exchange(path: &Path, bytes: &[u8]) -> Response {
    let mut stream = UnixStream::connect(path).unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    decode(&answer).unwrap()
}

fn refusal(response: Response) -> String {
    match response {
        Response::Error(error) => error.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_are_answered_while_the_run_lasts() {
    let (fixture, sink) = Fixture::start(Sink::default());
    let id = "web/0-start-1";
    assert_eq!(fixture.call(id, Call::IsLeader).await, Response::Value(json!(true)));
    let port = Call::ConfigGet { key: Some("none".into()), all: false };
    assert_eq!(fixture.call(id, port).await, Response::Value(Value::Null));
    let resource = Call::ResourceGet { name: "image".into() };
    assert_eq!(fixture.call(id, resource).await, Response::Value(json!("/cache/i.tar")));
    let log = Call::JujuLog { level: "INFO".into(), message: "x".into() };
    assert_eq!(fixture.call(id, log).await, Response::Done);
    assert_eq!(sink.effects.lock().unwrap().len(), 2);
    let set = Call::StateSet { values: pairs(&[("a", "1")]) };
    assert_eq!(fixture.call(id, set).await, Response::Done);
    let other = refusal(fixture.call("web/0-start-2", Call::IsLeader).await);
    assert_eq!(other, "context is gone: \"web/0-start-2\" has ended or never began");

    let outcome = fixture.server.end(id).await.unwrap();
    assert_eq!(outcome.changes.state.len(), 1);
    assert!(fixture.server.end(id).await.is_none());
    let late = refusal(fixture.call(id, Call::IsLeader).await);
    assert!(late.starts_with("context is gone"), "{late}");
}

#[tokio::test]
async fn many_tools_at_once() {
    let (fixture, _) = Fixture::start(Sink::default());
    let calls = (0..200).map(|n| {
        let values = pairs(&[(&format!("k{n}"), "v")]);
        fixture.call("web/0-start-1", Call::StateSet { values })
    });
    let responses = futures_util::future::join_all(calls).await;
    assert!(responses.iter().all(|response| *response == Response::Done));
    let outcome = fixture.server.end("web/0-start-1").await.unwrap();
    assert_eq!(outcome.changes.state.len(), 200);
}

#[tokio::test]
async fn effects_that_fail_are_refusals() {
    let sink = Sink { trouble: Some("the controller is away"), ..Sink::default() };
    let (fixture, _) = Fixture::start(sink);
    let id = "web/0-start-1";
    let status =
        Call::StatusSet { application: false, status: "active".into(), message: String::new() };
    let text = refusal(fixture.call(id, status).await);
    assert_eq!(text, "cannot tell the controller: the controller is away");
    let text = refusal(fixture.call(id, Call::ResourceGet { name: "image".into() }).await);
    assert_eq!(text, "could not download resource: the controller is away");
    let text = refusal(fixture.call(id, Call::JujuReboot { now: true }).await);
    assert_eq!(text, "cannot reboot: the controller is away");
}

#[tokio::test]
async fn garbage_is_refused() {
    let (fixture, _) = Fixture::start(Sink::default());
    let path = fixture.server.path().to_owned();
    let table: Vec<Vec<u8>> = vec![
        [&4_u32.to_be_bytes()[..], b"{}{}"].concat(),
        [&2_u32.to_be_bytes()[..], b"[]"].concat(),
        [&3_u32.to_be_bytes()[..], b"\xff\xfe\xfd"].concat(),
        (MESSAGE_BYTES_MAX + 1).to_be_bytes().to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        0_u32.to_be_bytes().to_vec(),
    ];
    for bytes in table {
        let path = path.clone();
        let response = tokio::task::spawn_blocking(move || exchange(&path, &bytes)).await.unwrap();
        let text = refusal(response);
        assert!(text.starts_with("the agent cannot read the call: "), "{text}");
    }
    assert_eq!(fixture.call("web/0-start-1", Call::IsLeader).await, Response::Value(json!(true)));
}

#[tokio::test]
async fn clients_that_vanish_do_no_harm() {
    let (fixture, _) = Fixture::start(Sink { delay: Duration::from_millis(50), ..Sink::default() });
    let path = fixture.server.path().to_owned();
    let request = Request {
        context: "web/0-start-1".into(),
        call: Call::ApplicationVersionSet { version: "1".into() },
    };
    let bytes = encode(&request).unwrap();
    let vanish = move || {
        for end in [0, 2, 4, 10, bytes.len()] {
            for _ in 0..10 {
                UnixStream::connect(&path).unwrap().write_all(&bytes[..end]).unwrap();
            }
        }
    };
    tokio::task::spawn_blocking(vanish).await.unwrap();
    assert_eq!(fixture.call("web/0-start-1", Call::IsLeader).await, Response::Value(json!(true)));
}

#[tokio::test]
async fn the_end_waits_for_the_call_in_progress() {
    let (fixture, sink) =
        Fixture::start(Sink { delay: Duration::from_millis(100), ..Sink::default() });
    let id = "web/0-start-1";
    let log = Call::JujuLog { level: "INFO".into(), message: "x".into() };
    let (response, outcome) = tokio::join!(fixture.call(id, log), async {
        sink.begun.notified().await;
        fixture.server.end(id).await
    });
    assert_eq!(response, Response::Done);
    assert!(outcome.is_some());
    assert_eq!(sink.effects.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn large_calls_pass() {
    let (fixture, _) = Fixture::start(Sink::default());
    let set = Call::RelationSet {
        relation: Some(tutti_charm::hook_tool::RelationArgument { id: 7, shown: String::new() }),
        application: false,
        settings: pairs(&[("big", &"\"".repeat(4 << 20))]),
    };
    assert_eq!(fixture.call("web/0-start-1", set).await, Response::Done);
}

#[tokio::test]
async fn only_the_agents_user_can_connect() {
    let (fixture, _) = Fixture::start(Sink::default());
    let path = fixture.server.path();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700));

    // A socket left over from a killed agent is replaced; a server that ends takes its socket along.
    let path = path.to_owned();
    let next = HookServer::bind(&path).unwrap();
    drop(next);
    assert!(!path.exists());
}
