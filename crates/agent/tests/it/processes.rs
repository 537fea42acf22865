//! Agents as processes of their own, and charms that call real hook tools.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;
use tutti_model::agent::{
    ContextRelation, ContextResource, Operation, RelationJournal, RelationSnapshot, Report,
    Resolved, Step,
};

use crate::charms::Charm;
use crate::fake::{Fake, lines, program, soon};

/// An agent's process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(fake: &Fake) -> Self {
        let directory = fake.directory.path();
        let mut command = Command::new(program());
        command.arg(directory.join("socket")).arg(directory.join("data"));
        Self(command.spawn().unwrap())
    }

    /// As by `kill -9`.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_tools_read_and_write_through_the_agent() {
    let fake = Fake::start();
    let script = "case $event in
         install)
            status-set active \"$(config-get motto)\"; application-version-set 1.2; juju-log hello
            cat \"$(resource-get blob)\" >\"$unit/blob\";;
         config-changed) relation-set -r db:7 url=x; open-port 80/tcp;;
         greet) action-set who=you a.b=1; action-fail \"not today\";;
         esac";
    let charm = fake.publish(Charm::new(script), 1);
    let blob = fake.publish(Charm::empty().file("other", "x"), 9);
    let id = fake.add("app/0", &charm);
    fake.change(&id, |unit| {
        unit.context.config.insert("motto".into(), "all is well".into());
        let resource = ContextResource { digest: blob.digest, filename: "blob.bin".into() };
        unit.context.resources.insert("blob".into(), resource);
        let relation = ContextRelation {
            endpoint: "db".into(),
            remote_application: "pg".into(),
            ..ContextRelation::default()
        };
        unit.context.relations.insert(7, relation);
        let journal = RelationJournal { endpoint: "db".into(), ..RelationJournal::default() };
        unit.snapshot.journal.relations.insert(7, journal);
        let remote = RelationSnapshot {
            endpoint: "db".into(),
            remote_application: "pg".into(),
            implicit: true,
            in_scope: true,
            ..Default::default()
        };
        unit.snapshot.relations.insert(7, remote);
    });
    let agent = fake.agent();
    let unit = fake.until_idle(&id).await;
    assert_eq!(unit.workload_status.status, "active");
    assert_eq!(unit.workload_status.message, "all is well");
    assert!(unit.lines("INFO").contains(&"hello".to_owned()));
    let version = Report::WorkloadVersion { version: "1.2".into() };
    assert!(unit.reports.contains(&version));
    let changes: Vec<_> = unit.steps.iter().filter_map(|step| step.changes.as_ref()).collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].relations[0].settings["url"], "x");
    assert_eq!(changes[0].open_ports[0].from, 80);
    assert!(unit.snapshot.journal.status_set);
    let placed = fake.unit_directory(&id).join("resources/blob/blob.bin");
    assert_eq!(
        std::fs::read(placed).unwrap(),
        std::fs::read(fake.unit_directory(&id).join("blob")).unwrap()
    );

    fake.change(&id, |unit| unit.task(1, "greet", json!({})));
    let unit = fake
        .until(&id, "greeted", |unit| {
            unit.tasks.get(&1).is_some_and(|report| report.status == "failed")
        })
        .await;
    let report = &unit.tasks[&1];
    assert_eq!(report.message, "not today");
    assert_eq!(report.results, json!({ "who": "you", "a": { "b": "1" }, "return-code": 0 }));

    fake.change(&id, |unit| {
        unit.refuse_changes = Some("the port is taken".into());
        unit.snapshot.config_hash = "c2".into();
    });
    let unit = fake.until(&id, "in error", |unit| unit.agent_status.status == "error").await;
    let refusal = "hook \"config-changed\" failed: cannot apply changes: the port is taken";
    assert!(unit.lines("ERROR").contains(&refusal.to_owned()), "{:?}", unit.lines("ERROR"));
    fake.change(&id, |unit| unit.refuse_changes = None);
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_outlives_a_killed_agent_is_killed_before_the_next_begins() {
    let fake = Fake::start();
    let script = "if [ $event = start ] && [ ! -e \"$unit/begun\" ]; then
            echo $$ >\"$unit/pid\"; touch \"$unit/begun\"; sleep 60; echo late >>\"$unit/log\"; fi";
    let charm = fake.publish(Charm::new(script), 1);
    let id = fake.add("app/0", &charm);
    let mut first = Process::start(&fake);
    fake.until_file(&id, "begun").await;
    let pid = lines(&fake.unit_directory(&id).join("pid"))[0].clone();
    let command = format!("/proc/{pid}/cmdline");
    first.kill();
    assert!(!std::fs::read(&command).unwrap().is_empty(), "the hook outlives its agent");
    let second = Process::start(&fake);
    soon("the hook is killed", || !std::fs::read(&command).is_ok_and(|text| !text.is_empty()))
        .await;
    fake.until_idle(&id).await;
    assert_eq!(fake.log(&id), ["install", "config-changed", "start", "start"]);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_killed_at_any_instant_lose_and_repeat_nothing() {
    const CHANGES: usize = 8;
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(":"), 1);
    let newer = fake.publish(Charm::new("true"), 2);
    let id = fake.add("app/0", &charm);
    let began = Instant::now();
    let (mut kills, mut changes) = (0_u64, 0);
    while !(changes == CHANGES && fake.unit(&id).is_idle()) {
        assert!(began.elapsed() < Duration::from_secs(300), "it never ends");
        let mut agent = Process::start(&fake);
        // Ever longer, so that it ends also on a slow machine.
        let patience = kills * kills / 100;
        tokio::time::sleep(Duration::from_millis(5 + kills * 7 % 43 + patience)).await;
        agent.kill();
        kills += 1;
        if fake.unit(&id).is_idle() && changes < CHANGES {
            changes += 1;
            fake.change(&id, |unit| {
                unit.snapshot.config_hash = format!("changed {changes}");
                if changes == CHANGES / 2 {
                    unit.snapshot.charm = newer.clone();
                    unit.snapshot.charm_modified = 2;
                }
            });
        }
        // Failed hooks are not waited for here.
        if fake.unit(&id).snapshot.journal.failures > 0 {
            fake.change(&id, |unit| unit.snapshot.resolved = Resolved::Retry);
        }
    }
    let unit = fake.unit(&id);
    println!("{kills} kills");
    for (name, times) in
        [("install", 1), ("config-changed", 1 + CHANGES), ("start", 1), ("upgrade-charm", 1)]
    {
        assert_eq!(commits(&unit.steps, name), times, "{name} after {kills} kills");
    }
    assert_eq!(unit.snapshot.journal.charm, Some(newer));
}

/// How often a hook was done with.
fn commits(steps: &[Step], name: &str) -> usize {
    let runs = |step: &Step| match &step.journal.operation {
        Operation::RunHook { hook, .. } => hook.name() == name,
        _ => false,
    };
    steps.windows(2).filter(|pair| runs(&pair[0]) && !runs(&pair[1])).count()
}
