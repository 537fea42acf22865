//! Time passes, and news comes, without a worker.

use std::time::{Duration, Instant};

use serde_json::json;
use tutti_flow::{
    Controller, Failure, FlowState, TaskState, Timeouts, cancel, complete,
    pattern::{completion, linear, sleep, unordered, until, wait},
    signal, task_id,
};

use super::{Site, a_while, act};
use crate::world::now;

const NAP: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_sleep_holds_no_worker() {
    for site in Site::all().await {
        let begun = Instant::now();
        let id = site.submit(linear("p").add(act("a")).add(sleep(NAP)).add(act("b"))).await;
        site.log.has("-a").await;
        site.reaches(id, FlowState::Waiting).await;
        let flow = crate::world::row(&site.store, id).await;
        assert!(flow.wake_at.is_some_and(|at| at > flow.started.unwrap()));
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert!(begun.elapsed() >= NAP);
        assert_eq!(site.lines(), "+a -a +b -b");
        site.close().await;
    }
}

#[tokio::test]
async fn a_sleep_survives_the_engine() {
    for mut site in Site::all().await {
        let id = site.submit(linear("p").add(sleep(NAP)).add(act("a"))).await;
        site.reaches(id, FlowState::Waiting).await;
        site.stop().await;
        tokio::time::sleep(NAP).await;
        assert_eq!(crate::world::state(&site.store, id).await, FlowState::Waiting);
        site.start().await;
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn until_a_time() {
    for site in Site::all().await {
        let at = now() + 300_000;
        let flow = linear("p").add(until(at)).add(until(at - 1_000_000)).add(until(0));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert!(flow.finished.unwrap() >= at);
        site.close().await;
    }
}

#[tokio::test]
async fn a_month_costs_a_row() {
    for site in Site::all().await {
        let month = Duration::from_secs(30 * 24 * 3600);
        let id = site.submit(linear("p").add(sleep(month)).add(sleep(Duration::MAX))).await;
        site.reaches(id, FlowState::Waiting).await;
        assert_eq!(site.run(linear("q").add(act("a"))).await.state, FlowState::Succeeded);
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Cancelled);
        site.close().await;
    }
}

#[tokio::test]
async fn timers_run_beside_tasks() {
    for site in Site::all().await {
        let flow = unordered("p")
            .add(linear("l").add(sleep(Duration::from_millis(50))).add(act("slept")))
            .add(act("a").inject("until", "-slept"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a +slept -slept -a");
        site.close().await;
    }
}

fn soon() -> Timeouts {
    Timeouts { attempt: Some(Duration::from_millis(200)), ..Timeouts::default() }
}

#[tokio::test]
async fn a_signal_comes_in_time_or_not() {
    for site in Site::all().await {
        let waiting = |key: &str| {
            linear("p")
                .add(act("a"))
                .add(wait(key, 2).title("w").timeouts(soon()).or_revert().provides("news"))
                .add(act("b").rebind("value", "news.value"))
        };
        site.wants(move |tx| signal(tx, "in time", 5, now())).await.unwrap();
        assert_eq!(site.run(waiting("in time")).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a -a +b 5 -b");
        let late = site.run(waiting("late")).await;
        assert_eq!(
            (late.state, late.error.as_deref()),
            (FlowState::Reverted, Some("what it waits for did not come in time"))
        );
        assert_eq!(site.lines(), "+a -a ~a");
        let id = late.id;
        site.wants(move |tx| signal(tx, "late", 5, now())).await.unwrap();
        assert_eq!(crate::world::state(&site.store, id).await, FlowState::Reverted);
        site.close().await;
    }
}

#[tokio::test]
async fn a_controller_waits_again() {
    for site in Site::all().await {
        let flow = linear("p")
            .retry(Controller::times(2))
            .add(act("a"))
            .add(wait("again", 1).timeouts(soon()));
        let id = site.submit(flow).await;
        site.log.has("~a").await;
        site.wants(move |tx| signal(tx, "again", 1, now())).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a -a ~a +a -a");
        site.close().await;
    }
}

#[tokio::test]
async fn work_done_elsewhere() {
    for site in Site::all().await {
        let flow = || {
            linear("p")
                .add(act("a"))
                .add(completion().provides("done"))
                .add(act("b").rebind("value", "done"))
        };
        let (good, bad) = (site.submit(flow()).await, site.submit(flow()).await);
        site.reaches(good, FlowState::Waiting).await;
        site.reaches(bad, FlowState::Waiting).await;
        let result = Ok(json!("yes"));
        site.wants(move |tx| complete(tx, task_id(good, 1), result.clone(), now())).await.unwrap();
        let result = Err(Failure::Terminal("no".into()));
        site.wants(move |tx| complete(tx, task_id(bad, 1), result.clone(), now())).await.unwrap();
        assert_eq!(site.ended(good).await.state, FlowState::Succeeded);
        let bad = site.ended(bad).await;
        assert_eq!((bad.state, bad.error.as_deref()), (FlowState::Failed, Some("no")));
        assert_eq!(site.tasks(bad.id).await[2].state, TaskState::Skipped);
        a_while().await;
        assert!(site.lines().ends_with("+b \"yes\" -b"));
        site.close().await;
    }
}
