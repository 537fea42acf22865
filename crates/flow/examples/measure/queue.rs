//! Long queues: many flows on one resource, and many more on resources of their own.

use std::time::Instant;

use serde_json::{Value, json};
use tutti_store::Store;
use uuid::Uuid;

use crate::{
    Result,
    arguments::Arguments,
    meter::{Meter, memory_mib, peak_memory_mib},
    workload::{CALLERS, all_succeeded, chain, flow, run_queued, submit_all},
};

/// Flows in progress at the same time.
const IN_FLIGHT: usize = 64;

/// One in so many flows is looked at afterwards.
const SAMPLE: usize = 100;

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let on_one = arguments.number("one", 10_000)?;
    let on_distinct = arguments.number("distinct", 100_000)?;
    let store = arguments.open().await?;
    let one = drain(&store, on_one, true).await?;
    let distinct = drain(&store, on_distinct, false).await?;
    store.close().await;
    Ok(json!({
        "program": "tutti",
        "one": one,
        "distinct": distinct,
        "rss_mib": peak_memory_mib()?,
    }))
}

/// Queues flows of one task tenth by tenth, then runs them; says how the first tenth went and how the last.
async fn drain(store: &Store, flows: usize, same_resource: bool) -> Result<Value> {
    let before = memory_mib()?;
    let tenth = flows.div_ceil(10);
    let mut ids = Vec::new();
    let mut submitted = Vec::new();
    for part in 0..10 {
        let meter = Meter::start();
        let make = move |number: usize| {
            flow(if same_resource { 0 } else { part * tenth + number }, chain(1))
        };
        ids.extend(submit_all(store, tenth, CALLERS, make).await?);
        submitted.push(meter.stop().per_second(tenth));
    }
    let queued = memory_mib()?;
    eprintln!("queued {}", ids.len());
    let run = run_queued(store, ids.len(), IN_FLIGHT).await?;
    all_succeeded(store, ids.iter().copied().step_by(SAMPLE)).await?;
    Ok(json!({
        "flows": ids.len(),
        "submit_first_tenth": submitted.first(),
        "submit_last_tenth": submitted.last(),
        "run": run.figures.per_second(ids.len()),
        "run_first_tenth": rate(run.began.get(..tenth)),
        "run_last_tenth": rate(run.began.get(ids.len() - tenth..)),
        "cpu_us": run.figures.cpu_us(ids.len()),
        "rss_before_mib": before,
        "rss_queued_mib": queued,
        "rss_after_mib": memory_mib()?,
    }))
}

/// Starts a second.
fn rate(began: Option<&[(Uuid, Instant)]>) -> Option<f64> {
    let (first, last) = (began?.first()?, began?.last()?);
    Some(began?.len() as f64 / last.1.duration_since(first.1).as_secs_f64())
}
