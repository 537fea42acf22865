//! What the bus can do on this machine, over the server at a URL: typed API, validation on.
//!
//! `measure_bus URL [--threads N] [--quick]`
//!
//! Two processes: this one calls, fires and listens; another one, which it starts, serves the API and fires the events
//! whose way is measured. Each line is JSON. The database is emptied first.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::sync::Mutex;
use tutti_bus::{Address, Bus, Context, Failure, Result, Settings, Start};

const CALLERS: usize = 50;

/// The API that is measured: the one of the measurements of Python Lightbus.
#[tutti_bus::api(name = "bench.api", version = 1)]
pub trait Bench {
    async fn add(&self, a: i64, b: i64) -> Result<i64>;

    /// Fires so many events a second, for so many seconds.
    #[rpc(timeout = "60s")]
    async fn fire(&self, per_second: u32, seconds: u32) -> Result<()>;

    /// The memory of the process, in kilobytes.
    async fn memory(&self) -> Result<u64>;

    #[event]
    fn happened(n: u64, sent: f64, pad: String);
}

struct Worker(Bus);

impl Bench for Worker {
    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(a + b)
    }

    async fn fire(&self, per_second: u32, seconds: u32) -> Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        for n in 0..u64::from(per_second * seconds) {
            ticks.tick().await;
            self.0.fire(event(n)).await?;
        }
        Ok(())
    }

    async fn memory(&self) -> Result<u64> {
        resident_kb().map_err(|error| Failure::message(error.to_string()))
    }
}

fn event(n: u64) -> Happened {
    Happened { n, sent: now(), pad: "x".repeat(32) }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

fn resident_kb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time that this process has used, in milliseconds. A busy machine stretches the clock, but not this.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time are in hundredths of a second (proc(5)).
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<u64>().ok());
    (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) * 10
}

/// What the command line says.
struct Options {
    url: String,
    threads: usize,
    is_quick: bool,
    is_worker: bool,
}

impl Options {
    fn read() -> anyhow::Result<Options> {
        let mut words = std::env::args().skip(1);
        let url = words.next().context("usage: measure_bus URL [--threads N] [--quick]")?;
        let mut options = Options { url, threads: 2, is_quick: false, is_worker: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--threads" => options.threads = words.next().context("--threads N")?.parse()?,
                "--quick" => options.is_quick = true,
                "--worker" => options.is_worker = true,
                other => bail!("unknown option {other}"),
            }
        }
        Ok(options)
    }

    fn count(&self, full: usize) -> usize {
        if self.is_quick { full / 10 } else { full }
    }

    fn settings(&self, service: &str) -> anyhow::Result<Settings> {
        let mut settings = Settings::new(service, "1", Address::url(&self.url)?);
        settings.default_api.stream_length_max = Some(1_000_000);
        Ok(settings)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let mut builder = match options.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(options.threads).enable_all().build()?;
    match options.is_worker {
        true => runtime.block_on(work(&options)),
        false => runtime.block_on(measure(&options)),
    }
}

/// Serves until killed.
async fn work(options: &Options) -> anyhow::Result<()> {
    let bus = Bus::connect(options.settings("worker")?).await?;
    bus.serve(BenchServer(Worker(bus.clone()))).await?;
    std::future::pending().await
}

fn start_worker(options: &Options) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([&options.url, "--worker", "--threads", &options.threads.to_string()]);
    Ok(command.stdin(Stdio::null()).spawn()?)
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let client = redis::Client::open(options.url.as_str())?;
    let mut commands = client.get_multiplexed_async_connection().await?;
    let () = redis::cmd("FLUSHDB").query_async(&mut commands).await?;
    let mut worker = start_worker(options)?;
    let outcome = measure_with_worker(options).await;
    worker.kill()?;
    worker.wait()?;
    outcome
}

async fn measure_with_worker(options: &Options) -> anyhow::Result<()> {
    let bus = Bus::connect(options.settings("client")?).await?;
    let bench = BenchClient::new(&bus);
    for _ in 0..50 {
        bench.add(1, 2).await?;
    }
    println!("{}", json!({"what": "memory of the worker, idle", "kb": bench.memory().await?}));
    calls(&bench, options.count(20_000), 1).await?;
    calls(&bench, options.count(200_000), CALLERS).await?;
    fired(&bus, options.count(30_000), 1).await?;
    fired(&bus, options.count(300_000), CALLERS).await?;
    consumed(&bus, options.count(300_000)).await?;
    let seconds = if options.is_quick { 1 } else { 5 };
    for per_second in [100, 2_000] {
        end_to_end(&bus, &bench, per_second, seconds).await?;
    }
    println!("{}", json!({"what": "memory of the worker, after", "kb": bench.memory().await?}));
    println!("{}", json!({"what": "memory of the client, after", "kb": resident_kb()?}));
    Ok(())
}

/// Runs `count` operations, so many at a time, and prints how long they took.
async fn run<F>(
    what: &str,
    count: usize,
    at_a_time: usize,
    operation: impl Fn(usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let (begun, used_before) = (Instant::now(), processor_ms());
    let tasks: Vec<_> = (0..at_a_time)
        .map(|task| {
            let operation = operation.clone();
            tokio::spawn(async move {
                let mut took = Vec::with_capacity(count / at_a_time);
                for number in 0..count / at_a_time {
                    let begun = Instant::now();
                    operation(task * (count / at_a_time) + number).await?;
                    took.push(begun.elapsed());
                }
                anyhow::Ok(took)
            })
        })
        .collect();
    let mut took = Vec::with_capacity(count);
    for task in tasks {
        took.extend(task.await??);
    }
    print(what, at_a_time, took, begun.elapsed(), processor_ms() - used_before);
    Ok(())
}

fn print(what: &str, at_a_time: usize, mut took: Vec<Duration>, total: Duration, used_ms: u64) {
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).map_or(0, Duration::as_micros);
    let per_s = (took.len() as f64 / total.as_secs_f64()).round();
    let line = json!({
        "what": what, "at_a_time": at_a_time, "per_s": per_s,
        "p50_us": at(50), "p95_us": at(95), "p99_us": at(99),
        "processor_us_each": used_ms as f64 * 1e3 / took.len().max(1) as f64,
    });
    println!("{line}");
}

async fn calls(bench: &BenchClient, count: usize, at_a_time: usize) -> anyhow::Result<()> {
    let bench = bench.clone();
    let call = move |_| {
        let bench = bench.clone();
        async move {
            if bench.add(1, 2).await? != 3 {
                bail!("a wrong answer");
            }
            Ok(())
        }
    };
    run("calls", count, at_a_time, call).await
}

async fn fired(bus: &Bus, count: usize, at_a_time: usize) -> anyhow::Result<()> {
    let bus = bus.clone();
    let fire = move |number| {
        let bus = bus.clone();
        async move {
            bus.fire(event(number as u64)).await?;
            Ok(())
        }
    };
    run("events fired", count, at_a_time, fire).await
}

/// All events fired so far, by a new group, one handler at a time.
async fn consumed(bus: &Bus, count: usize) -> anyhow::Result<()> {
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = handled.clone();
    let (begun, used_before) = (Instant::now(), processor_ms());
    let listen = bus.listen("consumed", move |_: Happened, _: Context| {
        counting.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    listen.from(Start::Beginning).batch_size(500).await?;
    while handled.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let per_s = (count as f64 / begun.elapsed().as_secs_f64()).round();
    let each = (processor_ms() - used_before) as f64 * 1e3 / count as f64;
    let what = "events consumed and acknowledged";
    println!("{}", json!({"what": what, "per_s": per_s, "processor_us_each": each}));
    Ok(())
}

/// From before the worker fires to the start of the handler here.
async fn end_to_end(
    bus: &Bus,
    bench: &BenchClient,
    per_second: u32,
    seconds: u32,
) -> anyhow::Result<()> {
    let used_before = processor_ms();
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let taking = took.clone();
    let name = format!("end_to_end_{per_second}");
    bus.listen(&name, move |event: Happened, _: Context| {
        let (taking, took) = (taking.clone(), now() - event.sent);
        async move {
            taking.lock().await.push(Duration::from_secs_f64(took.max(0.0)));
            Ok(())
        }
    })
    .await?;
    bench.fire(per_second, seconds).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let took = std::mem::take(&mut *took.lock().await);
    if took.len() != (per_second * seconds) as usize {
        bail!("{} of {} events arrived", took.len(), per_second * seconds);
    }
    let what = format!("event end to end, {per_second} a second");
    let total = Duration::from_secs(u64::from(seconds));
    print(&what, 1, took, total, processor_ms() - used_before);
    Ok(())
}
