//! What this machine and its PostgreSQL allow, without an engine: so many chains of steps, each step a row changed by key (or
//! two), durable before the next. All steps of a lane that wait, which is all of them, are one prepared `UPDATE` from arrays and
//! one commit, in one round trip. A lane is a thread with a connection of its own.

use std::{sync::Barrier, thread};

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{
    Result,
    arguments::Arguments,
    meter::{Figures, Meter},
};

/// As narrow as it can be; with room to change rows in place, as the engine's tables.
const TABLE: &str = "DROP TABLE IF EXISTS limit_step;
    CREATE TABLE limit_step (flow TEXT NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL, output TEXT, finished BIGINT,
        PRIMARY KEY (flow, number)) WITH (fillfactor = 60)";

const FILL: &str = "INSERT INTO limit_step (flow, number, state)
    SELECT $1, number, 'pending' FROM generate_series(0, $2::bigint) AS number";

const STEP: &str = "UPDATE limit_step SET state = row.state, output = row.output, finished = row.finished
    FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS row (flow, number, state, output, finished)
    WHERE limit_step.flow = row.flow AND limit_step.number = row.number";

/// As the engine's writing connection.
const SETTINGS: &str = "SET jit TO off; SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET enable_hashjoin TO off;
    SET enable_mergejoin TO off; SET plan_cache_mode TO force_generic_plan";

#[derive(Clone, Copy)]
struct Load {
    flows: usize,
    tasks: usize,
    in_flight: usize,
    lanes: usize,
    /// Rows changed by a step.
    rows: usize,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Value> {
    let load = Load {
        flows: arguments.number("flows", 1000)?,
        tasks: arguments.number("tasks", 10)?,
        in_flight: arguments.number("in-flight", 8)?,
        lanes: arguments.number("lanes", 1)?,
        rows: arguments.number("rows", 1)?,
    };
    if load.lanes == 0
        || !load.in_flight.is_multiple_of(load.lanes)
        || !(1..=2).contains(&load.rows)
    {
        return Err("as many chains in flight in each lane, and one or two rows a step".into());
    }
    let database = arguments.database()?.to_owned();
    let figures = tokio::task::spawn_blocking(move || run(&database, load)).await??;
    let steps = steps(load);
    Ok(json!({
        "program": "limit",
        "lanes": load.lanes,
        "rows": load.rows,
        "in_flight": load.in_flight,
        "wall_s": figures.wall.as_secs_f64(),
        "rate": figures.per_second(steps),
        "cpu_us": figures.cpu_us(steps),
        "round_us": figures.wall_us(turns(load) * load.tasks),
    }))
}

/// Flows are as many as fill all places the same number of times.
fn steps(load: Load) -> usize {
    turns(load) * load.in_flight * load.tasks
}

fn turns(load: Load) -> usize {
    load.flows.div_ceil(load.in_flight)
}

fn run(database: &str, load: Load) -> Result<Figures> {
    block_on(async {
        let client = connect(database).await?;
        client.batch_execute(TABLE).await?;
        let fill = client.prepare(FILL).await?;
        client.batch_execute("BEGIN").await?;
        for flow in 0..turns(load) * load.in_flight {
            client.execute(&fill, &[&name(flow), &(load.tasks as i64)]).await?;
        }
        client.batch_execute("COMMIT").await?;
        client.batch_execute("ANALYZE limit_step; CHECKPOINT").await?;
        Ok(())
    })?;
    let ready = Barrier::new(load.lanes + 1);
    let figures = thread::scope(|scope| {
        let lanes: Vec<_> = (0..load.lanes)
            .map(|lane| {
                let ready = &ready;
                scope.spawn(move || block_on(run_lane(database, load, lane, ready)))
            })
            .collect();
        ready.wait();
        let meter = Meter::start();
        for lane in lanes {
            lane.join().map_err(|_| "a lane panicked")??;
        }
        Result::Ok(meter.stop())
    })?;
    Ok(figures)
}

/// Runs the lane's share of the flows, all of its places at the same time.
async fn run_lane(database: &str, load: Load, lane: usize, ready: &Barrier) -> Result<()> {
    let client = connect(database).await?;
    client.batch_execute(SETTINGS).await?;
    let step = client.prepare(STEP).await?;
    ready.wait();
    let places = load.in_flight / load.lanes;
    for turn in 0..turns(load) {
        let first = (turn * load.lanes + lane) * places;
        let flows: Vec<String> = (first..first + places).map(name).collect();
        for task in 0..load.tasks as i64 {
            let mut names: Vec<&str> = Vec::new();
            let (mut numbers, mut states, mut outputs, mut times) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for flow in &flows {
                for row in 0..load.rows as i64 {
                    let ended = row == 0;
                    names.push(flow);
                    numbers.push(task + row);
                    states.push(if ended { "succeeded" } else { "running" });
                    outputs.push(ended.then_some("null"));
                    times.push(ended.then_some(task));
                }
            }
            // One statement by itself is its own transaction: it is answered once that is durable.
            let changed =
                client.execute(&step, &[&names, &numbers, &states, &outputs, &times]).await?;
            if changed as usize != names.len() {
                return Err("a step changed no row".into());
            }
        }
    }
    Ok(())
}

fn name(flow: usize) -> String {
    format!("01890000-0000-7000-8000-{flow:012}")
}

async fn connect(database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
