//! Time a child, while one flow waits for very many: run to their ends, undone with the flow, and cancelled with it.

use serde_json::{Value, json};
use tutti_flow::{
    Child, Engine, Fate,
    FlowState::{Cancelled, Reverted, Succeeded},
    NewTask, Task as _, Work, cancel, ended, revert,
};
use tutti_store::Store;

use crate::{
    Result,
    arguments::Arguments,
    meter::Meter,
    workload::{Log, Nothing, flow, submit_one, task},
};

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let children_max = arguments.number("children", 1000)?;
    let store = arguments.open().await?;
    let mut measured = Vec::new();
    for children in [10, 100, 1_000, 4_000] {
        if children <= children_max {
            measured.push(one(&store, children).await?);
        }
    }
    store.close().await;
    Ok(json!({ "program": "tutti", "children": measured }))
}

async fn one(store: &Store, children: usize) -> Result<Value> {
    let engine = Engine::builder(store.clone()).task(Nothing(Log::new(children))).start().await?;
    let meter = Meter::start();
    let id = submit_one(store, flow(0, parent(Nothing::NAME, children))).await?;
    let run = ended(store, id).await?.state;
    let ran = meter.stop();
    let meter = Meter::start();
    store.write(move |tx| revert(tx, id)).await?;
    let undone = ended(store, id).await?.state;
    let reverted = meter.stop();
    // No worker has a handler for these: they are offered, and their flows wait.
    let id = submit_one(store, flow(0, parent("unheard of", children))).await?;
    await_offers(store, children).await?;
    let meter = Meter::start();
    store.write(move |tx| cancel(tx, id)).await?;
    let cancelled = ended(store, id).await?.state;
    let gone = meter.stop();
    engine.stop().await;
    let (states, expected) = ([run, undone, cancelled], [Succeeded, Reverted, Cancelled]);
    if states != expected {
        return Err(format!("the flows are {states:?}").into());
    }
    eprintln!("{children} children: {:.1} us each", ran.wall_us(children));
    Ok(json!({
        "children": children,
        "run_us": ran.wall_us(children),
        "run_cpu_us": ran.cpu_us(children),
        "undo_us": reverted.wall_us(children),
        "undo_cpu_us": reverted.cpu_us(children),
        "cancel_us": gone.wall_us(children),
        "cancel_cpu_us": gone.cpu_us(children),
    }))
}

fn parent(name: &str, children: usize) -> Vec<NewTask> {
    let labels = if name == Nothing::NAME { vec![] } else { vec!["nowhere".into()] };
    let work = NewTask { labels, ..task(name, vec![]) };
    let child = |_| {
        let child = Child { flow: flow(0, vec![work.clone()]), fate: Fate::Joined };
        NewTask { work: Work::Flow(Box::new(child)), ..task("child", vec![]) }
    };
    (0..children).map(child).collect()
}

/// Returns once so many tasks wait for a worker that never comes.
async fn await_offers(store: &Store, offers: usize) -> Result<()> {
    loop {
        let there: i64 = store
            .read(|tx| tx.one("SELECT count(*) FROM flow_offer", ()))
            .await
            .map_err(|error: tutti_store::Error| error)?;
        if there >= offers as i64 {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
