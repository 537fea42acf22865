//! A worker in a process of its own takes tasks over HTTP, is killed over one of them, and is replaced; the flow succeeds.
//!
//! `cargo run -p tutti-controller --example remote_worker`

mod worker;

use std::{env, path::Path, process::Stdio, time::Duration};

use serde_json::json;
use tokio::process::{Child, Command};
use tutti_client::Client;
use tutti_controller::{Controller, Options};
use tutti_flow::{NewFlow, NewTask};
use tutti_model::api::{ClaimRequest, ClaimResult, FlowInfo};
use tutti_store::Store;
use uuid::Uuid;

use worker::Worker;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How long a task takes.
const WORK: Duration = Duration::from_millis(600);

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [socket, name] => work(socket, name).await,
        _ => supervise().await,
    }
}

/// The worker: everything it knows of the controller is where its socket is.
async fn work(socket: &str, name: &str) -> Outcome<()> {
    let request = ClaimRequest {
        handlers: vec!["render".into()],
        labels: vec!["gpu".into()],
        max: 1,
        wait_ms: 60_000,
        lease_ms: 1_500,
    };
    let client = Client::new(&format!("unix:{socket}").parse()?);
    let worker = Worker { client, name: name.to_owned(), request };
    worker
        .serve(async |claim, cancelled| {
            println!("{name} begins {}, attempt {}", claim.input["part"], claim.attempt);
            tokio::select! {
                () = tokio::time::sleep(WORK) => {
                    println!("{name} ends {}", claim.input["part"]);
                    let output = json!({ "rendered": claim.input["part"], "by": name });
                    ClaimResult { output, ..ClaimResult::default() }
                }
                () = cancelled.cancelled() => {
                    ClaimResult { error: Some("cancelled".into()), ..ClaimResult::default() }
                }
            }
        })
        .await;
    Ok(())
}

/// Starts a controller with a flow, and workers, one of which it kills.
async fn supervise() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let options = Options::new(directory.path().join("data"));
    let flow = submit(&options).await?;
    let controller = Controller::start(options.clone()).await?;
    let client = Client::new(&format!("unix:{}", options.socket().display()).parse()?);
    let path = format!("/v1/flows/{flow}");

    let mut first = start(&options.socket(), "first")?;
    until_running(&client, &path, 1).await?;
    tokio::time::sleep(WORK / 2).await;
    println!("first is killed");
    first.kill().await?;
    let mut second = start(&options.socket(), "second")?;

    let ended: FlowInfo = client.get(&format!("{path}?wait_ms=60000")).await?;
    for task in &ended.tasks {
        println!(
            "{} {}, attempts: {}, by {}",
            task.title, task.state, task.attempts, task.output["by"]
        );
    }
    second.kill().await?;
    controller.stop().await;
    let attempts: Vec<u32> = ended.tasks.iter().map(|task| task.attempts).collect();
    if ended.state != "succeeded" || attempts != [1, 2, 1] {
        return Err(
            format!("flow {}: {}, attempts {attempts:?}", ended.state, ended.message).into()
        );
    }
    println!("flow succeeded");
    Ok(())
}

/// Submits a flow whose tasks need what the controller has not; answers its id.
async fn submit(options: &Options) -> Outcome<Uuid> {
    // The first start makes the database.
    Controller::start(options.clone()).await?.stop().await;
    let part = |part: usize| NewTask {
        name: "render".into(),
        title: format!("render part {part}"),
        input: json!({ "part": part }),
        labels: vec!["gpu".into()],
        needs: part.checked_sub(1).into_iter().collect(),
        ..NewTask::default()
    };
    let id = Uuid::now_v7();
    let flow = NewFlow {
        id,
        kind: "render".into(),
        tasks: (0..3).map(part).collect(),
        ..NewFlow::default()
    };
    let store = Store::open(&options.data.join("tutti.db").display().to_string(), &[]).await?;
    store
        .write(move |tx| {
            let now = tx.now()?;
            tutti_flow::submit(tx, flow.clone(), now)
        })
        .await?;
    store.close().await;
    Ok(id)
}

fn start(socket: &Path, name: &str) -> Outcome<Child> {
    let child = Command::new(env::current_exe()?)
        .args([socket.as_os_str(), name.as_ref()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

/// Waits until a task of the flow runs.
async fn until_running(client: &Client, flow: &str, number: usize) -> Outcome<()> {
    loop {
        let flow: FlowInfo = client.get(flow).await?;
        if flow.tasks[number].state == "running" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
