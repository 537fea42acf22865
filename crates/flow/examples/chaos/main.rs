//! Processes that share one PostgreSQL run random flows and are killed at random; afterwards a journal of the tasks is checked.
//!
//! `chaos --database URL [--seconds 180] [--processes 4]`, or `cargo xtask chaos`. The database gets a schema of its own,
//! dropped at the end. Exits with 1 if a rule was broken.

mod check;
mod load;
mod process;

use std::{
    collections::BTreeMap,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tutti_flow::{FlowState, MIGRATIONS, resume};
use tutti_store::{Migration, Store};
use uuid::Uuid;

use load::Random;

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How long flows may take to end once nobody is killed any more.
const CALM: Duration = Duration::from_secs(180);

/// The journal, beside the engine's tables.
const JOURNAL: Migration = Migration {
    owner: "chaos",
    number: 1,
    name: "journal",
    sql: "CREATE TABLE journal (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flow TEXT NOT NULL,
        number BIGINT NOT NULL, what TEXT NOT NULL, attempt BIGINT NOT NULL, epoch BIGINT NOT NULL)",
};

pub(crate) async fn open(url: &str) -> Result<Store, Failed> {
    let migrations: Vec<Migration> = MIGRATIONS.iter().copied().chain([JOURNAL]).collect();
    Ok(Store::open(url, &migrations).await?)
}

/// What to do, from the command line.
struct Arguments(BTreeMap<String, String>);

impl Arguments {
    fn parse() -> Result<Self, Failed> {
        let mut options = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("what is `{word}`?"))?;
            options.insert(name.to_owned(), words.next().ok_or("an option without a value")?);
        }
        Ok(Self(options))
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, Failed> {
        self.0.get(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failed> {
    let arguments = Arguments::parse()?;
    let url = arguments.0.get("database").ok_or("--database is missing")?;
    match arguments.0.get("role").map(String::as_str) {
        Some(role) => {
            process::run(url, role == "load").await?;
            Ok(ExitCode::SUCCESS)
        }
        None => supervise(url, &arguments).await,
    }
}

async fn supervise(server: &str, arguments: &Arguments) -> Result<ExitCode, Failed> {
    let schema = format!("chaos_{}", Uuid::now_v7().simple());
    let url = format!("{server}?schema={schema}&application_name={schema}");
    // What the supervisor asks is not disturbed.
    let store = open(&format!("{server}?schema={schema}")).await?;
    let broken = disturb(&store, &url, &schema, arguments).await;
    let drop_schema: &'static str = format!("DROP SCHEMA {schema} CASCADE").leak();
    store.write(move |tx| tx.exec(drop_schema, ())).await?;
    store.close().await;
    let broken = broken?;
    broken.iter().take(20).for_each(|rule| eprintln!("violation: {rule}"));
    println!("{} violations", broken.len());
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills, lets everything end, and answers what was wrong.
async fn disturb(
    store: &Store,
    url: &str,
    schema: &str,
    arguments: &Arguments,
) -> Result<Vec<String>, Failed> {
    let duration = Duration::from_secs(arguments.number("seconds", 180)?);
    let processes = arguments.number("processes", 4)?.max(1) as usize;
    let (mut random, mut kills, mut cuts) = (Random::new(), 0, 0);
    let mut running = Processes::default();
    for _ in 0..processes {
        running.start(url, "load")?;
    }
    let began = Instant::now();
    while began.elapsed() < duration {
        tokio::time::sleep(Duration::from_millis(300 + random.below(2_500))).await;
        running.check()?;
        if random.below(5) == 0 {
            cuts += cut(store, schema).await?;
        } else {
            running.kill(random.below(processes as u64) as usize)?;
            kills += 1;
            running.start(url, "load")?;
        }
        nudge(store, &mut random, false).await?;
    }
    while !running.0.is_empty() {
        running.kill(0)?;
    }
    for _ in 0..processes {
        running.start(url, "drain")?;
    }
    println!("{kills} kills, {cuts} connections cut; now everything is to end");
    let stuck = calm(store, &mut running, &mut random).await?;
    drop(running);
    let mut broken = check::check(store).await?;
    broken.extend(stuck);
    Ok(broken)
}

/// Waits until every flow has ended; answers those that do not.
async fn calm(
    store: &Store,
    running: &mut Processes,
    random: &mut Random,
) -> Result<Vec<String>, Failed> {
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        running.check()?;
        nudge(store, random, true).await?;
        let open: Vec<(Uuid, FlowState)> = store
            .read(|tx| tx.all("SELECT id, state FROM flow WHERE finished IS NULL", ()))
            .await
            .map_err(|error: tutti_store::Error| error)?;
        if open.is_empty() {
            println!("all flows ended {:.1} s after the last kill", began.elapsed().as_secs_f64());
            return Ok(Vec::new());
        }
        if began.elapsed() > CALM {
            let stuck = open.iter().map(|(id, state)| format!("flow {id} is {state} for ever"));
            return Ok(stuck.collect());
        }
    }
}

/// Sends what waiting tasks wait for, and lets suspended flows go on: some of them, or all.
async fn nudge(store: &Store, random: &mut Random, all: bool) -> Result<(), Failed> {
    let waiting: Vec<Uuid> = store
        .read(|tx| {
            let sql = "SELECT id FROM flow_task WHERE state = 'waiting' AND wait_key IS NOT NULL";
            tx.all(sql, ())
        })
        .await
        .map_err(|error: tutti_store::Error| error)?;
    for task in waiting {
        if all || random.below(2) == 0 {
            let done = store
                .write(move |tx| {
                    let now = tx.now()?;
                    tutti_flow::complete(tx, task, Ok(json!("done")), now)
                })
                .await;
            // It may have been cancelled meanwhile.
            drop(done);
        }
    }
    let suspended: Vec<Uuid> = store
        .read(|tx| tx.all("SELECT id FROM flow WHERE suspended AND finished IS NULL", ()))
        .await
        .map_err(|error: tutti_store::Error| error)?;
    for flow in suspended {
        if all || random.below(2) == 0 {
            drop(store.write(move |tx| resume(tx, flow)).await);
        }
    }
    Ok(())
}

/// Ends every connection of the processes.
async fn cut(store: &Store, schema: &str) -> Result<usize, Failed> {
    let schema = schema.to_owned();
    let ended: Vec<bool> = store
        .read(move |tx| {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
            tx.all(sql, (&schema,))
        })
        .await
        .map_err(|error: tutti_store::Error| error)?;
    Ok(ended.len())
}

/// The processes, which do not outlive their supervisor.
#[derive(Default)]
struct Processes(Vec<Child>);

impl Processes {
    fn start(&mut self, url: &str, role: &str) -> Result<(), Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role, "--database", url]).stdin(Stdio::piped());
        self.0.push(command.spawn()?);
        Ok(())
    }

    /// On Unix this is SIGKILL.
    fn kill(&mut self, at: usize) -> Result<(), Failed> {
        let mut child = self.0.remove(at);
        let killed = child.kill();
        child.wait()?;
        Ok(killed?)
    }

    /// None of them may end by itself.
    fn check(&mut self) -> Result<(), Failed> {
        for child in &mut self.0 {
            if let Some(status) = child.try_wait()? {
                return Err(format!("a process ended by itself: {status}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            if self.kill(0).is_err() {
                return;
            }
        }
    }
}
