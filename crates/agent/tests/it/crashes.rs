//! Agents that end at the worst moment, controllers that are away, answers that are lost.

use std::fs;
use std::time::Duration;

use tutti_agent::{Agent, Error};

use crate::charms::Charm;
use crate::fake::{Fake, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_interrupted_by_a_crash_counts_as_failed_and_runs_again() {
    let fake = Fake::start();
    let script = "if [ $event = config-changed ] && [ ! -e \"$unit/begun\" ]; then touch \"$unit/begun\"; sleep 60; fi";
    let charm = fake.publish(Charm::new(script), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_file(&id, "begun").await;
    drop(agent);
    let agent = fake.agent();
    let unit = fake.until_idle(&id).await;
    assert_eq!(fake.log(&id), ["install", "config-changed", "config-changed", "start"]);
    let failures = unit.steps.iter().filter(|step| step.journal.failures == 1).count();
    assert!(failures > 0, "the interrupted hook was taken for a failed one");
    let running = fake.unit_directory(&id).join("running");
    assert_eq!(fs::read_dir(running).unwrap().count(), 0);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_lets_a_short_hook_end_and_kills_a_long_one() {
    for (seconds, committed) in [("0.1", true), ("60", false)] {
        let fake = Fake::start();
        let script =
            format!("[ $event != start ] || {{ touch \"$unit/begun\"; sleep {seconds}; }}");
        let charm = fake.publish(Charm::new(&script), 1);
        let id = fake.add("app/0", &charm);
        let mut options = fake.options();
        options.timing.stop_grace = Duration::from_millis(if committed { 60_000 } else { 50 });
        let agent = Agent::start(options).unwrap();
        fake.until_file(&id, "begun").await;
        agent.stop().await.unwrap();
        assert_eq!(fake.unit(&id).snapshot.journal.started, committed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_do_not_repeat_anything() {
    for follows in [true, false] {
        let fake = Fake::start();
        if !follows {
            fake.leave_all_to_the_agent();
        }
        let charm = fake.publish(Charm::new(""), 1);
        let id = fake.add("app/0", &charm);
        fake.change(&id, |unit| unit.snapshot.leader = true);
        fake.lose_answers(9);
        let agent = fake.agent();
        let unit = fake.until_idle(&id).await;
        assert_eq!(fake.log(&id), ["install", "leader-elected", "config-changed", "start"]);
        assert!(unit.steps.iter().all(|step| step.journal.failures == 0), "{:#?}", unit.steps);
        assert_eq!(unit.lines("INFO").len(), 0);
        agent.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_agent_takes_over() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new("[ $event != start ] || sleep 0.2"), 1);
    let id = fake.add("app/0", &charm);
    let mut older = fake.agent();
    fake.until(&id, "installed", |unit| unit.snapshot.journal.installed).await;
    let mut options = fake.options();
    options.data = fake.directory.path().join("data");
    let newer = Agent::start(options).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), older.ended()).await;
    assert!(matches!(ended, Ok(Err(Error::Fenced))), "{ended:?}");
    fake.until_idle(&id).await;
    newer.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vanished_unit_left_is_removed_at_the_start() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let (kept, lost) = (fake.add("app/0", &charm), fake.add("app/1", &charm));
    let agent = fake.agent();
    fake.until_idle(&kept).await;
    fake.until_idle(&lost).await;
    agent.stop().await.unwrap();
    fake.forget(&lost);
    assert!(fake.unit_directory(&lost).exists());
    let agent = fake.agent();
    soon("the directory goes", || !fake.unit_directory(&lost).exists()).await;
    assert!(fake.unit_directory(&kept).exists());
    agent.stop().await.unwrap();
    let mut options = fake.options();
    options.machine = "1".into();
    let refused = Agent::start(options).unwrap_err();
    assert!(refused.to_string().ends_with("belongs to the agent of machine 0"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_controller_does_not_remove_the_units_of_this_one() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
    fake.become_another();
    let ended = fake.agent().ended().await;
    let Err(Error::OtherController { controller, .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(controller, "one");
    assert!(fake.unit_directory(&id).join("charm").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_cannot_be_done_is_shown_and_tried_again() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let mut wrong = charm.clone();
    wrong.digest = "0".repeat(64);
    let id = fake.add("app/0", &wrong);
    let agent = fake.agent();
    let unit = fake.until(&id, "in error", |unit| unit.agent_status.status == "error").await;
    assert!(unit.agent_status.message.contains("artifact-not-found"));
    fake.change(&id, |unit| unit.snapshot.charm = charm);
    fake.until_idle(&id).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_in_the_cache_is_downloaded_again() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let cache = fake.directory.path().join("data/cache/charms");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join(format!("{}.charm", charm.digest)), "damaged").unwrap();
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_idle(&id).await;
    assert_eq!(fake.downloads(), 1);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_ends_although_its_controller_is_away_and_a_hook_talks() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new("touch \"$unit/begun\"; yes something to say"), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_file(&id, "begun").await;
    fake.break_down();
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::time::timeout(Duration::from_secs(60), agent.stop()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_for_its_controller() {
    let fake = Fake::start();
    let mut options = fake.options();
    options.controller = "/nowhere/at/all".parse().unwrap();
    let agent = Agent::start(options).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    agent.stop().await.unwrap();
}
