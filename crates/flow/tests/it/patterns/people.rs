//! What people do to flows.

use std::time::Duration;

use tutti_flow::{
    Error, FlowState, abandon, cancel,
    pattern::{Pattern, linear, sleep, unordered, wait},
    resume, retry, revert, signal, skip, suspend, task_id,
};
use uuid::Uuid;

use super::{Site, a_while, act, fails};
use crate::world::{now, row, sees, state};

/// Longer than it takes to suspend a flow.
const NAP: Duration = Duration::from_millis(600);

async fn stays(site: &Site, id: Uuid, expected: FlowState) {
    a_while().await;
    assert_eq!(state(&site.store, id).await, expected);
}

#[tokio::test]
async fn suspending_a_running_flow_lets_what_runs_end() {
    for mut site in Site::all().await {
        let flow = linear("p").add(act("a").inject("until", "go on")).add(act("b"));
        let id = site.submit(flow).await;
        site.log.has("+a").await;
        site.wants(move |tx| suspend(tx, id)).await.unwrap();
        sees("that it has heard", || async { row(&site.store, id).await.suspended.then_some(()) })
            .await;
        stays(&site, id, FlowState::Running).await;
        site.log.add("go on");
        site.reaches(id, FlowState::Suspended).await;
        assert!(row(&site.store, id).await.suspended);
        site.stop().await;
        site.start().await;
        stays(&site, id, FlowState::Suspended).await;
        site.wants(move |tx| resume(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a go on -a +b -b");
        assert!(site.wants(move |tx| suspend(tx, id)).await.is_err());
        site.close().await;
    }
}

#[tokio::test]
async fn suspending_a_flow_that_has_not_begun() {
    for mut site in Site::all().await {
        let hold = linear("hold").add(act("h").inject("until", "let go"));
        let hold = site.submit_about(&["x"], hold).await;
        let blocked = site.submit_about(&["x"], linear("p").add(act("a"))).await;
        site.log.has("+h").await;
        site.wants(move |tx| suspend(tx, blocked)).await.unwrap();
        site.log.add("let go");
        site.ended(hold).await;
        site.reaches(blocked, FlowState::Suspended).await;
        let behind = site.submit_about(&["x"], linear("q").add(act("b"))).await;
        stays(&site, behind, FlowState::Blocked).await;
        site.wants(move |tx| resume(tx, blocked)).await.unwrap();
        assert_eq!(site.ended(behind).await.state, FlowState::Succeeded);
        site.stop().await;
        let ready = site.submit(linear("p").add(act("c"))).await;
        assert_eq!(state(&site.store, ready).await, FlowState::Ready);
        site.wants(move |tx| suspend(tx, ready)).await.unwrap();
        site.start().await;
        stays(&site, ready, FlowState::Suspended).await;
        site.wants(move |tx| resume(tx, ready)).await.unwrap();
        assert_eq!(site.ended(ready).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn suspending_a_flow_that_waits() {
    for site in Site::all().await {
        let flow = unordered("p")
            .add(linear("l").add(sleep(NAP)).add(act("a")))
            .add(linear("r").add(wait("door", 1)).add(act("b")));
        let id = site.submit(flow).await;
        site.reaches(id, FlowState::Waiting).await;
        site.wants(move |tx| suspend(tx, id)).await.unwrap();
        site.wants(move |tx| signal(tx, "door", 1, now())).await.unwrap();
        tokio::time::sleep(NAP).await;
        stays(&site, id, FlowState::Suspended).await;
        assert_eq!(site.lines(), "");
        site.wants(move |tx| resume(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn cancelling_a_suspended_flow() {
    for site in Site::all().await {
        let flow = linear("p").or_revert().add(act("a")).add(wait("door", 1));
        let id = site.submit(flow).await;
        site.reaches(id, FlowState::Waiting).await;
        site.wants(move |tx| suspend(tx, id).and_then(|()| cancel(tx, id))).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Cancelled);
        assert_eq!(site.lines(), "+a -a ~a");
        site.close().await;
    }
}

fn flow_that_fails() -> Pattern {
    linear("p").add(act("a")).add(act("b").inject("from_run", 2)).add(act("c"))
}

#[tokio::test]
async fn retrying_goes_on_from_the_task_that_failed() {
    for site in Site::all().await {
        let id = site.run(flow_that_fails()).await.id;
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        let flow = site.ended(id).await;
        assert_eq!((flow.state, flow.error), (FlowState::Succeeded, None));
        assert_eq!(site.lines(), "+a -a +b +b -b +c -c");
        let again = site.wants(move |tx| retry(tx, id)).await;
        assert!(matches!(again, Err(Error::NotRetryable { .. })));
        site.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_ended_is_undone() {
    for site in Site::all().await {
        let good = site.run(linear("p").add(act("a")).add(act("b"))).await.id;
        site.wants(move |tx| revert(tx, good)).await.unwrap();
        assert_eq!(site.ended(good).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "+a -a +b -b ~b ~a");
        let bad = site.run(flow_that_fails()).await.id;
        site.wants(move |tx| revert(tx, bad)).await.unwrap();
        assert_eq!(site.ended(bad).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "+a -a +b ~b failed ~a");
        assert!(site.wants(move |tx| revert(tx, bad)).await.is_err());
        // And done again from the start.
        site.log.add("+b");
        site.wants(move |tx| retry(tx, bad)).await.unwrap();
        assert_eq!(site.ended(bad).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn a_task_that_failed_is_skipped() {
    for site in Site::all().await {
        let flow = linear("p").add(act("a")).add(fails("b")).add(act("c"));
        let id = site.run(flow).await.id;
        let refused = site.wants(move |tx| skip(tx, task_id(id, 0))).await;
        assert!(matches!(refused, Err(Error::NotFailed { .. })));
        site.wants(move |tx| skip(tx, task_id(id, 1))).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert_eq!(site.states(id).await, "a succeeded, b skipped, c succeeded");
        assert_eq!(site.lines(), "+a -a +b +c -c");
        site.close().await;
    }
}

#[tokio::test]
async fn what_was_being_undone_when_somebody_gave_up_was_not_undone() {
    for site in Site::all().await {
        let slow = act("a").inject("undone_after", "given up");
        let id = site.submit(linear("p").or_revert().add(slow).add(fails("b"))).await;
        site.log.has("~a").await;
        site.wants(move |tx| abandon(tx, id)).await.unwrap();
        site.log.add("given up");
        assert_eq!(site.ended(id).await.state, FlowState::Abandoned);
        assert_eq!(site.states(id).await, "a revert_failed, b reverted");
        site.close().await;
    }
}

/// A flow that is reverted, of which one task cannot be.
fn knotted() -> Pattern {
    linear("p").or_revert().add(act("a")).add(act("b").inject("knot", "loosened")).add(fails("c"))
}

#[tokio::test]
async fn a_task_that_could_not_be_undone_is_skipped() {
    for site in Site::all().await {
        let flow = site.run(knotted()).await;
        assert_eq!(
            (flow.state, flow.error.as_deref()),
            (FlowState::Stuck, Some("b cannot be undone"))
        );
        assert_eq!(site.lines(), "+a -a +b -b +c ~c failed ~b");
        let id = flow.id;
        site.wants(move |tx| skip(tx, task_id(id, 1))).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "~a");
        site.close().await;
    }
}

#[tokio::test]
async fn a_stuck_flow_goes_on_undoing_when_it_is_retried() {
    for site in Site::all().await {
        let id = site.run(knotted()).await.id;
        site.lines();
        site.log.add("loosened");
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "loosened ~b ~a");
        site.close().await;
    }
}

#[tokio::test]
async fn a_running_flow_is_abandoned_and_its_worker_can_change_nothing() {
    for site in Site::all().await {
        let flow = linear("p").add(act("a")).add(act("b").inject("until", "go on")).add(act("c"));
        let id = site.submit_about(&["x"], flow).await;
        let behind = site.submit_about(&["x"], linear("q").add(act("d"))).await;
        site.log.has("+b").await;
        site.wants(move |tx| abandon(tx, id)).await.unwrap();
        assert_eq!(site.ended(behind).await.state, FlowState::Succeeded);
        site.log.add("go on");
        stays(&site, id, FlowState::Abandoned).await;
        assert_eq!(site.states(id).await, "a succeeded, b maybe_ran, c skipped");
        assert!(!site.lines().contains("+c"));
        assert!(site.wants(move |tx| abandon(tx, id)).await.is_err());
        site.close().await;
    }
}

#[tokio::test]
async fn what_runs_of_an_abandoned_flow_is_dropped() {
    for mut site in Site::all().await {
        site.stop().await;
        let builder = site.builder().lease(Duration::from_millis(600)).flows_max(1);
        site.engine = Some(builder.start().await.unwrap());
        let id = site.submit(linear("p").add(act("a").inject("until", "never"))).await;
        site.log.has("+a").await;
        site.wants(move |tx| abandon(tx, id)).await.unwrap();
        // Its place is free for another.
        assert_eq!(site.run(linear("q").add(act("b"))).await.state, FlowState::Succeeded);
        assert!(site.lines().ends_with("+b -b"));
        site.close().await;
    }
}

#[tokio::test]
async fn a_stuck_flow_is_abandoned() {
    for site in Site::all().await {
        let id = site.run(knotted()).await.id;
        site.wants(move |tx| abandon(tx, id)).await.unwrap();
        assert_eq!(state(&site.store, id).await, FlowState::Abandoned);
        site.close().await;
    }
}
