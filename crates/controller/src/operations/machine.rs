//! Commands on machines: machines of a local controller are its own host, so it runs them itself,
//! as a task of the operation's flow.
//!
//! A command runs once at most: if the controller died while it ran, the task has failed.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tutti_flow::{Failure, NewTask, Retry, Task, TaskContext};
use tutti_model::agent::TaskReport;
use tutti_store::Store;

use super::progress::{self, ended};
use super::{BELL, sql};
use crate::{Error, clock};

/// The most output kept of each stream, bytes.
const OUTPUT: u64 = 1024 * 1024;

/// The handler of a machine's task.
#[derive(Clone, Debug)]
pub(crate) struct MachineExec {
    pub(crate) store: Store,
}

/// Which task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Which {
    /// UUID of the model.
    model: String,
    /// Number of the task.
    task: i64,
}

/// The flow's task for a machine's task.
pub(crate) fn flow_task(model: &str, task: i64, machine: i64) -> NewTask {
    NewTask {
        name: MachineExec::NAME.to_owned(),
        title: format!("Run a command on machine {machine} (task {task})"),
        resource: Some(format!("machine/{machine}")),
        input: json!(Which { model: model.to_owned(), task }),
        retry: Retry::never(),
        ..NewTask::default()
    }
}

impl Task for MachineExec {
    const NAME: &'static str = "machine.exec";
    type Input = Which;
    type Output = Value;

    async fn execute(&self, context: TaskContext, which: Which) -> Result<Value, Failure> {
        let task = self.begin(&which).await.map_err(|error| retryable(&error))??;
        let report = tokio::select! {
            report = run(&task) => report,
            () = context.cancelled() => ended(&task, "aborted", "the controller stopped or the flow was cancelled"),
            () = self.aborted(&which) => ended(&task, "aborted", "action aborted"),
        };
        let code = report.results.get("return-code").and_then(Value::as_i64).unwrap_or(-1);
        let (status, message) = (report.status.clone(), report.message.clone());
        self.end(&which, report).await.map_err(|error| retryable(&error))?;
        match (status.as_str(), code) {
            ("completed", 0) => Ok(json!({"status": status})),
            ("completed", _) => Err(Failure::Terminal(format!("return code {code}"))),
            _ => Err(Failure::Terminal(message)),
        }
    }
}

impl MachineExec {
    /// Marks the task as running; a failure if it has ended, or was running when a controller died.
    async fn begin(&self, which: &Which) -> Result<Result<sql::Task, Failure>, Error> {
        let (model, number) = (which.model.clone(), which.task);
        self.store
            .write(move |tx| {
                let over = |text: &str| Ok(Err(Failure::Terminal(text.to_owned())));
                let Some(task) = tx.maybe::<sql::Task>(sql::TASK, (&model, number))? else {
                    return over("the task is gone");
                };
                let now = clock::now();
                if progress::is_final(&task.status) {
                    return over(&format!("the task was {} already", task.status));
                }
                if task.status == "pending" {
                    progress::begin(tx, &task, now)?;
                    return Ok(Ok(task));
                }
                let terminated = "action terminated";
                progress::end(tx, &task, &ended(&task, "failed", terminated), now)?;
                over(terminated)
            })
            .await
    }

    async fn end(&self, which: &Which, report: TaskReport) -> Result<(), Error> {
        let model = which.model.clone();
        self.store
            .write(move |tx| match tx.maybe::<sql::Task>(sql::TASK, (&model, report.task))? {
                Some(task) => progress::end(tx, &task, &report, clock::now()),
                None => Ok(()),
            })
            .await
    }

    /// Returns once an operator has cancelled the task, or destroyed its model.
    async fn aborted(&self, which: &Which) {
        let mut bell = self.store.bell(BELL);
        loop {
            let (model, number) = (which.model.clone(), which.task);
            let found: Result<Option<sql::Task>, tutti_store::Error> =
                self.store.read(move |tx| tx.maybe(sql::TASK, (model, number))).await;
            if found.is_ok_and(|task| task.is_none_or(|task| task.status == "aborting")) {
                return;
            }
            bell.wait().await;
        }
    }
}

fn retryable(error: &Error) -> Failure {
    Failure::Retryable(error.to_string())
}

/// The process group of a command; dropping it kills what is left of it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nothing is left to kill: that is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs the command; dropping this kills it with all it started.
async fn run(task: &sql::Task) -> TaskReport {
    let child = Command::new("/bin/bash")
        .args(["-c", &task.command])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => return ended(task, "failed", &format!("cannot start a shell: {error}")),
    };
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let _group = Group(id.and_then(Pid::from_raw));
    let finished = finish(task, child);
    match task.timeout_ms {
        0 => finished.await,
        timeout => tokio::time::timeout(Duration::from_millis(timeout), finished)
            .await
            .unwrap_or_else(|_| ended(task, "failed", "execution timed out")),
    }
}

async fn finish(task: &sql::Task, mut child: Child) -> TaskReport {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), child.wait());
    let code = match status {
        Ok(status) => status.code().unwrap_or(-1),
        Err(error) => return ended(task, "failed", &format!("cannot wait for the shell: {error}")),
    };
    let mut results = json!({"return-code": code});
    for (key, text) in [("stdout", stdout), ("stderr", stderr)] {
        if !text.is_empty() {
            results[key] = json!(text);
        }
    }
    TaskReport { results, ..ended(task, "completed", "") }
}

/// What a stream says, as far as it is kept; the rest is read and dropped.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    // A stream that cannot be read has nothing more to say.
    if (&mut stream).take(OUTPUT).read_to_end(&mut kept).await.is_ok() {
        drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
