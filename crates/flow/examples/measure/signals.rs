//! Time a signal, while one flow waits for very many: what every unit of a large application sends.

use serde_json::{Value, json};
use tutti_flow::{FlowState, NewTask, Wait, Work, query, signal};

use crate::{
    Result,
    arguments::Arguments,
    meter::Meter,
    workload::{flow, submit_one},
};

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let waits = arguments.number("waits", 2000)?;
    let store = arguments.open().await?;
    let tasks = (0..waits).map(|number| NewTask {
        name: "wait".into(),
        work: Work::Wait(Wait { key: format!("unit/{number}"), at_least: 1 }),
        ..NewTask::default()
    });
    let id = submit_one(&store, flow(0, tasks.collect())).await?;
    let meter = Meter::start();
    for number in 0..waits {
        store
            .write(move |tx| {
                let now = tx.now()?;
                signal(tx, &format!("unit/{number}"), 1, now)
            })
            .await?;
    }
    let figures = meter.stop();
    let ended = store.read(move |tx| query::flow(tx, id)).await?;
    store.close().await;
    if ended.is_none_or(|flow| flow.state != FlowState::Succeeded) {
        return Err("the flow has not ended".into());
    }
    Ok(json!({
        "program": "tutti",
        "waits": waits,
        "signal_ms": figures.wall.as_secs_f64() * 1e3 / waits as f64,
        "cpu_us": figures.cpu_us(waits),
    }))
}
