//! Deploy, configuration, relations, refresh, storage, failure and removal.

use std::fs;
use std::time::{Duration, Instant};

use tutti_model::agent::{RelationSnapshot, Resolved, StorageSnapshot};
use tutti_model::api::Life;

use crate::charms::Charm;
use crate::fake::{Fake, Unit, lines, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_deployed_configured_related_refreshed_and_removed() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    fake.change(&id, |unit| {
        unit.snapshot.leader = true;
        let peers = RelationSnapshot {
            endpoint: "peers".into(),
            remote_application: "app".into(),
            peer: true,
            ..RelationSnapshot::default()
        };
        unit.snapshot.relations.insert(1, peers);
    });
    let agent = fake.agent();
    let unit = fake.until_idle(&id).await;
    let start = ["install", "peers-relation-created", "leader-elected", "config-changed", "start"];
    assert_eq!(fake.log(&id), start);
    assert_eq!(unit.workload_status.status, "unknown");
    let directory = fake.unit_directory(&id);
    let deployed = tutti_charm::deploy_files::current(&directory).unwrap().unwrap();
    assert_eq!(deployed.to_string(), charm.digest);

    fake.change(&id, |unit| unit.snapshot.config_hash = "c2".into());
    fake.until_idle(&id).await;
    assert_eq!(fake.log(&id)[5..], ["config-changed"]);

    fake.change(&id, |unit| {
        let relation = RelationSnapshot {
            endpoint: "db".into(),
            remote_application: "pg".into(),
            members: [("pg/0".to_owned(), 1)].into(),
            ..RelationSnapshot::default()
        };
        unit.snapshot.relations.insert(2, relation);
    });
    fake.until_idle(&id).await;
    let related = ["db-relation-created", "db-relation-joined pg/0", "db-relation-changed pg/0"];
    assert_eq!(fake.log(&id)[6..], related);

    fs::write(fake.unit_directory(&id).join("charm/.unit-state.db"), "").unwrap();
    let newer = fake.publish(Charm::new("true"), 2);
    fake.change(&id, |unit| {
        unit.snapshot.charm = newer.clone();
        unit.snapshot.charm_modified = 2;
    });
    let unit = fake.until_idle(&id).await;
    assert_eq!(fake.log(&id)[9..], ["upgrade-charm", "config-changed"]);
    assert_eq!(unit.snapshot.journal.charm, Some(newer));
    let charm = fake.unit_directory(&id).join("charm");
    assert_eq!(fs::read_to_string(charm.join("revision")).unwrap().trim(), "2");
    assert!(charm.join(".unit-state.db").exists(), "carried over");

    fake.change(&id, |unit| unit.die());
    let removed = fake.until(&id, "gone", |_| fake.is_gone(&id)).await;
    let steps = removed.steps.len();
    assert!(removed.steps[steps - 1].dead);
    assert_eq!(removed.workload_status.status, "terminated");
    agent.stop().await.unwrap();
    assert!(!fake.unit_directory(&id).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn deploying_is_quick_and_each_hook_takes_one_request() {
    let fake = Fake::start();
    let charm = Charm::empty().file("dispatch", "#!/bin/bash\n:\n");
    let charm = fake.publish(charm, 1);
    let agent = fake.agent();
    // Everything is warm: the agent waits for its first unit.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    let id = fake.add("app/0", &charm);
    let unit = fake.until_idle(&id).await;
    let deployed = began.elapsed();
    // Deploy, three hooks, idle. That a deployment begins is only said if it takes long.
    let announced = unit.steps.len() - (1 + 3 * 2 + 1);
    assert!(announced <= 1, "{:#?}", unit.steps);
    // What follows the end of an operation goes with it.
    assert_eq!(unit.requests, announced + 1 + 3);
    let began = Instant::now();
    fake.change(&id, |unit| unit.snapshot.config_hash = "c2".into());
    fake.until_idle(&id).await;
    let configured = began.elapsed();
    println!("deployed in {deployed:?}, configured in {configured:?}");
    // Far above what it takes on an idle machine, which the benches tell: a forgotten poll would
    // take longer.
    assert!(deployed < Duration::from_secs(10) && configured < Duration::from_secs(10));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_hook_is_retried_and_can_be_skipped() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    let directory = fake.unit_directory(&id);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("fail"), "install\n").unwrap();
    let agent = fake.agent();
    let failed = fake.until(&id, "failed twice", |unit| unit.snapshot.journal.failures >= 2).await;
    assert_eq!(failed.agent_status.status, "error");
    assert_eq!(failed.agent_status.message, "hook failed: \"install\"");
    assert!(failed.lines("WARNING").contains(&"install fails".to_owned()));
    assert!(failed.lines("ERROR")[0].contains("exit status 3"));
    fs::remove_file(directory.join("fail")).unwrap();
    let unit = fake.until_idle(&id).await;
    assert_eq!(unit.snapshot.journal.failures, 0);

    fs::write(directory.join("fail"), "config-changed\n").unwrap();
    fake.change(&id, |unit| {
        unit.snapshot.retry_hooks = false;
        unit.snapshot.config_hash = "c2".into();
    });
    fake.until(&id, "in error", |unit| unit.agent_status.status == "error").await;
    let runs = fake.log(&id).len();
    fake.change(&id, |unit| unit.snapshot.resolved = Resolved::Skip);
    let unit = fake.until_idle(&id).await;
    assert_eq!((fake.log(&id).len(), unit.snapshot.resolved), (runs, Resolved::None));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn death_by_signal_is_repeated_at_once_and_the_third_is_a_failure() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new("[ $event != config-changed ] || kill -9 $$"), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    let unit = fake.until(&id, "in error", |unit| unit.agent_status.status == "error").await;
    assert_eq!(fake.log(&id), ["install", "config-changed", "config-changed", "config-changed"]);
    assert_eq!(unit.lines("WARNING").len(), 3);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn charms_without_a_handler_or_with_a_broken_one() {
    let fake = Fake::start();
    let silent = fake.publish(Charm::empty(), 1);
    let id = fake.add("silent/0", &silent);
    let hooks = Charm::empty().file("hooks/install", "#!/nowhere/at/all\n");
    let broken = fake.publish(hooks, 2);
    let other = fake.add("broken/0", &broken);
    let agent = fake.agent();
    let unit = fake.until_idle(&id).await;
    assert!(unit.lines("INFO").iter().any(|line| line == "skipped \"install\" hook (missing)"));
    let unit = fake.until(&other, "in error", |unit| unit.agent_status.status == "error").await;
    assert!(unit.lines("ERROR")[0].contains("first line (#!) does not exist"));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn units_share_a_download() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let ids: Vec<_> = (0..5).map(|number| fake.add(&format!("app/{number}"), &charm)).collect();
    let agent = fake.agent();
    for id in &ids {
        fake.until_idle(id).await;
    }
    assert_eq!(fake.downloads(), 1);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_is_there_before_install_and_cleaned_up_after_detaching() {
    let fake = Fake::start();
    let script = "if [ -n \"${JUJU_STORAGE_ID:-}\" ]; then echo \"$JUJU_STORAGE_ID $JUJU_STORAGE_KIND \
         $JUJU_STORAGE_LOCATION\" >>\"$unit/storage-log\"; fi";
    let charm = fake.publish(Charm::new(script), 1);
    let id = fake.add("app/0", &charm);
    fake.change(&id, |unit| {
        let rootfs = StorageSnapshot {
            kind: "filesystem".into(),
            pool: "rootfs".into(),
            ..StorageSnapshot::default()
        };
        unit.snapshot.storage.insert("data/0".into(), rootfs);
    });
    let agent = fake.agent();
    fake.until_idle(&id).await;
    assert_eq!(fake.log(&id)[..2], ["data-storage-attached", "install"]);
    let location = fake.unit_directory(&id).canonicalize().unwrap().join("storage/data/0");
    let told = lines(&fake.unit_directory(&id).join("storage-log"));
    assert_eq!(told, [format!("data/0 filesystem {}", location.display())]);
    assert!(location.is_dir());
    fake.change(&id, |unit| {
        unit.snapshot.storage.get_mut("data/0").unwrap().life = Life::Dying;
    });
    fake.until_idle(&id).await;
    assert_eq!(fake.log(&id).last().unwrap(), "data-storage-detaching");
    assert!(!location.exists());
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn update_status_comes_by_itself_and_deferred_events_bring_it_early() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    fake.change(&id, |unit| unit.snapshot.update_status_interval_ms = 10_000);
    let agent = fake.agent();
    // The pace of these tests makes 10 s 200 ms.
    fake.until(&id, "updated", |_| fake.log(&id).iter().any(|line| line == "update-status")).await;
    fake.change(&id, |unit| {
        unit.snapshot.update_status_interval_ms = 0;
        unit.snapshot.deferral_retries = true;
    });
    fake.until_idle(&id).await;
    let database = fake.unit_directory(&id).join("charm/.unit-state.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let schema = "CREATE TABLE notice (sequence INTEGER PRIMARY KEY, event_path TEXT,
         observer_path TEXT, method_name TEXT);
         INSERT INTO notice VALUES (1, 'Charm/on/start[1]', 'Charm', '_on_start');";
    connection.execute_batch(schema).unwrap();
    let before = fake.log(&id).len();
    fake.change(&id, |unit| unit.snapshot.config_hash = "c2".into());
    fake.until(&id, "updated", |_| fake.log(&id).len() >= before + 3).await;
    assert_eq!(
        fake.log(&id)[before..before + 3],
        ["config-changed", "update-status", "update-status"]
    );
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_deferred_events_end_with_the_setting_and_are_counted_over_restarts() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_idle(&id).await;
    let database = fake.unit_directory(&id).join("charm/.unit-state.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let schema = "CREATE TABLE notice (sequence INTEGER PRIMARY KEY, event_path TEXT,
         observer_path TEXT, method_name TEXT);
         INSERT INTO notice VALUES (1, 'Charm/on/start[1]', 'Charm', '_on_start');";
    connection.execute_batch(schema).unwrap();
    fake.change(&id, |unit| {
        unit.snapshot.deferral_retries = true;
        unit.snapshot.config_hash = "c2".into();
    });
    let attempts = |unit: &Unit| unit.deferred().last().map_or(0, |notice| notice.attempts);
    fake.until(&id, "tried again", |unit| attempts(unit) >= 2).await;
    fake.change(&id, |unit| unit.snapshot.deferral_retries = false);
    let off = fake.until(&id, "left alone", |unit| {
        unit.is_idle() && unit.deferred().last().is_some_and(|notice| notice.next == 0)
    });
    let off = off.await.deferred();
    let runs = fake.log(&id).len();
    // At the pace of these tests the next retry was due by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fake.log(&id).len(), runs);
    agent.stop().await.unwrap();

    let agent = fake.agent();
    let again = fake.until(&id, "shown again", |unit| unit.deferred().len() > off.len()).await;
    assert_eq!(again.deferred().last(), off.last());
    fake.change(&id, |unit| unit.snapshot.deferral_retries = true);
    let tried = off.last().unwrap().attempts;
    fake.until(&id, "tried again", |unit| attempts(unit) > tried).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_removal_kills_a_hook_that_hangs() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new("sleep 60 & echo $! >\"$unit/pid\"; wait"), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    let directory = fake.unit_directory(&id);
    // The file is there before its content.
    soon("the hook runs", || !lines(&directory.join("pid")).is_empty()).await;
    let pid = fs::read_to_string(directory.join("pid")).unwrap();
    fake.forget(&id);
    let running = || fs::metadata(format!("/proc/{}/cwd", pid.trim())).is_ok();
    soon("the hook and its directory go", || !directory.exists() && !running()).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_unit_that_is_not_found_is_removed() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new(""), 1);
    let id = fake.add("app/0", &charm);
    let agent = fake.agent();
    fake.until_idle(&id).await;
    let directory = fake.unit_directory(&id);
    // A proxy without its controller; a controller that has no such path.
    for (config, code) in [("c2", ""), ("c3", "not-found")] {
        fake.refuse(404, code);
        fake.change(&id, |unit| unit.snapshot.config_hash = config.into());
        soon("the agent has tried again", || fake.refused() > 2).await;
        assert!(directory.join("charm").exists(), "{code:?}");
        fake.mend();
        fake.until_idle(&id).await;
        assert_eq!(fake.log(&id).pop().as_deref(), Some("config-changed"), "{code:?}");
    }
    fake.refuse(404, "unit-not-found");
    fake.change(&id, |unit| unit.snapshot.config_hash = "c4".into());
    soon("its directory goes", || !directory.exists()).await;
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dying_units_hook_does_not_hold_up_its_removal() {
    let fake = Fake::start();
    let charm = fake.publish(Charm::new("[ $event != stop ] || sleep 60"), 1);
    let id = fake.add("app/0", &charm);
    let mut options = fake.options();
    options.timing.dying_hook = Duration::from_millis(100);
    let agent = tutti_agent::Agent::start(options).unwrap();
    fake.until_idle(&id).await;
    fake.change(&id, |unit| unit.die());
    fake.until(&id, "gone", |_| fake.is_gone(&id)).await;
    let unit = fake.unit(&id);
    assert!(unit.lines("ERROR")[0].contains("held up the removal"), "{:?}", unit.lines("ERROR"));
    agent.stop().await.unwrap();
}
