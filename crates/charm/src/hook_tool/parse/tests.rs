//! Command lines as the Python framework (old and new) and shell charms write them.

mod refusals;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::hook_tool::{
    Expiry, NetworkPart, PortRange, SecretContent, SecretDraft, SecretReading, StatusDetail, TOOLS,
    UnitAddress,
};

const ID: &str = "9m4e2mr0ui3e8a215n4g";

#[derive(Default)]
struct Fake {
    variables: BTreeMap<&'static str, &'static str>,
    stdin: &'static str,
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl Surroundings for Fake {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn stdin(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.stdin.into())
    }

    fn file(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let path = path.to_str().unwrap();
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Splits at spaces; `''` is an empty word and `_` inside a word a space.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| if word == "''" { String::new() } else { word.replace('_', " ") })
        .collect()
}

fn read_with(line: &str, fake: &mut Fake) -> Result<Invocation, Usage> {
    let mut words = words(line);
    let tool = words.remove(0);
    parse(&tool, words, fake)
}

fn call(line: &str) -> Call {
    read_with(line, &mut Fake::default()).unwrap_or_else(|error| panic!("{line}: {error:?}")).call
}

fn refusal(line: &str) -> (u8, String) {
    match read_with(line, &mut Fake::default()) {
        Err(Usage::Wrong(error)) => (error.exit_code, error.message),
        other => panic!("{line}: {other:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn relation(id: i64, shown: &str) -> Option<RelationArgument> {
    Some(RelationArgument { id, shown: shown.into() })
}

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn relations() {
    let seven = relation(7, "\"db:7\" for option -r");
    let table = [
        ("relation-ids db --format=json", Call::RelationIds { endpoint: some("db") }),
        ("relation-ids", Call::RelationIds { endpoint: None }),
        (
            "relation-list --format=json -r db:7",
            Call::RelationList { relation: seven.clone(), application: false },
        ),
        (
            "relation-list --format=json --app -r db:7",
            Call::RelationList { relation: seven.clone(), application: true },
        ),
        ("relation-list", Call::RelationList { relation: None, application: false }),
        ("relation-model-get --format=json -r db:7", Call::RelationModelGet { relation: seven }),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn databags() {
    let seven = relation(7, "\"db:7\" for option -r");
    let table = [
        (
            "relation-get --format=json -r db:7 - pg/0",
            Call::RelationGet {
                relation: seven.clone(),
                application: false,
                key: None,
                member: some("pg/0"),
            },
        ),
        (
            "relation-get --format=json -r db:7 --app - pg",
            Call::RelationGet {
                relation: seven.clone(),
                application: true,
                key: None,
                member: some("pg"),
            },
        ),
        (
            "relation-get -r 7 --app key pg/0 --format=json",
            Call::RelationGet {
                relation: relation(7, "\"7\" for option -r"),
                application: true,
                key: some("key"),
                member: some("pg"),
            },
        ),
        (
            "relation-get",
            Call::RelationGet { relation: None, application: false, key: None, member: None },
        ),
        (
            "relation-get --relation=7 host",
            Call::RelationGet {
                relation: relation(7, "\"7\" for option --relation"),
                application: false,
                key: some("host"),
                member: None,
            },
        ),
        (
            "relation-set -r db:7 a=1 b= c=x=y",
            Call::RelationSet {
                relation: seven.clone(),
                application: false,
                settings: pairs(&[("a", "1"), ("b", ""), ("c", "x=y")]),
            },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
    for (stdin, line) in [
        ("{\"a\": \"1\", \"b\": \"\"}", "relation-set -r db:7 --app --file -"),
        ("a: '1'\nb: ''\n", "relation-set --app -r db:7 --file -"),
        ("a: 9\n", "relation-set --app -r db:7 --file - a=1 b="),
    ] {
        let mut fake = Fake { stdin, ..Fake::default() };
        let settings = pairs(&[("a", "1"), ("b", "")]);
        let expected = Call::RelationSet { relation: seven.clone(), application: true, settings };
        assert_eq!(read_with(line, &mut fake).unwrap().call, expected, "{line}");
    }
}

#[test]
fn model() {
    let network = |parts, relation| Call::NetworkGet { binding: "db".into(), relation, parts };
    let table = [
        ("config-get --format=json", Call::ConfigGet { key: None, all: false }),
        ("config-get --format=json port", Call::ConfigGet { key: some("port"), all: false }),
        ("config-get -a", Call::ConfigGet { key: None, all: true }),
        ("config-get --all", Call::ConfigGet { key: None, all: true }),
        ("is-leader --format=json", Call::IsLeader),
        ("leader-get", Call::LeaderGet { key: None }),
        ("leader-get -", Call::LeaderGet { key: None }),
        ("leader-get key", Call::LeaderGet { key: some("key") }),
        ("leader-set a=1 b=", Call::LeaderSet { settings: pairs(&[("a", "1"), ("b", "")]) }),
        ("goal-state --format=json", Call::GoalState),
        ("credential-get --format=json", Call::CredentialGet),
        ("resource-get image", Call::ResourceGet { name: "image".into() }),
        ("unit-get private-address", Call::UnitGet { address: UnitAddress::Private }),
        ("unit-get public-address", Call::UnitGet { address: UnitAddress::Public }),
        ("network-get --format=json db", network(vec![], None)),
        ("network-get --format=json -r 7 db", network(vec![], relation(7, "\"7\" for option -r"))),
        (
            "network-get db --ingress-address --bind-address",
            network(vec![NetworkPart::BindAddress, NetworkPart::IngressAddress], None),
        ),
        ("network-get --primary-address db", network(vec![NetworkPart::PrimaryAddress], None)),
        ("network-get --egress-subnets=true db", network(vec![NetworkPart::EgressSubnets], None)),
        ("juju-reboot", Call::JujuReboot { now: false }),
        ("juju-reboot --now", Call::JujuReboot { now: true }),
        (
            "add-metric --labels k=v,l=w users=5",
            Call::AddMetric { metrics: pairs(&[("users", "5")]) },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn status() {
    let log =
        |level: &str, message: &str| Call::JujuLog { level: level.into(), message: message.into() };
    let set = |application, status: &str, message: &str| Call::StatusSet {
        application,
        status: status.into(),
        message: message.into(),
    };
    let get = |application, detail| Call::StatusGet { application, detail };
    let table = [
        ("juju-log --log-level DEBUG -- hello", log("DEBUG", "hello")),
        ("juju-log --log-level CRITICAL -- --x", log("CRITICAL", "--x")),
        ("juju-log --log-level INFO -- ''", log("INFO", "")),
        ("juju-log -l warning two words", log("WARNING", "two words")),
        ("juju-log --log-level NOISE x", log("INFO", "x")),
        ("juju-log --debug x", log("DEBUG", "x")),
        ("juju-log --format=json x", log("INFO", "x")),
        ("status-set --application=False active -- ''", set(false, "active", "")),
        ("status-set --application=True blocked -- -no_way", set(true, "blocked", "-no way")),
        ("status-set --application=False waiting", set(false, "waiting", "")),
        ("status-set maintenance a b", set(false, "maintenance", "a b")),
        ("status-get", get(false, StatusDetail::Word)),
        ("status-get --format=yaml", get(false, StatusDetail::Short)),
        (
            "status-get --include-data --format=json --application=false",
            get(false, StatusDetail::Full),
        ),
        (
            "status-get --include-data --format=json --application=true",
            get(true, StatusDetail::Full),
        ),
        ("application-version-set -- 1.2", Call::ApplicationVersionSet { version: "1.2".into() }),
        ("application-version-set 1.2", Call::ApplicationVersionSet { version: "1.2".into() }),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn ports_and_storage() {
    let ports = |protocol: &str, from, to| PortRange { protocol: protocol.into(), from, to };
    let open = |ports, endpoints: &[&str]| Call::OpenPort {
        ports,
        endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
    };
    let table = [
        ("open-port 80/tcp", open(ports("tcp", 80, 80), &[])),
        ("open-port 80", open(ports("tcp", 80, 80), &[])),
        ("open-port 80-90/UDP", open(ports("udp", 80, 90), &[])),
        ("open-port icmp", open(ports("icmp", 0, 0), &[])),
        ("open-port ICMP --format=json", open(ports("icmp", 0, 0), &[])),
        ("open-port --endpoints a,b 80/tcp", open(ports("tcp", 80, 80), &["a", "b"])),
        (
            "close-port 1-65535",
            Call::ClosePort { ports: ports("tcp", 1, 65535), endpoints: vec![] },
        ),
        ("opened-ports", Call::OpenedPorts { endpoints: false }),
        ("opened-ports --endpoints --format=json", Call::OpenedPorts { endpoints: true }),
        ("storage-list --format=json data", Call::StorageList { name: some("data") }),
        ("storage-list", Call::StorageList { name: None }),
        (
            "storage-get --format=json -s data/0 location",
            Call::StorageGet { storage: some("data/0"), attribute: some("location") },
        ),
        ("storage-get", Call::StorageGet { storage: None, attribute: None }),
        (
            "storage-add data=2 logs data",
            Call::StorageAdd { counts: [("data".into(), 3), ("logs".into(), 1)].into() },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
}

#[test]
fn state_actions_and_payloads() {
    let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let table = [
        ("state-get --format=json", Call::StateGet { key: None, strict: false }),
        ("state-get --strict k", Call::StateGet { key: some("k"), strict: true }),
        ("state-set a=1", Call::StateSet { values: pairs(&[("a", "1")]) }),
        ("state-delete a", Call::StateDelete { key: "a".into() }),
        ("action-get --format=json", Call::ActionGet { path: vec![] }),
        ("action-get --format=json a.b", Call::ActionGet { path: path(&["a", "b"]) }),
        (
            "action-set k=v a.b=1=2 c=",
            Call::ActionSet {
                results: vec![
                    (path(&["k"]), "v".into()),
                    (path(&["a", "b"]), "1=2".into()),
                    (path(&["c"]), String::new()),
                ],
            },
        ),
        ("action-set", Call::ActionSet { results: vec![] }),
        ("action-fail -- -broken", Call::ActionFail { message: "-broken".into() }),
        (
            "action-fail",
            Call::ActionFail {
                message: "action failed without reason given, check action for errors".into(),
            },
        ),
        ("action-log -- half done", Call::ActionLog { message: "half done".into() }),
        (
            "payload-register docker web id1 t1 t2",
            Call::PayloadRegister {
                kind: "docker".into(),
                class: "web".into(),
                id: "id1".into(),
                tags: path(&["t1", "t2"]),
            },
        ),
        (
            "payload-status-set web id1 started",
            Call::PayloadStatusSet {
                class: "web".into(),
                id: "id1".into(),
                status: "started".into(),
            },
        ),
        (
            "payload-unregister web id1",
            Call::PayloadUnregister { class: "web".into(), id: "id1".into() },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(call(line), expected, "{line}");
    }
    let mut fake = Fake { stdin: "k: v\n", ..Fake::default() };
    let set = read_with("state-set --file -", &mut fake).unwrap().call;
    assert_eq!(set, Call::StateSet { values: pairs(&[("k", "v")]) });
}

fn get(id: Option<&str>, label: Option<&str>, reading: SecretReading) -> Call {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Call::SecretGet { id: own(id), label: own(label), key: None, base64: false, reading }
}

#[test]
fn secrets() {
    let none = None;
    let table = [
        (format!("secret-get --format=json {ID}"), get(Some(ID), none, SecretReading::Tracked)),
        (
            format!("secret-get secret:{ID} --label L --refresh"),
            get(Some(ID), Some("L"), SecretReading::Refresh),
        ),
        ("secret-get --label L --peek".into(), get(none, Some("L"), SecretReading::Peek)),
        (
            format!("secret-get secret://6b57f8b5-4ffe-4a5e-8bb8-0a1f1b9b3b6c/{ID}"),
            get(Some(ID), none, SecretReading::Tracked),
        ),
        (
            format!("secret-get {ID} password#base64"),
            Call::SecretGet {
                id: some(ID),
                label: None,
                key: some("password"),
                base64: true,
                reading: SecretReading::Tracked,
            },
        ),
        (
            format!("secret-info-get --format=json {ID}"),
            Call::SecretInfoGet { id: some(ID), label: None },
        ),
        ("secret-info-get --label L".into(), Call::SecretInfoGet { id: None, label: some("L") }),
        ("secret-ids --format=json".into(), Call::SecretIds),
        (format!("secret-remove {ID}"), Call::SecretRemove { id: ID.into(), revision: None }),
        (
            format!("secret-remove secret:{ID} --revision 3"),
            Call::SecretRemove { id: ID.into(), revision: Some(3) },
        ),
        (
            format!("secret-grant --relation 5 --unit pg/0 {ID}"),
            Call::SecretGrant {
                id: ID.into(),
                relation: relation(5, "\"5\" for option --relation"),
                unit: some("pg/0"),
            },
        ),
        (
            format!("secret-revoke --relation 5 --app pg {ID}"),
            Call::SecretRevoke {
                id: ID.into(),
                relation: relation(5, "\"5\" for option --relation"),
                application: some("pg"),
                unit: None,
            },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(call(&line), expected, "{line}");
    }
}

#[test]
fn secret_drafts() {
    let mut fake = Fake {
        files: [
            ("/t/password", b"p\xc3\xa4ss\n".to_vec()),
            ("/t/all.yaml", b"user: admin\npin: 0042\n".to_vec()),
        ]
        .into(),
        ..Fake::default()
    };
    let content = |entries| Some(SecretContent(pairs(entries)));
    let table = [
        (
            "secret-add --label L --description D --expire 24h --rotate monthly --owner unit \
             password#file=/t/password"
                .to_owned(),
            Call::SecretAdd {
                application: false,
                draft: SecretDraft {
                    label: some("L"),
                    description: some("D"),
                    rotation: some("monthly"),
                    expiry: Some(Expiry::After(86_400_000)),
                    content: content(&[("password", "päss\n")]),
                },
            },
        ),
        (
            "secret-add user=me token#base64=c2VjcmV0".into(),
            Call::SecretAdd {
                application: true,
                draft: SecretDraft {
                    content: content(&[("user", "me"), ("token", "secret")]),
                    ..SecretDraft::default()
                },
            },
        ),
        (
            "secret-add --owner application --file /t/all.yaml user=root".into(),
            Call::SecretAdd {
                application: true,
                draft: SecretDraft {
                    content: content(&[("user", "root"), ("pin", "0042")]),
                    ..SecretDraft::default()
                },
            },
        ),
        (
            format!("secret-set {ID} --label '' --owner application"),
            Call::SecretSet {
                id: ID.into(),
                draft: SecretDraft { label: some(""), ..SecretDraft::default() },
            },
        ),
        (
            format!("secret-update --expire 2026-01-02T03:04:05 secret:{ID} password=new"),
            Call::SecretSet {
                id: ID.into(),
                draft: SecretDraft {
                    expiry: Some(Expiry::At("2026-01-02T03:04:05Z".into())),
                    content: content(&[("password", "new")]),
                    ..SecretDraft::default()
                },
            },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(read_with(&line, &mut fake).unwrap().call, expected, "{line}");
    }
}

/// The Python framework takes these words in stderr as answers about secrets and relations.
#[test]
fn own_texts_do_not_say_not_found() {
    for tool in TOOLS {
        for arguments in ["-x", "x y z", "--file /gone", "abc#file=/gone", "-r x"] {
            let Err(Usage::Wrong(error)) =
                read_with(&format!("{tool} {arguments}"), &mut Fake::default())
            else {
                continue;
            };
            let text = error.message.to_lowercase();
            assert!(!text.contains("not found") && !text.contains("permission denied"), "{text}");
        }
    }
}

#[test]
fn output_options() {
    let table = [
        ("config-get", Format::Smart, None),
        ("config-get --format yaml -o f", Format::Yaml, Some("f")),
        ("config-get --output=f --format=json", Format::Json, Some("f")),
        ("goal-state", Format::Yaml, None),
        ("secret-get --label l", Format::Yaml, None),
        ("secret-info-get --label l --format json", Format::Json, None),
        ("resource-get x", Format::Raw, None),
    ];
    for (line, format, file) in table {
        let output = read_with(line, &mut Fake::default()).unwrap().output;
        assert_eq!(output, Output { format, file: file.map(Into::into) }, "{line}");
    }
    for tool in ["relation-set", "open-port 80", "close-port 80", "juju-log x"] {
        let invocation = read_with(&format!("{tool} --format=json"), &mut Fake::default()).unwrap();
        let name = tool.split(' ').next().unwrap();
        let note = format!("--format flag deprecated for command {name:?}");
        assert_eq!(invocation.notes, [note], "{tool}");
    }
}

#[test]
fn every_tool_has_help() {
    for tool in TOOLS {
        for flag in ["--help", "-h", "x --help y"] {
            let Err(Usage::Help(text)) = read_with(&format!("{tool} {flag}"), &mut Fake::default())
            else {
                panic!("{tool}");
            };
            assert!(text.starts_with(&format!("Usage: {tool}")), "{text}");
            assert!(text.contains("\n\nSummary:\n"), "{text}");
        }
    }
}

/// The Python framework before 3.4 reads the storage of the event from this line.
#[test]
fn help_shows_the_storage_of_the_hook() {
    let variables = [("JUJU_STORAGE_ID", "data/0")].into();
    let mut fake = Fake { variables, ..Fake::default() };
    let Err(Usage::Help(text)) = read_with("storage-get --help", &mut fake) else { panic!() };
    assert!(text.lines().any(|line| line == "-s  (= data/0)"), "{text}");
    let Err(Usage::Help(text)) = read_with("storage-get --help", &mut Fake::default()) else {
        panic!()
    };
    assert!(text.lines().any(|line| line == "-s  (= \"\")"), "{text}");
}

proptest! {
    #[test]
    fn any_line_is_answered(
        tool in proptest::sample::select(TOOLS),
        words in proptest::collection::vec(
            prop_oneof![
                any::<String>(),
                "-{0,2}[a-z]{1,12}=?[a-z0-9:/.#-]{0,8}",
                "[a-z0-9]{1,20}[=:/#.,-]{0,2}[a-z0-9]{0,20}",
            ],
            0..6,
        ),
    ) {
        match parse(tool, words, &mut Fake::default()) {
            Ok(_) | Err(Usage::Help(_)) => {}
            Err(Usage::Wrong(error)) => prop_assert!(matches!(error.exit_code, 1 | 2)),
        }
    }
}
