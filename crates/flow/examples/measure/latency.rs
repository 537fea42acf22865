//! From the call that submits a flow to the start of its task, with nothing else to do. `transaction`: the flow is submitted with
//! other data; `engine`: by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tutti_flow::Engine;

use crate::{
    Result,
    arguments::Arguments,
    meter::peak_memory_mib,
    workload::{Log, Nothing, all_succeeded, chain, flow, submit_one},
};

/// Between two flows, so that everybody sleeps when one comes.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let flows = arguments.number("flows", 500)?;
    let through = arguments.word("through", "transaction");
    let store = arguments.open().await?;
    let log = Log::new(flows);
    let engine = Engine::builder(store.clone()).task(Nothing(log.clone())).start().await?;
    let mut called = Vec::with_capacity(flows);
    for number in 0..flows {
        tokio::time::sleep(PAUSE).await;
        called.push(Instant::now());
        let flow = flow(number, chain(1));
        let id = flow.id;
        match through {
            "engine" => engine.submit(flow).await?,
            "transaction" => submit_one(&store, flow).await.map(drop)?,
            other => return Err(format!("nothing is submitted through `{other}`").into()),
        }
        all_succeeded(&store, [id]).await?;
    }
    let began = log.entries();
    engine.stop().await;
    store.close().await;
    let mut delays: Vec<f64> = called
        .iter()
        .zip(&began)
        .map(|(called, (_, began))| began.duration_since(*called).as_secs_f64() * 1e3)
        .collect();
    delays.sort_by(f64::total_cmp);
    let at = |percent: usize| delays.get((delays.len() * percent / 100).min(delays.len() - 1));
    Ok(json!({
        "program": "tutti",
        "through": through,
        "flows": flows,
        "p50_ms": at(50),
        "p99_ms": at(99),
        "max_ms": at(100),
        "rss_mib": peak_memory_mib()?,
    }))
}
