//! Retry controllers: what follows a failure among the tasks they guard. They are always undone first.

use std::time::{Duration, Instant};

use serde_json::json;
use tutti_flow::{
    Backoff, Controller, FlowState, Retry, TaskState, Then,
    pattern::{graph, linear, unordered},
    revert, undoers,
};

use super::{Site, act, fails};

fn times(attempts_max: u32) -> Controller {
    Controller::times(attempts_max)
}

#[tokio::test]
async fn always_revert() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("before"))
            .add(linear("g").retry(Controller::AlwaysRevert).add(act("a")).add(fails("b")));
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Reverted, Some("b refused")));
        assert_eq!(site.lines(), "+before -before +a -a +b ~b failed ~a ~before");
        site.close().await;
    }
}

#[tokio::test]
async fn always_revert_leaves_the_rest_to_the_next_controller() {
    for site in Site::all().await {
        let inner = linear("inner")
            .retry(Controller::AlwaysRevert)
            .add(act("a"))
            .add(act("b").inject("from_run", 2));
        let flow = linear("p").add(linear("outer").retry(times(2)).add(act("before")).add(inner));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(
            site.lines(),
            "+before -before +a -a +b ~b failed ~a ~before +before -before +a -a +b -b"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn always_revert_all() {
    for site in Site::all().await {
        let inner = linear("inner").retry(Controller::AlwaysRevertAll).add(fails("a"));
        let flow = linear("p")
            .add(act("before"))
            .add(linear("outer").retry(times(5)).add(act("within")).add(inner));
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Reverted, Some("a refused")));
        assert_eq!(
            site.lines(),
            "+before -before +within -within +a ~a failed ~within ~before",
            "it does not ask the controller outwards"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn always_revert_all_from_one_of_several_at_the_same_time() {
    for site in Site::all().await {
        let flow = unordered("p")
            .add(linear("one").retry(times(9)).add(act("a")).add(fails("b").inject("until", "+c")))
            .add(
                linear("other")
                    .retry(Controller::AlwaysRevertAll)
                    .add(fails("c").inject("until", "~b failed")),
            );
        assert_eq!(site.run(flow).await.state, FlowState::Reverted);
        let lines = site.lines();
        assert_eq!(lines.matches("~c failed").count(), 1, "{lines}");
        assert!(lines.ends_with("~a") || lines.ends_with("~c failed"), "{lines}");
        site.close().await;
    }
}

#[tokio::test]
async fn times_tries_again_and_gives_up() {
    for site in Site::all().await {
        let guarded = |from_run: usize| {
            linear("p").add(act("before")).add(
                linear("g")
                    .retry(times(3))
                    .add(act("a"))
                    .add(act("b").inject("from_run", from_run)),
            )
        };
        let flow = site.run(guarded(3).add(act("behind"))).await;
        assert_eq!((flow.state, flow.error), (FlowState::Succeeded, None));
        let once = "+a -a +b ~b failed ~a";
        assert_eq!(
            site.lines(),
            format!("+before -before {once} {once} +a -a +b -b +behind -behind")
        );
        let tasks = site.tasks(flow.id).await;
        assert_eq!((tasks[1].name.as_str(), tasks[1].attempt), ("g.retry", 3));
        assert_eq!(tasks[1].output, Some(json!({ "attempt": 3, "value": null })));
        assert_eq!(tasks[3].attempt, 1, "attempts are those of the last run");
        let flow = site.run(guarded(9)).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Reverted, Some("b refused")));
        assert_eq!(site.lines(), format!("+before -before {once} {once} {once} ~before"));
        site.close().await;
    }
}

#[tokio::test]
async fn times_pauses_without_a_worker() {
    for site in Site::all().await {
        let pause = Duration::from_millis(400);
        let backoff = Backoff::constant(2 * pause);
        let controller = Controller::Times { attempts_max: 2, backoff };
        let flow = linear("p").retry(controller).add(act("a").inject("from_run", 2));
        let begun = Instant::now();
        let id = site.submit(flow).await;
        site.reaches(id, FlowState::Waiting).await;
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert!(begun.elapsed() >= pause);
        assert_eq!(site.lines(), "+a ~a failed +a -a");
        site.close().await;
    }
}

#[tokio::test]
async fn for_each() {
    for site in Site::all().await {
        let over = |values: &[&str]| {
            let values = values.iter().map(|value| json!(value)).collect();
            linear("p")
                .retry(Controller::ForEach { values })
                .providing("value")
                .add(act("a"))
                .add(act("b").inject("only", "z"))
        };
        assert_eq!(site.run(over(&["x", "z", "never"])).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a \"x\" -a +b \"x\" ~b failed ~a +a \"z\" -a +b \"z\" -b");
        assert_eq!(site.run(over(&["x"])).await.state, FlowState::Reverted);
        let none = site.run(over(&[])).await;
        assert_eq!(
            (none.state, none.error.as_deref()),
            (FlowState::Failed, Some("there is no value to try"))
        );
        site.close().await;
    }
}

#[tokio::test]
async fn parameterized_for_each() {
    for site in Site::all().await {
        let flow = linear("p").add(act("list").inject("value", [1, 2, 3]).provides("values")).add(
            linear("g")
                .retry(Controller::ParameterizedForEach)
                .providing("value")
                .add(act("a").inject("only", 2)),
        );
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+list [1,2,3] -list +a 1 ~a failed +a 2 -a");
        let flow = linear("p")
            .inject("sizes", "many")
            .add(linear("g").retry(Controller::ParameterizedForEach).values("sizes").add(act("a")));
        assert!(flow.build(uuid::Uuid::now_v7()).is_err(), "a text is no list");
        site.close().await;
    }
}

#[tokio::test]
async fn a_failure_that_no_controller_guards_is_up_to_the_task() {
    for site in Site::all().await {
        let flow = |then: Then| {
            linear("p")
                .add(linear("g").retry(times(3)).add(act("a")))
                .add(fails("b").retry(Retry { then, ..Retry::never() }))
        };
        assert_eq!(site.run(flow(Then::Fail)).await.state, FlowState::Failed);
        assert_eq!(site.lines(), "+a -a +b");
        assert_eq!(site.run(flow(Then::Revert)).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "+a -a +b ~b failed ~a");
        site.close().await;
    }
}

#[tokio::test]
async fn what_runs_beside_a_failure_ends_before_it_is_undone() {
    for site in Site::all().await {
        let flow = linear("p").add(
            unordered("g")
                .retry(times(2))
                .add(act("a").inject("from_run", 2).inject("until", "+b"))
                .add(act("b").inject("until", "+a")),
        );
        let flow = site.run(flow.add(act("behind"))).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let lines = site.log.lines();
        let at = |line: &str| lines.iter().position(|one| one == line).unwrap();
        assert!(at("-b") < at("~b"), "{lines:?}");
        assert!(at("-b") < at("~a failed"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| *line == "+behind").count(), 1);
        site.close().await;
    }
}

#[tokio::test]
async fn what_is_not_guarded_goes_on_meanwhile() {
    for site in Site::all().await {
        let flow = graph("p")
            .add(linear("g").retry(times(2)).add(act("a").inject("from_run", 2)))
            .add(act("beside").inject("until", "-a"))
            .add(act("behind"))
            .link("g", "behind");
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.log.lines().iter().filter(|line| *line == "+beside").count(), 1);
        let reverted = site.tasks(flow.id).await;
        assert!(reverted.iter().all(|task| task.state == TaskState::Succeeded));
        site.close().await;
    }
}

/// Deaths of a flow's worker in a row after which it is parked.
const DEATHS: usize = 3;

#[tokio::test]
async fn what_a_controller_could_not_undo_is_undone_first_when_a_parked_flow_is() {
    for mut site in Site::all().await {
        let bad = fails("b").inject("undone_after", "go");
        let guarded = linear("g").retry(times(2)).add(act("a")).add(bad);
        let id = site.submit(linear("p").add(act("before")).add(guarded)).await;
        for _ in 0..DEATHS {
            site.log.has("~b failed").await;
            site.kill();
            site.lines();
            let expire = |tx: &mut tutti_store::Tx<'_>| {
                tx.exec("UPDATE flow_worker SET lease_until = 0", ())?;
                Ok(())
            };
            site.wants(expire).await.unwrap();
            site.start().await;
        }
        assert_eq!(site.ended(id).await.state, FlowState::Parked);
        assert_eq!(site.tasks(id).await[3].state, TaskState::RevertFailed);
        let undoers = site.store.write(move |tx| undoers(tx, id)).await.unwrap();
        assert!(undoers.contains("act"));
        site.log.add("go");
        site.wants(move |tx| revert(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "go ~b failed ~a ~before");
        site.close().await;
    }
}
