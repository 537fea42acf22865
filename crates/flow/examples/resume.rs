//! A process that runs a flow is killed twice, and started again each time: the flow goes on where it was.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Access, Engine, Failure, FlowFilter, MIGRATIONS, NewFlow, NewTask, Retry, Task, TaskContext,
    ended, query, submit,
};
use tutti_store::Store;
use uuid::Uuid;

/// Steps of the flow; each takes a tenth of a second.
const STEPS: usize = 12;

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Step;

impl Task for Step {
    const NAME: &'static str = "step";
    type Input = usize;
    type Output = ();

    async fn execute(&self, context: TaskContext, number: usize) -> Result<(), Failure> {
        println!("  step {number:>2}, attempt {}", context.attempt);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    if let Some(file) = std::env::args().nth(1) {
        return run(&file).await;
    }
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("flows.db");
    for steps in [4, 4, STEPS] {
        println!("a process starts");
        start_and_kill(&file, steps)?;
    }
    println!("done: no step lost, and only those that were running ran twice");
    Ok(())
}

/// Starts this program on the database and kills it after it began so many steps, or lets it end.
fn start_and_kill(file: &Path, steps: usize) -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program).arg(file).stdout(Stdio::piped()).spawn()?;
    let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
    for line in lines.into_iter().flatten().take(steps) {
        println!("{}", line?);
    }
    if steps < STEPS {
        // On Unix this is SIGKILL: nothing can be tidied up.
        child.kill()?;
        println!("  killed");
    }
    child.wait()?;
    Ok(())
}

/// Submits the flow unless it is there, and runs it to its end.
async fn run(file: &str) -> Result<(), Failed> {
    let store = Store::open(file, MIGRATIONS).await?;
    let filter = FlowFilter::default();
    let flows = store.read(move |tx| query::flows(tx, &filter)).await?;
    let id = match flows.first() {
        Some(flow) => flow.id,
        None => {
            store
                .write(|tx| tx.now().map_err(Into::into).and_then(|now| submit(tx, flow(), now)))
                .await?
                .id
        }
    };
    let engine = Engine::builder(store.clone()).task(Step).start().await?;
    ended(&store, id).await?;
    engine.stop().await;
    store.close().await;
    Ok(())
}

fn flow() -> NewFlow {
    let tasks = (0..STEPS).map(|number| NewTask {
        name: Step::NAME.into(),
        title: format!("step {number}"),
        input: json!(number),
        needs: number.checked_sub(1).into_iter().collect(),
        retry: Retry::default(),
        ..NewTask::default()
    });
    NewFlow {
        id: Uuid::now_v7(),
        kind: "walk".into(),
        title: format!("{STEPS} steps, one after the other"),
        resources: vec![("road".into(), Access::Exclusive)],
        tasks: tasks.collect(),
        ..NewFlow::default()
    }
}
