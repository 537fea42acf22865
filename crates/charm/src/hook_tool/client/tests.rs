//! The client against a socket that answers whatever the test wants.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use serde_json::json;

use super::*;

struct Fake(BTreeMap<&'static str, String>);

impl Surroundings for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn stdin(&mut self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn file(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Err(ErrorKind::NotFound.into())
    }
}

fn inside(address: &str) -> Fake {
    let variables = [(ADDRESS_VARIABLE, address.to_owned()), (CONTEXT_VARIABLE, "id".into())];
    Fake(variables.into())
}

fn call(line: &str, fake: &mut Fake) -> Result<(), ToolError> {
    let mut words = line.split(' ').map(OsString::from);
    let tool = words.next().unwrap().into_string().unwrap();
    match answer(&tool, words, fake) {
        Ok(()) => Ok(()),
        Err(Usage::Wrong(error)) => Err(error),
        Err(Usage::Help(text)) => panic!("{text}"),
    }
}

/// Accepts one connection, reads one request if there is one, and answers with these bytes.
fn agent(bytes: Vec<u8>) -> (tempfile::TempDir, PathBuf, thread::JoinHandle<Option<Request>>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.socket");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).ok()?;
        stream.write_all(&bytes).ok()?;
        decode(&request).ok()
    });
    (directory, path, thread)
}

#[test]
fn the_answer_goes_where_it_is_wanted() {
    let answers = [
        (Response::Value(json!({"a": 1})), "--format=json", "{\"a\":1}\n"),
        (Response::Value(json!("x")), "--format=smart", "x\n"),
        (Response::Value(json!(null)), "--format=json", "null\n"),
        (Response::Done, "--format=json", ""),
    ];
    for (response, format, text) in answers {
        let (directory, path, thread) = agent(encode(&response).unwrap());
        let file = directory.path().join("answer");
        let line = format!("config-get {format} -o {}", file.display());
        call(&line, &mut inside(path.to_str().unwrap())).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);
        let request = thread.join().unwrap().unwrap();
        let expected = Call::ConfigGet { key: None, all: false };
        assert_eq!(request, Request { context: "id".into(), call: expected });
    }
}

#[test]
fn abstract_sockets_are_reached() {
    let name = format!("tutti-hook-tool-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&encode(&Response::Done).unwrap()).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    });
    call("state-delete k", &mut inside(&format!("@{name}"))).unwrap();
    thread.join().unwrap();
}

#[test]
fn refusals_keep_text_and_exit_code() {
    let refusal = ToolError::argument("invalid value \"9\" for option -r: relation not found");
    let (_directory, path, _) = agent(encode(&Response::Error(refusal.clone())).unwrap());
    let error = call("relation-list -r 9", &mut inside(path.to_str().unwrap())).unwrap_err();
    assert_eq!(error, refusal);
}

/// Python charms read `not found` and `permission denied` as answers; a broken agent must not say so.
#[test]
fn an_agent_that_cannot_be_reached_is_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = directory.path().join("agent.socket");
    drop(UnixListener::bind(&nobody).unwrap());
    let missing = directory.path().join("missing");
    let long = directory.path().join("x".repeat(200)).join("missing");
    let mut errors = vec![
        call("is-leader", &mut inside(nobody.to_str().unwrap())),
        call("is-leader", &mut inside(missing.to_str().unwrap())),
        call("is-leader", &mut inside(long.to_str().unwrap())),
        call("is-leader", &mut inside("@tutti-hook-tool-test-nobody")),
        call("is-leader", &mut Fake(BTreeMap::new())),
    ];
    // Answers that are none: nothing, a part, garbage, and a length beyond all bounds.
    let whole = encode(&Response::Done).unwrap();
    for bytes in [vec![], whole[..7].to_vec(), b"\0\0\0\x02{}".to_vec(), vec![255; 8]] {
        let (_directory, path, _) = agent(bytes);
        errors.push(call("is-leader", &mut inside(path.to_str().unwrap())));
    }
    for error in errors {
        let error = error.unwrap_err();
        let text = error.message.to_lowercase();
        assert_eq!(error.exit_code, 1, "{text}");
        for word in ["not found", "permission denied", "access denied", "not the leader"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

#[test]
fn arguments_beyond_all_bounds_are_refused() {
    let (_directory, path, _) = agent(vec![]);
    let line = format!("relation-set -r 7 a={}", "x".repeat(MESSAGE_BYTES_MAX as usize));
    let error = call(&line, &mut inside(path.to_str().unwrap())).unwrap_err();
    assert_eq!(error.message, "the arguments are larger than the 32 MiB a call may have");
    // Lets the thread of the agent end.
    drop(UnixStream::connect(path));
}
