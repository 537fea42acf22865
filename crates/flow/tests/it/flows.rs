//! Flows that go well, and flows that do not.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Engine, Failure, FlowState, NewTask, Outcome, Retry, Task, TaskContext, TaskState, cancel,
    retry,
};

use crate::world::{
    Log, Place, Plan, ended, engine, flow, named, reaches, sees, step, submit, tasks,
};

fn states(rows: &[tutti_flow::TaskRow]) -> Vec<TaskState> {
    rows.iter().map(|task| task.state).collect()
}

#[tokio::test]
async fn tasks_run_in_the_order_of_their_needs() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = vec![step(named("a"), &[]), step(named("b"), &[0]), step(named("c"), &[0, 1])];
        let flow = submit(&store, flow(&["app/db"], plan)).await;
        assert_eq!(flow.state, FlowState::Ready);
        let flow = ended(&store, flow.id).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(log.lines(), ["+a", "-a", "+b", "-b", "+c", "-c"]);
        let rows = tasks(&store, flow.id).await;
        assert!(rows.iter().all(|task| task.state == TaskState::Succeeded && task.attempt == 1));
        assert_eq!(rows[2].output, Some("made by c".into()));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn tasks_without_needs_run_together_and_a_flow_without_tasks_succeeds() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let slow = |name| step(Plan { millis: 100, ..named(name) }, &[]);
        let plan = vec![slow("a"), slow("b"), step(named("c"), &[0, 1])];
        let wide = submit(&store, flow(&[], plan)).await;
        let empty = submit(&store, flow(&["app/db"], vec![])).await;
        assert_eq!(empty.state, FlowState::Succeeded);
        assert_eq!(ended(&store, wide.id).await.state, FlowState::Succeeded);
        let lines = log.lines();
        assert!(lines[..2].iter().all(|line| line.starts_with('+')), "{lines:?}");
        assert_eq!(lines[4..], ["+c", "-c"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_retryable_failure_is_tried_again_and_shows() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = vec![step(Plan { failures: 2, ..named("a") }, &[]), step(named("b"), &[0])];
        let flow = submit(&store, flow(&["app/db"], plan)).await;
        let rows = sees("a task that is tried again", || async {
            let rows = tasks(&store, flow.id).await;
            (rows[0].state == TaskState::RetryWait).then_some(rows)
        });
        let rows = rows.await;
        assert_eq!(rows[0].error.as_deref(), Some("a busy"));
        assert!(rows[0].next_at.is_some());
        let flow = ended(&store, flow.id).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let rows = tasks(&store, flow.id).await;
        assert_eq!((rows[0].attempt, rows[0].error.as_deref()), (3, None));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_failed_flow_keeps_what_was_done_and_can_be_retried() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let bad = step(Plan { failures: 1, ..named("b") }, &[0]);
        let bad = NewTask { retry: Retry::never(), ..bad };
        let plan = vec![step(named("a"), &[]), bad, step(named("c"), &[1])];
        let flow = submit(&store, flow(&["app/db"], plan)).await;
        let flow = ended(&store, flow.id).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Failed, Some("b busy")));
        assert_eq!(flow.tasks_open, 0);
        let rows = tasks(&store, flow.id).await;
        assert_eq!(states(&rows), [TaskState::Succeeded, TaskState::Failed, TaskState::Skipped]);
        // Its attempts start over, so it fails once more.
        let id = flow.id;
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        assert_eq!(log.lines(), ["+a", "-a", "+b", "+b"]);
        assert!(store.write(move |tx| cancel(tx, id)).await.is_err());
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn reverting_goes_backwards_and_tells_what_came_of_each_task() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let bad = step(Plan { terminal: true, ..named("c") }, &[0, 1]);
        let bad = NewTask { retry: Retry::times(5).or_revert(), ..bad };
        let plan = vec![step(named("a"), &[]), step(named("b"), &[0]), bad, step(named("d"), &[2])];
        let flow = submit(&store, flow(&["app/db"], plan)).await;
        let flow = ended(&store, flow.id).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Reverted, Some("c refused")));
        let undone = ["~c (c refused)", "~b (made by b)", "~a (made by a)"];
        assert_eq!(log.lines()[5..], undone);
        let reverted = TaskState::Reverted;
        let rows = tasks(&store, flow.id).await;
        assert_eq!(states(&rows), [reverted, reverted, reverted, TaskState::Skipped]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_revert_that_fails_leaves_the_flow_stuck_until_somebody_retries() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let bad = step(Plan { terminal: true, ..named("c") }, &[1]);
        let bad = NewTask { retry: Retry::never().or_revert(), ..bad };
        let knot = step(Plan { revert_fails: true, ..named("b") }, &[0]);
        let flow = submit(&store, flow(&["x"], vec![step(named("a"), &[]), knot, bad])).await;
        let flow = ended(&store, flow.id).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Stuck, Some("cannot undo")));
        let rows = tasks(&store, flow.id).await;
        assert_eq!(
            states(&rows),
            [TaskState::Succeeded, TaskState::RevertFailed, TaskState::Reverted]
        );
        let id = flow.id;
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Stuck);
        let tries = log.lines().iter().filter(|line| line.starts_with("~b")).count();
        assert_eq!(tries, 2);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn poison_is_parked() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = vec![step(Plan { panics: true, ..named("a") }, &[])];
        let panicking = submit(&store, flow(&["x"], plan)).await;
        let unknown = NewTask { name: "nobody.knows".into(), ..step(named("b"), &[]) };
        let unknown = submit(&store, flow(&["y"], vec![unknown])).await;
        let unknown = ended(&store, unknown.id).await;
        assert_eq!(unknown.state, FlowState::Parked);
        assert!(unknown.error.unwrap().contains("nobody.knows"));
        let misfit = NewTask { input: json!(["not", "a", "plan"]), ..step(named("c"), &[]) };
        let misfit = submit(&store, flow(&["z"], vec![misfit])).await;
        assert_eq!(ended(&store, misfit.id).await.state, FlowState::Failed);
        let panicking = ended(&store, panicking.id).await;
        assert_eq!(panicking.state, FlowState::Parked);
        assert_eq!(panicking.error.as_deref(), Some("panicked: on purpose"));
        assert_eq!(log.lines(), ["+a", "+a", "+a"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn cancelling_ends_a_flow_wherever_it_stands() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let long = Plan { until_cancelled: true, ..named("long") };
        let running = submit(&store, flow(&["x"], vec![step(long, &[]), step(named("n"), &[0])]));
        let running = running.await.id;
        let blocked = submit(&store, flow(&["x"], vec![step(named("blocked"), &[])])).await;
        assert_eq!(blocked.state, FlowState::Blocked);
        assert_eq!(blocked.waiting_for[0].flow, running);
        reaches(&store, running, FlowState::Running).await;
        let blocked = blocked.id;
        store.write(move |tx| cancel(tx, blocked)).await.unwrap();
        assert_eq!(ended(&store, blocked).await.state, FlowState::Cancelled);
        store
            .write(move |tx| cancel(tx, running).and_then(|()| cancel(tx, running)))
            .await
            .unwrap();
        assert_eq!(ended(&store, running).await.state, FlowState::Cancelled);
        let rows = tasks(&store, running).await;
        assert_eq!(states(&rows), [TaskState::Succeeded, TaskState::Cancelled]);
        assert_eq!(log.lines(), ["+long", "-long"]);
        let failing = Plan { failures: 9, ..named("failing") };
        let failing = NewTask { retry: Retry::forever().or_revert(), ..step(failing, &[0]) };
        let waiting = submit(&store, flow(&["x"], vec![step(named("done"), &[]), failing])).await;
        reaches(&store, waiting.id, FlowState::Waiting).await;
        let waiting = waiting.id;
        store.write(move |tx| cancel(tx, waiting)).await.unwrap();
        assert_eq!(ended(&store, waiting).await.state, FlowState::Cancelled);
        assert_eq!(log.lines().last().unwrap(), "~done (made by done)");
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn stopping_finishes_the_task_and_leaves_the_rest_for_later() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let first = engine(&store, &log).start().await.unwrap();
        let slow = Plan { until: "stopping".into(), ..named("a") };
        let flow =
            submit(&store, flow(&["x"], vec![step(slow, &[]), step(named("b"), &[0])])).await;
        log.has("+a").await;
        tokio::join!(first.stop(), async { log.add("stopping") });
        assert_eq!(log.lines(), ["+a", "stopping", "-a"]);
        let rows = tasks(&store, flow.id).await;
        assert_eq!(states(&rows), [TaskState::Succeeded, TaskState::Pending]);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = engine(&store, &log).start().await.unwrap();
        assert_eq!(ended(&store, flow.id).await.state, FlowState::Succeeded);
        second.stop().await;
        store.close().await;
    }
}

/// Fails, and cannot be undone at once.
struct Broken(Log);

impl Task for Broken {
    const NAME: &'static str = "broken";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        Err(Failure::Terminal("broken".into()))
    }

    async fn revert(
        &self,
        context: TaskContext,
        (): (),
        outcome: Outcome<()>,
    ) -> Result<(), Failure> {
        self.0.add(format!("{outcome:?}"));
        match context.attempt {
            1 => Err(Failure::Retryable("busy".into())),
            _ if !self.0.lines().contains(&"mended".into()) => {
                Err(Failure::Terminal("no way".into()))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn whoever_undoes_a_task_again_is_told_what_it_left() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let start = || Engine::builder(store.clone()).task(Broken(log.clone())).start();
        let mut engine = start().await.unwrap();
        let plan = NewTask {
            name: Broken::NAME.into(),
            retry: Retry::never().or_revert(),
            ..NewTask::default()
        };
        let id = submit(&store, flow(&["x"], vec![plan])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Stuck);
        assert_eq!(tasks(&store, id).await[0].error.as_deref(), Some("no way"));
        engine.stop().await;
        log.add("mended");
        store.write(move |tx| retry(tx, id)).await.unwrap();
        engine = start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        let told = r#"Failed("broken")"#;
        assert_eq!(log.lines(), [told, told, "mended", told, told]);
        assert_eq!(tasks(&store, id).await[0].error.as_deref(), Some("broken"));
        engine.stop().await;
        store.close().await;
    }
}
