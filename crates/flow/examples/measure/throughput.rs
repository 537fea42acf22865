//! Steps a second. `call`: so many callers, each submits a flow and waits for its end before the next, as one calls a function.
//! `queued`: all flows are there before the engine starts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tutti_flow::{Engine, FlowState, NewFlow};
use tutti_store::Store;

use crate::{
    Result,
    arguments::Arguments,
    meter::{Figures, Meter, peak_memory_mib},
    workload::{CALLERS, Log, Nothing, all_succeeded, chain, flow, run_queued, submit_all},
};

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let (flows, tasks) = (arguments.number("flows", 1000)?, arguments.number("tasks", 10)?);
    let in_flight = arguments.number("in-flight", 8)?;
    let shape = arguments.word("shape", "call");
    let store = arguments.open().await?;
    let figures = match shape {
        "call" => called(&store, flows, tasks, in_flight).await?,
        "queued" => {
            let ids = submit_all(&store, flows, CALLERS, move |number| flow(number, chain(tasks)))
                .await?;
            let run = run_queued(&store, flows * tasks, in_flight).await?;
            all_succeeded(&store, ids).await?;
            run.figures
        }
        other => return Err(format!("no shape is called `{other}`").into()),
    };
    store.close().await;
    let steps = flows * tasks;
    Ok(json!({
        "program": "tutti",
        "shape": shape,
        "flows": flows,
        "tasks": tasks,
        "in_flight": in_flight,
        "wall_s": figures.wall.as_secs_f64(),
        "rate": figures.per_second(steps),
        "cpu_us": figures.cpu_us(steps),
        "rss_mib": peak_memory_mib()?,
    }))
}

async fn called(store: &Store, flows: usize, tasks: usize, in_flight: usize) -> Result<Figures> {
    let log = Log::new(flows * tasks);
    let builder = Engine::builder(store.clone()).task(Nothing(log));
    let engine = builder.flows_max(in_flight).start().await?;
    let engine = Arc::new(engine);
    succeeded(&engine, flow(0, chain(1))).await?;
    let begun = Arc::new(AtomicUsize::new(0));
    let meter = Meter::start();
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (begun, engine) = (Arc::clone(&begun), Arc::clone(&engine));
        callers.spawn(async move {
            loop {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if number >= flows {
                    return Result::Ok(());
                }
                succeeded(&engine, flow(number, chain(tasks))).await?;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    let figures = meter.stop();
    if let Some(engine) = Arc::into_inner(engine) {
        engine.stop().await;
    }
    Ok(figures)
}

async fn succeeded(engine: &Engine, flow: NewFlow) -> Result<()> {
    match engine.run(flow).await? {
        FlowState::Succeeded => Ok(()),
        other => Err(format!("a flow is {other}").into()),
    }
}
