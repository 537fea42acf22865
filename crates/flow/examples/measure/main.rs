//! Measures the engine; each subcommand prints one line of JSON. `bench/flow/run.py` runs it beside other engines.
//!
//! ```text
//! cargo run --release -p tutti-flow --example measure -- SUBCOMMAND --database sqlite:///new.db|postgres://… [OPTION VALUE]…
//!
//! throughput  --flows 1000 --tasks 10 --in-flight 8 --shape call|queued
//! growth      time a task in long chains and in ladders of diamonds
//! history     time a task with up to --finished 1000000 finished flows in the database
//! queue       --one 10000 flows on one resource, --distinct 100000 on as many
//! latency     from the call that submits a flow to the start of its task, otherwise idle (--flows 500)
//! signals     time a signal while one flow waits for --waits 2000
//! children    time a child, run, undone and cancelled, of a flow that waits for up to --children 1000
//! resume      --flows 1000 interrupted by SIGKILL, until each runs again (--lease-ms 2000)
//! limit       what the machine allows without an engine: --in-flight 64 --lanes 1|2 --rows 1|2
//! flush       how long the disk takes to keep 8 KiB (--directory .)
//! ```
//!
//! The database must be empty: its history would be measured too.

mod arguments;
mod children;
mod flush;
mod growth;
mod history;
mod latency;
mod limit;
mod meter;
mod queue;
mod resume;
mod signals;
mod throughput;
mod workload;

use std::time::Duration;

use serde_json::Value;

use arguments::Arguments;

/// Everything that can go wrong: a measurement that cannot go on ends the program.
type Failed = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failed>;

/// As long as any measurement may take.
const TIME_MAX: Duration = Duration::from_secs(3600);

fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured =
        runtime.block_on(async { tokio::time::timeout(TIME_MAX, measure(&arguments)).await })??;
    println!("{measured}");
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Value> {
    match arguments.subcommand.as_str() {
        "throughput" => throughput::measure(arguments).await,
        "growth" => growth::measure(arguments).await,
        "history" => growth::measure_history(arguments).await,
        "queue" => queue::measure(arguments).await,
        "signals" => signals::measure(arguments).await,
        "children" => children::measure(arguments).await,
        "latency" => latency::measure(arguments).await,
        "limit" => limit::measure(arguments).await,
        "flush" => flush::measure(arguments),
        "resume" => resume::measure(arguments).await,
        resume::VICTIM => resume::be_killed(arguments).await,
        other => Err(format!("no measurement is called `{other}`").into()),
    }
}
