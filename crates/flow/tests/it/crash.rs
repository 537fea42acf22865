//! Workers that die: nothing is lost, nothing is recorded twice, and who comes back too late changes nothing.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tutti_flow::{Engine, Failure, FlowFilter, FlowState, Task, TaskContext, TaskState, query};
use tutti_store::Store;

use crate::world::{
    Log, PATIENCE, Place, Plan, ended, engine, flow, named, reaches, sees, state, step, submit,
    tasks,
};

const LEASE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn another_worker_goes_on_when_one_dies() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let first = engine(&store, &log).lease(LEASE).start().await.unwrap();
        let slow = Plan { millis: 100_000, ..named("b") };
        let plan = vec![step(named("a"), &[]), step(slow, &[0])];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        log.has("+b").await;
        drop(first);
        let other = Log::default();
        let second = engine(&store, &other).lease(LEASE).start().await.unwrap();
        other.has("+b").await;
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].state, rows[0].attempt), (TaskState::Succeeded, 1));
        assert_eq!((rows[1].state, rows[1].attempt), (TaskState::Running, 2));
        assert_eq!(other.lines(), ["+b"], "what was recorded is not run again");
        drop(second);
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_kills_its_workers_is_parked() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let poison = Plan { millis: 100_000, ..named("poison") };
        let id = submit(&store, flow(&["x"], vec![step(poison, &[])])).await.id;
        let next = submit(&store, flow(&["x"], vec![step(named("next"), &[])])).await.id;
        for death in 1..=3 {
            let worker = engine(&store, &log).lease(LEASE).start().await.unwrap();
            sees("an attempt", || async { (log.lines().len() >= death).then_some(()) }).await;
            drop(worker);
        }
        let last = engine(&store, &log).lease(LEASE).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Parked);
        assert_eq!(ended(&store, next).await.state, FlowState::Succeeded);
        last.stop().await;
        store.close().await;
    }
}

/// Blocks the whole thread and with it the worker's heartbeat, as a paused virtual machine would, until another worker has
/// begun.
struct Pause {
    log: Log,
    other: Log,
}

impl Task for Pause {
    const NAME: &'static str = "step";
    type Input = Plan;
    type Output = String;

    async fn execute(&self, _: TaskContext, plan: Plan) -> Result<String, Failure> {
        self.log.add(format!("+{}", plan.name));
        let began = Instant::now();
        while self.other.lines().is_empty() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.log.add(format!("-{}", plan.name));
        Ok("from the grave".into())
    }
}

#[test]
fn a_worker_that_was_paused_changes_nothing() {
    for place in Place::all() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let main = runtime();
        let store = main.block_on(place.open());
        let (paused, log) = (Log::default(), Log::default());
        let pause = Pause { log: paused.clone(), other: log.clone() };
        let other_store = store.clone();
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async move {
                let log = pause.log.clone();
                let builder = Engine::builder(other_store).task(pause).lease(LEASE);
                let engine = builder.start().await.unwrap();
                log.has("-a").await;
                // Its result is reported all the same.
                engine.stop().await;
                log.add("stopped");
            });
        });
        main.block_on(async {
            let plan = vec![step(Plan { until: "reported".into(), ..named("a") }, &[])];
            let id = submit(&store, flow(&["x"], plan)).await.id;
            paused.has("+a").await;
            // A busy machine must not make it lose its own.
            let engine = engine(&store, &log).lease(10 * LEASE).start().await.unwrap();
            paused.has("stopped").await;
            log.add("reported");
            ended(&store, id).await;
            let rows = tasks(&store, id).await;
            assert_eq!(rows[0].attempt, 2);
            assert_eq!(rows[0].output, Some("made by a".into()));
            engine.stop().await;
        });
        thread.join().unwrap();
        main.block_on(store.close());
    }
}

/// Longer than a busy machine keeps a process waiting: losing it would count as a death.
const LEASE_OF_CHILD: Duration = Duration::from_millis(1_500);

/// Flows of the killed process, tasks of each.
const FLOWS: usize = 20;
const TASKS: usize = 10;

/// Not a test of its own: what the process does that is killed.
#[tokio::test]
#[ignore = "run by the test below"]
async fn child() {
    let Ok(url) = std::env::var("TUTTI_FLOW_CHILD") else { return };
    let store = Store::open(&url, tutti_flow::MIGRATIONS).await.unwrap();
    let log = Log::default();
    let engine = engine(&store, &log).lease(LEASE_OF_CHILD).start().await.unwrap();
    let filter = FlowFilter::default();
    let found = store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
    if found.is_empty() {
        for n in 0..FLOWS {
            let chain = (0..TASKS).map(|at| {
                let plan = Plan { millis: 3, ..named(&format!("{n}.{at}")) };
                step(plan, if at == 0 { &[] } else { &[0] })
            });
            let chain = chain.enumerate().map(|(at, mut task)| {
                task.needs = at.checked_sub(1).into_iter().collect();
                task
            });
            submit(&store, flow(&[&format!("r{}", n % 7)], chain.collect())).await;
        }
        println!("submitted");
    }
    loop {
        let filter = FlowFilter::default();
        let flows = store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
        if flows.iter().all(|flow| flow.state.is_ended()) {
            println!("all ended");
            engine.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_killed_process_resumes() {
    for place in Place::all() {
        let spawn = || {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crash::child", "--ignored", "--nocapture"])
                .env("TUTTI_FLOW_CHILD", &place.url)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            (child, lines)
        };
        // A third death without progress would park a flow, as it should.
        for (wait, said) in [(30, "submitted"), (60, "")] {
            let (mut child, mut lines) = spawn();
            if !said.is_empty() {
                assert!(lines.any(|line| line.unwrap().contains(said)));
            }
            std::thread::sleep(Duration::from_millis(wait));
            // On Unix this is SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let (mut child, mut lines) = spawn();
        assert!(lines.any(|line| line.unwrap().contains("all ended")));
        assert!(child.wait().unwrap().success());
        let store = place.open().await;
        store.check().await.unwrap();
        let filter = FlowFilter::default();
        let flows = store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
        assert_eq!(flows.len(), FLOWS);
        for flow in flows {
            assert_eq!(state(&store, flow.id).await, FlowState::Succeeded);
            let rows = tasks(&store, flow.id).await;
            assert!(rows.iter().all(|task| task.state == TaskState::Succeeded));
        }
        let events = store.outbox_after(0, 10_000).await.unwrap();
        let count = |topic| events.iter().filter(|event| event.topic == topic).count();
        assert_eq!(count("flow.ended"), FLOWS, "each end is recorded once");
        store.close().await;
    }
}

#[tokio::test]
async fn a_cancelled_flow_of_a_dead_worker_ends() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let first = engine(&store, &log).lease(LEASE).start().await.unwrap();
        let slow = Plan { millis: 100_000, ..named("a") };
        let id = submit(&store, flow(&["x"], vec![step(slow, &[])])).await.id;
        reaches(&store, id, FlowState::Running).await;
        drop(first);
        store.write(move |tx| tutti_flow::cancel(tx, id)).await.unwrap();
        let second = engine(&store, &log).lease(LEASE).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        assert_eq!(tasks(&store, id).await[0].state, TaskState::MaybeRan);
        second.stop().await;
        store.close().await;
    }
}
