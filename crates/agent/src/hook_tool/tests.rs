//! What charms are answered, command line by command line.

mod anything;
mod basics;
mod ops;
mod relations;
mod secrets;
mod server;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use tutti_charm::hook_tool::{Surroundings, Usage, parse};
use tutti_model::agent::{
    Context, ContextAction, ContextRelation, ContextResource, ContextStatus, ContextStorage,
    GoalStatus, Hook, Journal, OpenPort, RelationHook, RelationJournal,
};

use super::*;

/// Standard input for one call.
struct Input(&'static str);

impl Surroundings for Input {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn stdin(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.into())
    }

    fn file(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A hook under test.
struct Charm {
    tools: HookContext,
    calls: u8,
}

/// What a tool would print, or its exit code and text on stderr.
type Printed = Result<String, (u8, String)>;

impl Charm {
    fn new(run: Run, context: Context) -> Self {
        Self { tools: HookContext::new(run, context), calls: 0 }
    }

    /// The leader in `config-changed`.
    fn leader() -> Self {
        Self::new(Run::task("web/0", &journal()), Context { leader: true, ..context() })
    }

    /// Another unit in `config-changed`.
    fn follower() -> Self {
        Self::new(Run::task("web/0", &journal()), context())
    }

    fn in_hook(hook: &Hook) -> Self {
        Self::new(Run::hook("web/0", &journal(), hook), context())
    }

    fn in_action() -> Self {
        let action = ContextAction {
            task: 9,
            name: "backup".into(),
            parameters: json!({"target": "s3", "keep": {"days": 7.0, "all": false}}),
            ..ContextAction::default()
        };
        let run = Run::task("web/0", &journal());
        Self::new(run, Context { action: Some(action), ..context() })
    }

    fn call(&mut self, line: &str, input: &'static str) -> (Printed, Option<Effect>) {
        let mut words = line.split_whitespace();
        let tool = words.next().unwrap();
        let words = words.map(|word| if word == "''" { "" } else { word }.to_owned());
        let invocation = match parse(tool, words, &mut Input(input)) {
            Ok(invocation) => invocation,
            Err(Usage::Wrong(error)) => return (Err((error.exit_code, error.message)), None),
            Err(Usage::Help(text)) => return (Ok(text), None),
        };
        self.calls += 1;
        let moment =
            Moment { now: "2026-01-02T03:04:05Z".parse().unwrap(), random: [self.calls; 12] };
        let reply = self.tools.call(invocation.call, moment);
        let printed = match reply.result {
            Ok(Some(value)) => Ok(invocation.output.format.write(&value)),
            Ok(None) => Ok(String::new()),
            Err(error) => Err((error.exit_code, error.message)),
        };
        (printed, reply.effect)
    }

    /// What a tool without effect prints.
    fn prints(&mut self, line: &str) -> Printed {
        let (printed, effect) = self.call(line, "");
        assert_eq!(effect, None, "{line}");
        printed
    }

    /// The JSON a tool prints.
    fn json(&mut self, line: &str) -> Value {
        let text = self.prints(&format!("{line} --format=json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Runs a tool that prints nothing.
    fn run(&mut self, line: &str) {
        assert_eq!(self.prints(line), Ok(String::new()), "{line}");
    }

    fn refusal(&mut self, line: &str) -> (u8, String) {
        self.prints(line).expect_err(line)
    }

    fn check(&mut self, table: &[(&str, &str)]) {
        for (line, printed) in table {
            assert_eq!(self.prints(line), Ok((*printed).to_owned()), "{line}");
        }
    }

    fn check_refusals(&mut self, table: &[(u8, &str, &str)]) {
        for (code, line, text) in table {
            assert_eq!(self.refusal(line), (*code, (*text).to_owned()), "{line}");
        }
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn port(endpoint: &str, protocol: &str, from: u16, to: u16) -> OpenPort {
    OpenPort { endpoint: endpoint.into(), protocol: protocol.into(), from, to }
}

fn status(status: &str, message: &str) -> ContextStatus {
    ContextStatus { status: status.into(), message: message.into() }
}

/// `web/0` with a database (7), its peers (1), a relation it has not entered (8) and one it has seen broken (5).
fn context() -> Context {
    let relation = |endpoint: &str, remote: &str| ContextRelation {
        endpoint: endpoint.into(),
        remote_application: remote.into(),
        ..ContextRelation::default()
    };
    let goal =
        |status: &str| GoalStatus { status: status.into(), since: "2026-01-01T00:00:00Z".into() };
    Context {
        config: [
            ("port".into(), json!(8080.0)),
            ("name".into(), json!("web")),
            ("debug".into(), json!(false)),
            ("unset".into(), Value::Null),
        ]
        .into(),
        unit_status: status("active", "fine"),
        application_status: status("waiting", "so-so"),
        unit_statuses: [("web/0".into(), status("active", "fine"))].into(),
        relations: [
            (
                1,
                ContextRelation {
                    peer: true,
                    application: pairs(&[("shared", "1")]),
                    units: [("web/1".into(), pairs(&[("ip", "127.0.0.2")]))].into(),
                    ..relation("peers", "web")
                },
            ),
            (5, relation("db", "old")),
            (
                7,
                ContextRelation {
                    unit: pairs(&[("private-address", "127.1.0.1"), ("mine", "a")]),
                    application: pairs(&[("ours", "b")]),
                    remote: pairs(&[("version", "16")]),
                    units: [
                        ("pg/0".into(), pairs(&[("host", "h0"), ("private-address", "127.1.0.2")])),
                        ("pg/1".into(), pairs(&[("host", "h1")])),
                        ("pg/9".into(), pairs(&[("host", "gone")])),
                    ]
                    .into(),
                    remote_model: "11111111-2222-4333-8444-555555555555".into(),
                    ..relation("db", "pg")
                },
            ),
            (8, relation("db", "new")),
        ]
        .into(),
        ports: vec![port("", "tcp", 80, 80)],
        state: pairs(&[("k", "v")]),
        storage: [(
            "data/0".into(),
            ContextStorage { kind: "filesystem".into(), location: "/srv/data".into() },
        )]
        .into(),
        storage_names: vec!["data".into()],
        resources: [
            ("image".into(), ContextResource { digest: "aa".into(), filename: "i.tar".into() }),
            ("empty".into(), ContextResource::default()),
        ]
        .into(),
        goal_units: [("web/0".into(), goal("active"))].into(),
        goal_relations: [("db".into(), [("pg".into(), goal("joined"))].into())].into(),
        bindings: vec!["admin".into(), "db".into(), "peers".into()],
        address: "127.1.0.1".into(),
        leader_settings: pairs(&[("old", "1")]),
        payload_classes: vec!["monitor".into()],
        ..Context::default()
    }
}

fn journal() -> Journal {
    let relation = |endpoint: &str, members: &[&str]| RelationJournal {
        endpoint: endpoint.into(),
        created: true,
        members: members.iter().map(|unit| ((*unit).to_owned(), 1)).collect(),
        ..RelationJournal::default()
    };
    let relations = [
        (1, relation("peers", &["web/1"])),
        (5, RelationJournal { broken: true, ..relation("db", &[]) }),
        (7, relation("db", &["pg/0", "pg/1"])),
    ];
    Journal { relations: relations.into(), ..Journal::default() }
}

fn about(relation: i64, remote: &str, unit: Option<&str>) -> RelationHook {
    RelationHook {
        relation,
        endpoint: "db".into(),
        remote_application: remote.into(),
        remote_unit: unit.map(str::to_owned),
        departing_unit: None,
        change_version: 1,
    }
}
