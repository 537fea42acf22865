//! Limits, passwords, and connections that behave badly or go away.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tutti_bus::{
    broker::{
        Broker, Error, Settings,
        engine::{Ending, Engine},
    },
    resp::{OwnedRequest, Value},
};

use crate::client::{PATIENCE, Served, words};

fn error(text: &str) -> Value {
    Value::Error(text.to_owned())
}

fn ok() -> Value {
    Value::Status("OK".to_owned())
}

#[test]
fn writers_are_refused_when_memory_is_full_and_nothing_is_removed() {
    let broker = Served::open(Settings { memory_bytes_max: 100_000, ..Settings::default() });
    let mut client = broker.client();
    let payload = "x".repeat(1000);
    let full = error("OOM command not allowed when used memory > 'maxmemory'.");
    let mut added = 0;
    while client.call(&["XADD", "s", "*", "f", &payload]) != full {
        added += 1;
        assert!(added < 200, "memory has no end");
    }
    assert_eq!(client.call(&["XLEN", "s"]), Value::Integer(added));
    assert_eq!(client.call(&["RPUSH", "l", "x"]), full);
    assert_eq!(client.call(&words("XTRIM s MAXLEN 10")), Value::Integer(added - 10));
    assert_eq!(client.call(&["RPUSH", "l", "x"]), Value::Integer(1));
}

#[test]
fn groups_and_consumers_are_refused_when_memory_is_full_and_their_names_count() {
    let broker = Served::open(Settings { memory_bytes_max: 100_000, ..Settings::default() });
    let mut client = broker.client();
    let full = error("OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(client.call(&words("XGROUP CREATE s g 0 MKSTREAM")), ok());
    let name = "x".repeat(10_000);
    let mut made = 0;
    while client.call(&["XGROUP", "CREATECONSUMER", "s", "g", &format!("{name}{made}")]) != full {
        made += 1;
        assert!(made < 20, "names have no weight");
    }
    assert_eq!(client.call(&words("XGROUP CREATE s other 0")), full);
    assert_eq!(client.call(&["MULTI"]), ok());
    assert_eq!(client.call(&words("XGROUP CREATE s other 0")), full);
    assert!(matches!(client.call(&["EXEC"]), Value::Error(text) if text.starts_with("EXECABORT")));
    assert_eq!(client.call(&words("XGROUP SETID s g 0")), ok());
    assert_eq!(client.call(&words("XGROUP DESTROY s g")), Value::Integer(1));
    assert_eq!(client.call(&words("XGROUP CREATE s other 0")), ok());
}

#[test]
fn what_a_transaction_queues_counts_as_buffered() {
    let broker = Served::open(Settings { buffers_bytes_max: 2_000_000, ..Settings::default() });
    let (mut client, mut other) = (broker.client(), broker.client());
    let queued = Value::Status("QUEUED".to_owned());
    assert_eq!(client.call(&["MULTI"]), ok());
    let set = ["SET", "k", &"x".repeat(100_000)];
    let mut count = 0;
    while client.try_send_all(&[set]) && client.receive_or_gone().as_ref() == Some(&queued) {
        count += 1;
        assert!(count < 100, "a queue has no end");
    }
    assert!(count > 10, "{count}");
    assert_eq!(other.call(&["PING"]), Value::Status("PONG".to_owned()));
    // What it had is free again.
    assert_eq!(other.call(&["MULTI"]), ok());
    for _ in 0..count {
        assert_eq!(other.call(&set), queued);
    }
    assert_eq!(other.call(&["DISCARD"]), ok());
    assert_eq!(other.call(&["GET", "k"]), Value::Null);
}

#[test]
fn what_waiting_clients_asked_counts_as_buffered() {
    let broker = Served::open(Settings { buffers_bytes_max: 4_000_000, ..Settings::default() });
    let mut asking = broker.client();
    // How many are connected, and how many of them wait.
    let mut clients = || {
        let listed = asking.call(&words("CLIENT LIST"));
        let listed = String::from_utf8_lossy(listed.as_bytes().unwrap()).into_owned();
        (listed.lines().count(), listed.lines().filter(|line| line.contains("flags=b")).count())
    };
    let key = "x".repeat(100_000);
    let mut waiting = Vec::new();
    let begun = Instant::now();
    loop {
        let mut client = broker.client();
        client.try_send_all(&[["BLPOP", &key, "0"]]);
        waiting.push(client);
        while clients().1 < waiting.len() && clients().0 > waiting.len() {
            assert!(begun.elapsed() < PATIENCE, "it neither waits nor is it disconnected");
        }
        if clients().0 <= waiting.len() {
            break;
        }
        assert!(waiting.len() < 60, "nobody is disconnected");
        // What it sends meanwhile takes the place of its request in the buffer.
        waiting.last_mut().unwrap().send(&["PING"]);
    }
    assert!(waiting.len() > 10);
}

#[test]
fn one_request_makes_no_more_replies_than_there_is_room_for() {
    let mut engine = crate::recovery::engine();
    let ask = |engine: &mut Engine, client, command: &[&str]| {
        let request: OwnedRequest = command.iter().map(|word| word.as_bytes()).collect();
        let mut reply = Vec::new();
        let outcome = engine.execute(client, request.request(), 1, &mut reply);
        (outcome.ending, reply.len())
    };
    let readers: Vec<_> = (0..10).map(|_| engine.connect(String::new(), 1)).collect();
    for reader in &readers {
        let waits = ask(&mut engine, *reader, &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]);
        assert_eq!(waits, (Ending::Waits, 0));
        assert!(engine.held(*reader) > 0);
    }
    let writer = engine.connect(String::new(), 1);
    let payload = "x".repeat(400);
    engine.set_reply_room(1000);
    ask(&mut engine, writer, &["XADD", "s", "*", "f", &payload]);
    let (served, killed) = (engine.take_outgoing(), engine.take_killed());
    assert_eq!((served.len(), killed.len()), (3, 7));
    assert!(readers.iter().all(|reader| engine.held(*reader) == 0));

    engine.set_reply_room(1000);
    ask(&mut engine, writer, &["MULTI"]);
    for _ in 0..5 {
        ask(&mut engine, writer, &["ECHO", &payload]);
    }
    ask(&mut engine, writer, &["SET", "k", "v"]);
    assert_eq!(ask(&mut engine, writer, &["EXEC"]), (Ending::Closes, 1000));
    assert_eq!(ask(&mut engine, writer, &["GET", "k"]), (Ending::Answered, "$1\r\nv\r\n".len()));
}

#[test]
fn without_the_password_nothing_is_answered() {
    let broker =
        Served::open(Settings { password: Some("secret".to_owned()), ..Settings::default() });
    let mut client = broker.client();
    let unknown = error("NOAUTH Authentication required.");
    let wrong = error("WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.call(&["PING"]), unknown);
    assert_eq!(client.call(&["AUTH", "secre"]), wrong);
    assert_eq!(client.call(&["AUTH", "secret2"]), wrong);
    assert_eq!(client.call(&["AUTH", "other", "secret"]), wrong);
    assert_eq!(client.call(&["GET", "a"]), unknown);
    assert_eq!(client.call(&["AUTH", "secret"]), ok());
    assert_eq!(client.call(&["GET", "a"]), Value::Null);
    let mut client = broker.client();
    assert!(client.call(&words("HELLO 2 AUTH default secret SETNAME me")).as_array().is_some());
    assert_eq!(client.call(&words("CLIENT GETNAME")), Value::Bulk(b"me".to_vec()));
    let mut client = broker.client();
    client.send_bytes(b"*1\r\n$100000\r\n");
    assert_eq!(client.receive(), error("ERR Protocol error: unauthenticated bulk length"));
    assert_eq!(client.try_receive(), None);
}

#[test]
fn what_is_no_request_is_answered_once_and_closed() {
    let broker = Served::open(Settings { bulk_bytes_max: 1000, ..Settings::default() });
    let mut client = broker.client();
    client.send_bytes(b"PING\r\n*1\r\n$1001\r\n");
    assert_eq!(client.receive(), Value::Status("PONG".to_owned()));
    assert_eq!(client.receive(), error("ERR Protocol error: invalid bulk length"));
    assert_eq!(client.try_receive(), None);
    assert_eq!(broker.client().call(&["PING"]), Value::Status("PONG".to_owned()));
}

#[test]
fn too_many_clients_and_too_long_replies_are_turned_away() {
    let settings = Settings { clients_max: 2, output_bytes_max: 200_000, ..Settings::default() };
    let broker = Served::open(settings);
    let (mut first, mut second) = (broker.client(), broker.client());
    for client in [&mut first, &mut second] {
        client.call(&["PING"]);
    }
    assert_eq!(broker.client().receive(), error("ERR max number of clients reached"));
    let payload = "x".repeat(1000);
    for _ in 0..300 {
        first.call(&["RPUSH", "l", &payload]);
    }
    assert!(second.call(&words("LRANGE l 0 99")).as_array().is_some());
    second.send(&words("LRANGE l 0 -1"));
    assert_eq!(second.try_receive(), None);
    assert_eq!(first.call(&["LLEN", "l"]), Value::Integer(300));
}

#[test]
fn a_client_that_does_not_read_stops_nobody() {
    let broker = Served::open(Settings::default());
    let mut writer = broker.client();
    writer.call(&["RPUSH", "l", &"x".repeat(1_000_000)]);
    let mut lazy = broker.client();
    for _ in 0..50 {
        lazy.send(&words("LRANGE l 0 -1"));
    }
    assert_eq!(writer.call(&["LLEN", "l"]), Value::Integer(1));
    let listed = writer.call(&words("CLIENT LIST"));
    assert_eq!(String::from_utf8_lossy(listed.as_bytes().unwrap()).lines().count(), 2);
    // What it asked for is there, when it turns to it.
    for _ in 0..50 {
        assert_eq!(lazy.receive().as_array().unwrap()[0].as_bytes().unwrap().len(), 1_000_000);
    }
}

#[test]
fn one_that_went_away_or_was_killed_takes_nothing_along() {
    let broker = Served::open(Settings::default());
    let mut worker = broker.client();
    let mut gone = broker.client();
    gone.send(&words("BLPOP l 0"));
    let waits = |worker: &mut crate::client::Client, count: &str| {
        let begun = Instant::now();
        loop {
            let info = worker.call(&words("INFO clients"));
            let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
            if text.contains(&format!("blocked_clients:{count}\r\n")) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{text}");
        }
    };
    waits(&mut worker, "1");
    drop(gone);
    waits(&mut worker, "0");
    assert_eq!(worker.call(&["RPUSH", "l", "x"]), Value::Integer(1));
    let mut killed = broker.client();
    let id = killed.call(&words("CLIENT ID"));
    let Value::Integer(id) = id else { panic!("{id:?}") };
    killed.send(&words("BLPOP other 0"));
    waits(&mut worker, "1");
    assert_eq!(worker.call(&["CLIENT", "KILL", "ID", &id.to_string()]), Value::Integer(1));
    assert_eq!(killed.try_receive(), None);
    waits(&mut worker, "0");
}

#[test]
fn requests_behind_one_that_waits_are_answered_after_it() {
    let broker = Served::open(Settings::default());
    let (mut waiting, mut worker) = (broker.client(), broker.client());
    waiting.send_all(&[
        words("PING"),
        words("BLPOP l 0"),
        words("PING two"),
        words("BLPOP l 0"),
        words("ECHO end"),
    ]);
    assert_eq!(waiting.receive(), Value::Status("PONG".to_owned()));
    worker.call(&words("RPUSH l 1"));
    assert_eq!(waiting.receive().as_array().unwrap()[1], Value::Bulk(b"1".to_vec()));
    assert_eq!(waiting.receive(), Value::Bulk(b"two".to_vec()));
    worker.call(&words("RPUSH l 2"));
    assert_eq!(waiting.receive().as_array().unwrap()[1], Value::Bulk(b"2".to_vec()));
    assert_eq!(waiting.receive(), Value::Bulk(b"end".to_vec()));
}

#[tokio::test]
async fn a_log_has_one_broker_and_a_socket_one_listener() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data: Some(folder.path().join("bus.db")), ..Settings::default() };
    let socket = folder.path().join("bus.sock");
    let broker = Broker::open(settings.clone()).await.unwrap();
    broker.listen_unix(&socket).await.unwrap();
    assert!(matches!(Broker::open(settings.clone()).await, Err(Error::InUse { .. })));
    assert!(matches!(broker.listen_unix(&socket).await, Err(Error::Listen { .. })));
    assert!(matches!(
        broker.listen_tcp(([0, 0, 0, 0], 0).into()).await,
        Err(Error::Unprotected(_))
    ));
    let mut memory = broker.connect_memory().await.unwrap();
    memory.write_all(b"XADD s 1-1 f 1\r\n").await.unwrap();
    let mut reply = [0; 9];
    memory.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"$3\r\n1-1\r\n");
    for name in ["bus.db", "bus.db-wal", "bus.sock"] {
        let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name} is for its owner alone");
    }
    broker.shutdown().await;
    assert!(!socket.exists());
    let broker = Broker::open(settings).await.unwrap();
    broker.listen_unix(&socket).await.unwrap();
    let mut unix = tokio::net::UnixStream::connect(&socket).await.unwrap();
    unix.write_all(b"XLEN s\r\n").await.unwrap();
    let mut reply = [0; 4];
    unix.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b":1\r\n");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_file_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let text = "not a database, and longer than the header of one would be: ".repeat(20);
    std::fs::write(&path, &text).unwrap();
    let settings = Settings { data: Some(path.clone()), ..Settings::default() };
    assert!(matches!(Broker::open(settings).await, Err(Error::Foreign { .. })));
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}
