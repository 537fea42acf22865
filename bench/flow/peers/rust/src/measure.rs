//! What is measured, and how: wall time, CPU time of this process, its greatest resident memory.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What to run.
#[derive(Clone)]
pub struct Case {
    pub database: String,
    pub flows: usize,
    pub tasks: usize,
    pub in_flight: usize,
}

impl Case {
    /// The file of a `sqlite://` address.
    pub fn sqlite_file(&self) -> Option<&str> {
        self.database.strip_prefix("sqlite://")
    }
}

/// What came of it.
pub struct Figures {
    wall: Duration,
    cpu: Duration,
}

impl Figures {
    pub fn to_json(&self, engine: &str, case: &Case) -> Result<Value> {
        let steps = (case.flows * case.tasks) as f64;
        Ok(json!({
            "program": engine,
            "flows": case.flows,
            "tasks": case.tasks,
            "in_flight": case.in_flight,
            "wall_s": self.wall.as_secs_f64(),
            "rate": steps / self.wall.as_secs_f64(),
            "cpu_us": self.cpu.as_secs_f64() * 1e6 / steps,
            "rss_mib": peak_memory_mib()?,
        }))
    }
}

/// Runs `flow` as often as the case says, from as many callers as it has flows in flight: each starts its next flow when its
/// last one has ended.
pub async fn run_all<F, R>(case: &Case, flow: F) -> Result<Figures>
where
    F: Fn() -> R + Clone + Send + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let begun = Arc::new(AtomicUsize::new(0));
    let (cpu, started) = (cpu_time(), Instant::now());
    let mut callers = JoinSet::new();
    for _ in 0..case.in_flight {
        let (flow, begun, flows) = (flow.clone(), Arc::clone(&begun), case.flows);
        callers.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < flows {
                flow().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(Figures { wall: started.elapsed(), cpu: cpu_time().saturating_sub(cpu) })
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn peak_memory_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
