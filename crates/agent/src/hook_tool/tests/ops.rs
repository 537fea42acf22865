//! Real Python charms, run by the real framework (`ops`) against the server, with real tools.
//!
//! Needs what a checkout does not have, so it runs when `TUTTI_TEST_OPS` names Python interpreters that have
//! `ops` installed (separated by colons) and `TUTTI_TEST_HOOK_TOOL` the built example `hook_tool` of
//! `tutti-charm`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::{env, fs};

use tokio::process::Command;
use tutti_charm::hook_tool::TOOLS;
use tutti_model::agent::{ContextSecret, RelationSettings, Report, SecretHook, StorageHook};

use super::server::Sink;
use super::*;

const SECRET: &str = "9m4e2mr0ui3e8a215n4g";

const FILES: [(&str, &str); 5] = [
    ("metadata.yaml", include_str!("ops/metadata.yaml")),
    ("config.yaml", "options:\n  port: {type: int, default: 80}\n  name: {type: string}\n"),
    ("actions.yaml", "backup:\n  params:\n    target: {type: string}\n"),
    ("src/charm.py", include_str!("ops/charm.py")),
    ("dispatch", "#!/bin/sh\nexec \"$PYTHON\" src/charm.py\n"),
];

struct Stage {
    directory: tempfile::TempDir,
    server: HookServer,
    python: String,
}

/// What one dispatch left behind.
struct Played {
    outcome: Outcome,
    effects: Vec<Effect>,
}

impl Stage {
    fn new(python: &str, tool: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let charm = directory.path().join("charm");
        fs::create_dir_all(charm.join("src")).unwrap();
        for (name, text) in FILES {
            fs::write(charm.join(name), text).unwrap();
        }
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(charm.join("dispatch"), executable).unwrap();
        let tools = directory.path().join("tools");
        fs::create_dir(&tools).unwrap();
        for name in TOOLS {
            symlink(tool, tools.join(name)).unwrap();
        }
        let server = HookServer::bind(&directory.path().join("run/agent.socket")).unwrap();
        Self { directory, server, python: python.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn dispatch(
        &self,
        path: &str,
        run: Run,
        context: Context,
        more: &[(&str, &str)],
    ) -> Output {
        let sink = Arc::new(Sink::default());
        self.play(path, run, context, more, sink).await.1
    }

    async fn play(
        &self,
        path: &str,
        run: Run,
        context: Context,
        more: &[(&str, &str)],
        sink: Arc<Sink>,
    ) -> (Outcome, Output) {
        let id = format!("web/0-{}-1", path.replace('/', "-"));
        self.server.begin(&id, HookContext::new(run, context), sink);
        let tools = self.path("tools");
        let mut command = Command::new("./dispatch");
        command.current_dir(self.path("charm")).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        command.env("JUJU_AGENT_SOCKET_ADDRESS", self.server.path());
        command.env("JUJU_CHARM_DIR", self.path("charm"));
        for (name, value) in [
            ("PYTHON", self.python.as_str()),
            ("JUJU_CONTEXT_ID", &id),
            ("JUJU_UNIT_NAME", "web/0"),
            ("JUJU_MODEL_NAME", "test"),
            ("JUJU_MODEL_UUID", "11111111-2222-4333-8444-555555555555"),
            ("JUJU_VERSION", "3.6.9"),
            ("JUJU_DISPATCH_PATH", path),
            ("JUJU_HOOK_NAME", path.strip_prefix("hooks/").unwrap_or_default()),
            ("LANG", "C.UTF-8"),
        ] {
            command.env(name, value);
        }
        command.envs(more.iter().copied());
        let output = command.output().await.unwrap();
        (self.server.end(&id).await.unwrap(), output)
    }

    async fn succeeds(
        &self,
        path: &str,
        run: Run,
        context: Context,
        more: &[(&str, &str)],
    ) -> Played {
        let sink = Arc::new(Sink::default());
        let (outcome, output) = self.play(path, run, context, more, Arc::clone(&sink)).await;
        let effects = std::mem::take(&mut *sink.effects.lock().unwrap());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path} with {}: {stderr}\n{effects:#?}", self.python);
        Played { outcome, effects }
    }
}

fn charm_context(leader: bool) -> Context {
    let secret = ContextSecret {
        owner: "pg".into(),
        label: "db".into(),
        latest: 2,
        tracked: 1,
        revisions: [(1, pairs(&[("password", "p1")])), (2, pairs(&[("password", "p2")]))].into(),
        ..ContextSecret::default()
    };
    Context { leader, secrets: [(SECRET.to_owned(), secret)].into(), ..context() }
}

#[tokio::test]
async fn charms_on_ops() {
    let (Ok(pythons), Ok(tool)) = (env::var("TUTTI_TEST_OPS"), env::var("TUTTI_TEST_HOOK_TOOL"))
    else {
        return;
    };
    for python in pythons.split(':') {
        let stage = Stage::new(python, Path::new(&tool));
        config_changed(&stage).await;
        follower(&stage).await;
        relation_changed(&stage).await;
        storage_attached(&stage).await;
        secret_changed(&stage).await;
        action(&stage).await;
        failure(&stage).await;
    }
}

async fn config_changed(stage: &Stage) {
    let run = Run::task("web/0", &journal());
    let played = stage.succeeds("hooks/config-changed", run, charm_context(true), &[]).await;
    let changes = played.outcome.changes;
    let settings = |application, settings| RelationSettings { relation: 7, application, settings };
    assert_eq!(
        changes.relations,
        [
            settings(false, pairs(&[("mine", ""), ("seen", "h0,h1 16"), ("text", "two\nlines")])),
            settings(true, pairs(&[("from", "leader")])),
        ]
    );
    assert_eq!(changes.open_ports, [port("", "tcp", 8080, 8080), port("", "udp", 53, 53)]);
    assert_eq!(changes.close_ports, [port("", "tcp", 80, 80)]);
    assert_eq!(changes.storage, [("data".to_owned(), 1)].into());
    let [new] = &changes.secrets_created[..] else { panic!("{changes:?}") };
    assert_eq!((new.label.as_str(), new.rotation.as_str()), ("api", "weekly"));
    assert_eq!(new.content, pairs(&[("token", "t2"), ("user-name", "päul\n")]));
    assert_eq!(new.expiry, "2036-01-02T03:04:05Z");
    assert_eq!(changes.secrets_granted[0].relation, Some(7));
    let set = |application, word: &str, message: &str| {
        let status = status(word, message);
        Effect::Report(Report::Status { application, status })
    };
    assert!(played.effects.contains(&set(true, "active", "")), "{:?}", played.effects);
    assert!(played.effects.contains(&set(false, "waiting", "for it")));
    let version = Report::WorkloadVersion { version: "1.2".into() };
    assert!(played.effects.contains(&Effect::Report(version)));
    assert!(played.effects.contains(&Effect::FetchResource { name: "image".into() }));
}

async fn follower(stage: &Stage) {
    let run = Run::task("web/0", &journal());
    let played = stage.succeeds("hooks/update-status", run, charm_context(false), &[]).await;
    assert!(played.outcome.changes.is_empty(), "{:?}", played.outcome);
}

async fn relation_changed(stage: &Stage) {
    let hook = Hook::RelationChanged(about(7, "pg", Some("pg/1")));
    let more = [
        ("JUJU_RELATION", "db"),
        ("JUJU_RELATION_ID", "db:7"),
        ("JUJU_REMOTE_APP", "pg"),
        ("JUJU_REMOTE_UNIT", "pg/1"),
    ];
    let run = Run::hook("web/0", &journal(), &hook);
    let played =
        stage.succeeds("hooks/db-relation-changed", run, charm_context(false), &more).await;
    assert_eq!(played.outcome.changes.relations[0].settings, pairs(&[("got", "h1")]));
}

async fn storage_attached(stage: &Stage) {
    let hook = Hook::StorageAttached(StorageHook { storage: "data/0".into() });
    let more = [
        ("JUJU_STORAGE_ID", "data/0"),
        ("JUJU_STORAGE_LOCATION", "/srv/data"),
        ("JUJU_STORAGE_KIND", "filesystem"),
    ];
    let run = Run::hook("web/0", &journal(), &hook);
    stage.succeeds("hooks/data-storage-attached", run, charm_context(false), &more).await;
}

async fn secret_changed(stage: &Stage) {
    let hook =
        Hook::SecretChanged(SecretHook { secret: SECRET.into(), label: "db".into(), revision: 2 });
    let id = format!("secret:{SECRET}");
    let more = [("JUJU_SECRET_ID", id.as_str()), ("JUJU_SECRET_LABEL", "db")];
    let run = Run::hook("web/0", &journal(), &hook);
    let played = stage.succeeds("hooks/secret-changed", run, charm_context(false), &more).await;
    assert_eq!(played.outcome.changes.secrets_tracked[SECRET].revision, Some(2));
}

async fn action(stage: &Stage) {
    let action = ContextAction {
        task: 9,
        name: "backup".into(),
        parameters: json!({"target": "s3"}),
        ..ContextAction::default()
    };
    let context = Context { action: Some(action), ..charm_context(false) };
    let more = [
        ("JUJU_ACTION_NAME", "backup"),
        ("JUJU_ACTION_UUID", "9"),
        ("JUJU_ACTION_TAG", "action-9"),
    ];
    let run = Run::task("web/0", &journal());
    let played = stage.succeeds("actions/backup", run, context, &more).await;
    let results = json!({"to": "s3", "size": {"mib": "5"}});
    assert_eq!(Value::Object(played.outcome.results), results);
    assert_eq!(played.outcome.failure.as_deref(), Some("disk full"));
    let log = Report::TaskLog { task: 9, message: "starting".into() };
    assert!(played.effects.contains(&Effect::Report(log)));
}

async fn failure(stage: &Stage) {
    let run = Run::task("web/0", &journal());
    let output = stage.dispatch("hooks/start", run, charm_context(false), &[]).await;
    assert_eq!(output.status.code(), Some(1));
}
