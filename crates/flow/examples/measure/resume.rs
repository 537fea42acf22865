//! Flows whose process was killed in the middle of them: how long until each runs again.

use std::{
    future,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tutti_flow::{Engine, Failure, Task, TaskContext};
use uuid::Uuid;

use crate::{
    Result,
    arguments::Arguments,
    meter::{Meter, peak_memory_mib},
    workload::{CALLERS, Log, Nothing, all_succeeded, flow, submit_all, task},
};

/// The subcommand of the process that is killed.
pub(crate) const VICTIM: &str = "resume-victim";

/// Says that every flow is in the middle.
const HALF_WAY: &str = "half way";

/// The second task of each flow: it ends only in the second life.
struct Hang(Arc<Log>);

impl Task for Hang {
    const NAME: &'static str = "hang";
    type Input = ();
    type Output = ();

    async fn execute(&self, context: TaskContext, (): ()) -> std::result::Result<(), Failure> {
        self.0.begin(context.flow);
        if context.attempt == 1 {
            future::pending::<()>().await;
        }
        Ok(())
    }
}

fn lease(arguments: &Arguments) -> Result<Duration> {
    Ok(Duration::from_millis(arguments.number("lease-ms", 2000)? as u64))
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let flows = arguments.number("flows", 1000)?;
    let interrupted = kill_half_way(arguments, flows)?;
    let store = arguments.open().await?;
    let log = Log::new(flows);
    let nothing = Nothing(Log::new(flows));
    let meter = Meter::start();
    let started = Instant::now();
    let engine = Engine::builder(store.clone())
        .task(nothing)
        .task(Hang(Arc::clone(&log)))
        .flows_max(flows)
        .lease(lease(arguments)?)
        .start()
        .await?;
    log.all_began().await;
    let taken = meter.stop();
    let first = log.entries().first().map(|(_, at)| at.duration_since(started).as_secs_f64());
    all_succeeded(&store, interrupted).await?;
    let ended = meter.stop();
    engine.stop().await;
    store.close().await;
    let all = taken.wall.as_secs_f64();
    Ok(json!({
        "program": "tutti",
        "flows": flows,
        "lease_s": lease(arguments)?.as_secs_f64(),
        "first_after_s": first,
        "all_after_s": all,
        "resume_s": first.map(|first| all - first),
        "ended_after_s": ended.wall.as_secs_f64(),
        "cpu_us": taken.cpu_us(flows),
        "rss_mib": peak_memory_mib()?,
    }))
}

/// Runs the flows in a process of their own until each is in its second task, and kills it.
fn kill_half_way(arguments: &Arguments, flows: usize) -> Result<Vec<Uuid>> {
    let mut victim = Command::new(std::env::current_exe()?)
        .args([VICTIM, "--database", arguments.database()?, "--flows", &flows.to_string()])
        .args(["--lease-ms", &lease(arguments)?.as_millis().to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(victim.stdout.take().ok_or("no output")?).lines();
    let mut ids = Vec::with_capacity(flows);
    for line in lines {
        let line = line?;
        if line == HALF_WAY {
            break;
        }
        ids.push(line.parse()?);
    }
    // On Unix this is SIGKILL: nothing can be tidied up.
    victim.kill()?;
    victim.wait()?;
    if ids.len() != flows {
        return Err("the process to be killed did not get half way".into());
    }
    Ok(ids)
}

/// The process to be killed.
pub(crate) async fn be_killed(arguments: &Arguments) -> Result<Value> {
    let flows = arguments.number("flows", 1000)?;
    let store = arguments.open().await?;
    let log = Log::new(flows);
    let _engine = Engine::builder(store.clone())
        .task(Nothing(Log::new(flows)))
        .task(Hang(Arc::clone(&log)))
        .flows_max(flows)
        .lease(lease(arguments)?)
        .start()
        .await?;
    let make = |number| flow(number, vec![task(Nothing::NAME, vec![]), task(Hang::NAME, vec![0])]);
    for id in submit_all(&store, flows, CALLERS, make).await? {
        println!("{id}");
    }
    log.all_began().await;
    println!("{HALF_WAY}");
    future::pending().await
}
