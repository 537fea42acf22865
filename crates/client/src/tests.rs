//! The client against real servers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::{Address, Client, Error};

fn router() -> Router {
    Router::new()
        .route("/echo", post(async |Json(value): Json<Value>| Json(json!({ "post": value }))))
        .route("/echo", put(async |Json(value): Json<Value>| Json(json!({ "put": value }))))
        .route("/echo", patch(async |Json(value): Json<Value>| Json(json!({ "patch": value }))))
        .route("/echo", delete(async || StatusCode::NO_CONTENT))
        .route("/echo", get(async || Json(json!({ "get": null }))))
        .route("/bytes", get(async || vec![7_u8; 300_000]))
        .route(
            "/upload",
            post(async |headers: axum::http::HeaderMap, body: Bytes| {
                Json(json!([headers["content-length"].to_str().unwrap(), body.len()]))
            })
            .layer(axum::extract::DefaultBodyLimit::disable()),
        )
        .route(
            "/refused",
            get(async || {
                let problem = json!({ "code": "conflict", "detail": "no", "reasons": ["a", "b"],
                    "type": "about:blank", "extra": 1 });
                (StatusCode::CONFLICT, Json(problem))
            }),
        )
        .route("/plain", get(async || (StatusCode::BAD_GATEWAY, "gateway is away\n")))
        .route("/events", get(async || ": hi\n\nid: 1\ndata: x\n\ndata: y\n\n"))
}

/// Serves [`router`] on a socket in a directory that lives as long as the returned value.
fn serve() -> (tempfile::TempDir, Address) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, router()).await });
    (directory, Address::Unix(path))
}

#[tokio::test]
async fn every_verb_over_a_unix_socket() {
    let (_directory, address) = serve();
    let client = Client::connect(&address).await.unwrap();
    assert_eq!(client.get::<Value>("/echo").await.unwrap(), json!({ "get": null }));
    let one = json!({ "a": 1 });
    assert_eq!(client.post::<_, Value>("/echo", &one).await.unwrap(), json!({ "post": one }));
    assert_eq!(client.put::<_, Value>("/echo", &one).await.unwrap(), json!({ "put": one }));
    assert_eq!(client.patch::<_, Value>("/echo", &one).await.unwrap(), json!({ "patch": one }));
    client.delete::<()>("/echo").await.unwrap();
    let mut bytes = Vec::new();
    assert_eq!(client.get_bytes_to("/bytes", &mut bytes).await.unwrap(), 300_000);
    assert_eq!(bytes, vec![7; 300_000]);
    let wrong = client.get::<Vec<u32>>("/echo").await.unwrap_err();
    assert!(matches!(wrong, Error::Decode { .. }), "{wrong}");
    assert!(matches!(client.get::<()>("/a b").await, Err(Error::Request { .. })));
}

#[tokio::test]
async fn works_over_tcp_and_many_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    tokio::spawn(async move { axum::serve(listener, router()).await });
    let client = Client::connect(&address).await.unwrap();
    let calls = (0..40).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { client.post::<_, Value>("/echo", &number).await.unwrap() })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), json!({ "post": number }));
    }
}

#[tokio::test]
async fn refusals_are_problems_whatever_they_hold() {
    let (_directory, address) = serve();
    let client = Client::connect(&address).await.unwrap();
    let error = client.get::<Value>("/refused").await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (409, "conflict"));
    assert_eq!(error.to_string(), "no\n- a\n- b");
    assert!(problem.body.starts_with(b"{"));
    let error = client.get::<Value>("/plain").await.unwrap_err();
    assert_eq!(error.to_string(), "gateway is away");
    let error = client.get_bytes_to("/nowhere", &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 404);
}

#[tokio::test]
async fn a_file_is_streamed_with_its_length() {
    let (directory, address) = serve();
    let client = Client::new(&address);
    let file = directory.path().join("big");
    std::fs::write(&file, vec![1; 5_000_000]).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let progress = {
        let told = Arc::clone(&told);
        move |sent, all| {
            assert_eq!(all, 5_000_000);
            assert!(told.swap(sent, Ordering::Relaxed) < sent);
        }
    };
    let answer: Value = client.post_file("/upload", &file, progress).await.unwrap();
    assert_eq!(answer, json!(["5000000", 5_000_000]));
    assert_eq!(told.load(Ordering::Relaxed), 5_000_000);
    let missing = client.post_file::<Value>("/upload", "/nowhere".as_ref(), |_, _| ()).await;
    assert!(matches!(missing, Err(Error::ReadFile { .. })));
}

#[tokio::test]
async fn events_are_read_until_the_stream_ends() {
    let (_directory, address) = serve();
    let mut events = Client::new(&address).events("/events").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.id.as_str(), first.data.as_str()), ("1", "x"));
    assert_eq!(events.next().await.unwrap().unwrap().data, "y");
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let address: Address = "/nowhere/at/all".parse().unwrap();
    let error = Client::connect(&address).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_connection());
    assert_eq!(error.to_string(), "cannot connect to the controller at unix:/nowhere/at/all");
}

/// A server that answers `answers` requests on each connection, then reads `swallow` more and
/// closes without an answer. It records the requests' first lines.
struct Closing {
    address: Address,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    _directory: tempfile::TempDir,
}

impl Closing {
    fn start(answers: usize, swallow: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counted, recorded) = (Arc::clone(&connections), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(answer(stream, answers, swallow, Arc::clone(&recorded)));
            }
        });
        Self { address: Address::Unix(path), connections, requests, _directory: directory }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(
    mut stream: UnixStream,
    answers: usize,
    swallow: usize,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut received = String::new();
    for number in 0..answers + swallow {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        received.clear();
        received.push_str(&String::from_utf8_lossy(&buffer[..length]));
        requests.lock().unwrap().push(received.lines().next().unwrap().to_owned());
        if number < answers {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1";
            stream.write_all(answer).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_connection_is_reused() {
    let server = Closing::start(1000, 0);
    let client = Client::connect(&server.address).await.unwrap();
    for _ in 0..50 {
        assert_eq!(client.clone().post::<_, u32>("/", &1).await.unwrap(), 1);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_closed_connection_is_replaced_unnoticed() {
    let server = Closing::start(1, 0);
    let client = Client::connect(&server.address).await.unwrap();
    for _ in 0..5 {
        assert_eq!(client.post::<_, u32>("/", &1).await.unwrap(), 1);
        // The server closes after each answer; let the client's end notice it.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn only_idempotent_calls_are_sent_twice() {
    let server = Closing::start(1, 1);
    let client = Client::connect(&server.address).await.unwrap();
    assert_eq!(client.get::<u32>("/a").await.unwrap(), 1);
    assert_eq!(client.get::<u32>("/b").await.unwrap(), 1);
    let error = client.post::<_, u32>("/c", &1).await.unwrap_err();
    assert!(matches!(error, Error::Http { .. }) && error.is_connection(), "{error}");
    let requests = server.requests.lock().unwrap().clone();
    let lines = ["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /b HTTP/1.1", "POST /c HTTP/1.1"];
    assert_eq!(requests, lines);
}

#[test]
fn encoding_leaves_nothing_to_misread() {
    assert_eq!(crate::encode("a/b ü?&~"), "a%2Fb%20%C3%BC%3F%26~");
}
