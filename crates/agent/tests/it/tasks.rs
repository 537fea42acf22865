//! Actions and commands.

use std::time::Duration;

use serde_json::{Value, json};
use tutti_agent::Handle;
use tutti_model::agent::TaskReport;

use crate::charms::Charm;
use crate::fake::Fake;

async fn deployed(charm: Charm) -> (Fake, String, Handle) {
    let fake = Fake::start();
    let charm = fake.publish(charm, 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_idle(&id).await;
    (fake, id, agent)
}

async fn run(fake: &Fake, id: &str, task: i64, name: &str, action: Value) -> TaskReport {
    fake.change(id, |unit| unit.task(task, name, action));
    ended(fake, id, task).await
}

async fn ended(fake: &Fake, id: &str, task: i64) -> TaskReport {
    let unit = fake
        .until(id, "done with its task", |unit| {
            unit.tasks.get(&task).is_some_and(|report| report.status != "running")
        })
        .await;
    unit.tasks[&task].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_report_what_they_wrote_and_how_they_ended() {
    let charm = Charm::empty()
        .file("actions/greet", "#!/bin/bash\necho \"hello $JUJU_ACTION_NAME\"; echo oh >&2\n")
        .file("actions/break", "#!/bin/bash\nexit 7\n")
        .file("actions/die", "#!/bin/bash\nkill -9 $$\n");
    let (fake, id, agent) = deployed(charm).await;
    let greeted = run(&fake, &id, 1, "greet", json!({})).await;
    assert_eq!((greeted.status.as_str(), greeted.message.as_str()), ("completed", ""));
    let results = json!({ "return-code": 0, "stdout": "hello greet\n", "stderr": "oh\n" });
    assert_eq!(greeted.results, results);
    let broken = run(&fake, &id, 2, "break", json!({})).await;
    assert_eq!((broken.status.as_str(), broken.message.as_str()), ("failed", "exit status 7"));
    assert_eq!(broken.results, json!({ "return-code": 7 }));
    let died = run(&fake, &id, 3, "die", json!({})).await;
    assert_eq!((died.status.as_str(), died.message.as_str()), ("failed", "killed by signal 9"));
    let missing = run(&fake, &id, 4, "nothing", json!({})).await;
    assert_eq!(missing.message, "action not implemented on unit \"app/0\"");
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_in_the_charm_directory_and_complete_whatever_they_return() {
    let (fake, id, agent) = deployed(Charm::empty()).await;
    let command = json!({ "command": "ls metadata.yaml; echo \"$JUJU_UNIT_NAME\"; exit 3" });
    let report = run(&fake, &id, 1, "juju-exec", command).await;
    assert_eq!(report.status, "completed");
    let results = json!({ "return-code": 3, "stdout": "metadata.yaml\napp/0\n" });
    assert_eq!(report.results, results);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_bounded() {
    let (fake, id, agent) = deployed(Charm::empty()).await;
    let command = json!({ "command": "head -c 3000000 /dev/zero | tr '\\0' x" });
    let report = run(&fake, &id, 1, "juju-exec", command).await;
    let output = report.results["stdout"].as_str().unwrap().to_owned();
    assert!(output.len() < 1_100_000 && output.ends_with("more bytes left out]\n"));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_end_early_when_cancelled_or_too_slow() {
    let (fake, id, agent) = deployed(Charm::empty()).await;
    for (task, parallel) in [(1, false), (2, true)] {
        let begun = format!("begun-{task}");
        let command = format!("touch $(dirname $CHARM_DIR)/{begun}; sleep 60");
        let slow = json!({ "command": command, "parallel": parallel });
        fake.change(&id, |unit| unit.task(task, "juju-exec", slow));
        fake.until_file(&id, &begun).await;
        fake.change(&id, |unit| unit.cancel(task));
        let report = ended(&fake, &id, task).await;
        assert_eq!(report.status, "aborted", "parallel: {parallel}");
    }
    fake.change(&id, |unit| {
        unit.task(3, "juju-exec", json!({}));
        unit.cancel(3);
    });
    assert_eq!(ended(&fake, &id, 3).await.status, "cancelled");
    let late = json!({ "command": "sleep 60", "timeout": 50 });
    let report = run(&fake, &id, 4, "juju-exec", late).await;
    assert_eq!((report.status.as_str(), report.message.as_str()), ("failed", "action timed out"));
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_tasks_run_beside_hooks() {
    let charm = Charm::new(
        "case $event in
         config-changed) if [ -e \"$unit/wait\" ]; then touch \"$unit/hook\";
            while [ ! -e \"$unit/action\" ]; do sleep 0.01; done; fi;;
         side) touch \"$unit/action\";;
         esac",
    );
    let (fake, id, agent) = deployed(charm).await;
    std::fs::write(fake.unit_directory(&id).join("wait"), "").unwrap();
    fake.change(&id, |unit| unit.snapshot.config_hash = "c2".into());
    fake.until_file(&id, "hook").await;
    // The hook ends only after the action has run.
    let report = run(&fake, &id, 1, "side", json!({ "parallel": true })).await;
    assert_eq!(report.status, "completed");
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_interrupted_by_the_agents_end_fails_when_it_is_back() {
    for parallel in [false, true] {
        let (fake, id, agent) = deployed(Charm::empty()).await;
        let slow = json!({ "command": "touch $(dirname $CHARM_DIR)/begun; sleep 60", "parallel": parallel });
        fake.change(&id, |unit| unit.task(1, "juju-exec", slow));
        fake.until_file(&id, "begun").await;
        agent.stop().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(fake.unit(&id).tasks[&1].status, "running");
        let agent = fake.agent();
        let report = ended(&fake, &id, 1).await;
        let said = (report.status.as_str(), report.message.as_str());
        assert_eq!(said, ("failed", "action terminated"), "parallel: {parallel}");
        fake.until_idle(&id).await;
        agent.stop().await.unwrap();
    }
}
