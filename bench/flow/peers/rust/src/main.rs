//! Rust engines for durable work, in one shape: so many flows of so many steps that do nothing, each step durable before the
//! next begins, so many flows in flight.
//!
//! `flow-peers dbos|durare|steno --database URL --flows N --tasks N --in-flight N` prints one line of JSON.

mod dbos_steps;
mod durare_steps;
mod measure;
mod steno_sagas;
mod steno_stores;

use anyhow::{Context, Result, bail};

use measure::Case;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let engine = arguments.next().context("say which engine: dbos, durare or steno")?;
    let mut case = Case { database: String::new(), flows: 1000, tasks: 10, in_flight: 1 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--database" => case.database = value,
            "--flows" => case.flows = value.parse()?,
            "--tasks" => case.tasks = value.parse()?,
            "--in-flight" => case.in_flight = value.parse()?,
            _ => bail!("what is {name}?"),
        }
    }
    let figures = match engine.as_str() {
        "dbos" => dbos_steps::measure(&case).await,
        "durare" => durare_steps::measure(&case).await,
        "steno" => steno_sagas::measure(&case).await,
        _ => bail!("no engine is called {engine}"),
    }
    .with_context(|| format!("measuring {engine}"))?;
    println!("{}", figures.to_json(&engine, &case)?);
    // Some engines keep threads that would not end.
    std::process::exit(0);
}
