//! Whether a task costs the same in a long flow, in a graph with many paths, and with a long history in the database.

use serde_json::{Value, json};
use tutti_flow::{NewTask, Task};
use tutti_store::Store;

use crate::{
    Result,
    arguments::Arguments,
    history,
    meter::{Meter, memory_mib, peak_memory_mib},
    workload::{CALLERS, Nothing, chain, flow, run_queued, submit_all, task},
};

/// Tasks run for each length of a chain, in as many flows as that takes.
const CHAIN_TASKS: usize = 10_000;

/// Flows run for each height of the ladder.
const LADDERS: usize = 50;

/// Flows of ten tasks run on top of each history.
const ON_TOP: usize = 500;

/// Long chains and graphs with many paths.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let store = arguments.open().await?;
    let mut chains = Vec::new();
    for length in [10, 100, 1_000, 10_000] {
        chains.push(one(&store, "tasks", length, CHAIN_TASKS / length, &chain(length), 1).await?);
    }
    let mut ladders = Vec::new();
    for diamonds in [1, 5, 10, 20] {
        ladders.push(one(&store, "diamonds", diamonds, LADDERS, &ladder(diamonds), 1).await?);
    }
    store.close().await;
    let rss_mib = peak_memory_mib()?;
    Ok(json!({ "program": "tutti", "chains": chains, "ladders": ladders, "rss_mib": rss_mib }))
}

/// A long history.
pub(crate) async fn measure_history(arguments: &Arguments) -> Result<Value> {
    let finished_max = arguments.number("finished", 1_000_000)?;
    let store = arguments.open().await?;
    let mut histories = Vec::new();
    for finished in [1, 1_000, 10_000, 100_000, 1_000_000] {
        if finished > finished_max {
            break;
        }
        let there = history::count(&store).await?;
        let meter = Meter::start();
        history::seed(&store, there, finished.saturating_sub(there)).await?;
        let seeded = meter.stop();
        let mut measured = one(&store, "finished", finished, ON_TOP, &chain(10), 8).await?;
        measured["seed_s"] = json!(seeded.wall.as_secs_f64());
        measured["rss_mib"] = json!(memory_mib()?);
        histories.push(measured);
    }
    store.close().await;
    Ok(json!({ "program": "tutti", "history": histories, "rss_mib": peak_memory_mib()? }))
}

/// Time a task, submitting and running apart.
async fn one(
    store: &Store,
    what: &str,
    size: usize,
    flows: usize,
    tasks: &[NewTask],
    in_flight: usize,
) -> Result<Value> {
    let count = flows * tasks.len();
    let (meter, tasks) = (Meter::start(), tasks.to_vec());
    submit_all(store, flows, CALLERS, move |number| flow(number, tasks.clone())).await?;
    let submitted = meter.stop();
    let run = run_queued(store, count, in_flight).await?.figures;
    eprintln!("{size} {what}: {:.1} us a task", run.wall_us(count));
    Ok(json!({
        what: size,
        "flows": flows,
        "submit_us": submitted.wall_us(count),
        "run_us": run.wall_us(count),
        "cpu_us": run.cpu_us(count),
    }))
}

/// Pairs of tasks, each of which needs both of the pair above: two to the power of `diamonds` paths.
fn ladder(diamonds: usize) -> Vec<NewTask> {
    let mut tasks = vec![task(Nothing::NAME, vec![])];
    let mut above = vec![0];
    for _ in 0..diamonds {
        let first = tasks.len();
        tasks.push(task(Nothing::NAME, above.clone()));
        tasks.push(task(Nothing::NAME, above));
        above = vec![first, first + 1];
    }
    tasks.push(task(Nothing::NAME, above));
    tasks
}
