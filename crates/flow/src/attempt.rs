//! One attempt at one task: its handler, within its time.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Action, Failure, Point, TaskContext, Timeouts,
    graph::{Graph, Left, Start},
    policy::Trouble,
    task::Handler,
    task_id,
    worker::Worker,
};

impl Worker {
    /// Makes an attempt; answers the task's number with what it came to.
    pub(crate) fn attempt(
        &self,
        graph: &Graph,
        start: Start,
        cancelled: &CancellationToken,
    ) -> impl Future<Output = (usize, Result<String, Trouble>)> + Send + 'static {
        let node = &graph.nodes[start.number];
        let task = task_id(graph.id, start.number);
        let reverting = start.revert.is_some();
        let context = TaskContext {
            flow: graph.id,
            task,
            attempt: start.attempt,
            epoch: graph.epoch,
            number: start.number,
            reverting,
            // Undoing is not cancelled with the flow.
            cancelled: if reverting { CancellationToken::new() } else { cancelled.clone() },
            alive: std::sync::Arc::default(),
            store: self.store().clone(),
        };
        let span = tracing::info_span!(
            "task", flow = %graph.id, %task, name = node.name, attempt = start.attempt, reverting
        );
        let timeouts = graph.timeouts(&start);
        let handler = self.handlers().get(node.name.as_str()).cloned();
        let (name, input) = (node.name.clone(), graph.input(start.number));
        let probed = self.probe().map(|_| self.clone());
        let attempt = async move {
            let Some(handler) = handler else { return Err(Trouble::NoHandler(name)) };
            let input = input.map_err(|message| Trouble::Failed(Failure::Terminal(message)))?;
            let alive = context.alive.clone();
            let run = match (probed, start.revert) {
                (None, None) => handler.execute(context, input),
                (None, Some(left)) => handler.revert(context, input, left),
                (Some(worker), left) => Box::pin(worker.probed(handler, context, input, left)),
            };
            within(timeouts, &alive, AssertUnwindSafe(run).catch_unwind()).await
        };
        async move { (start.number, attempt.instrument(span).await) }
    }

    /// Runs a handler with what a test wants to happen around it.
    async fn probed(
        self,
        handler: Arc<dyn Handler>,
        context: TaskContext,
        input: String,
        left: Option<Left>,
    ) -> Result<String, Failure> {
        let (before, after) = match left {
            None => (Point::BeforeExecute, Point::AfterExecute),
            Some(_) => (Point::BeforeRevert, Point::AfterRevert),
        };
        let run = || match left.clone() {
            None => handler.execute(context.clone(), input.clone()),
            Some(left) => handler.revert(context.clone(), input.clone(), left),
        };
        self.reach_task(before, &context).await?;
        let result = run().await;
        match self.reach_task(after, &context).await? {
            Action::Repeat => run().await,
            _ => result,
        }
    }
}

type Caught = Result<Result<String, Failure>, Box<dyn std::any::Any + Send>>;

/// Lets a handler run as long as it may.
async fn within(
    timeouts: Timeouts,
    alive: &tokio::sync::Notify,
    run: impl Future<Output = Caught>,
) -> Result<String, Trouble> {
    let mut run = std::pin::pin!(run);
    if timeouts == Timeouts::default() {
        return caught(run.await);
    }
    let late = |what: &str, limit: Option<Duration>| {
        let limit = limit.unwrap_or_default();
        Err(Trouble::Failed(Failure::Retryable(format!("{what} {limit:?}"))))
    };
    let limit = match (timeouts.attempt, timeouts.total) {
        (Some(attempt), Some(total)) => Some(attempt.min(total)),
        (attempt, total) => attempt.or(total),
    };
    let mut whole = std::pin::pin!(sleep(limit));
    loop {
        tokio::select! {
            biased;
            outcome = &mut run => return caught(outcome),
            () = &mut whole => return late("it took longer than", limit),
            () = alive.notified() => {}
            () = sleep(timeouts.heartbeat) => {
                return late("no sign of life for", timeouts.heartbeat);
            }
        }
    }
}

async fn sleep(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn caught(outcome: Caught) -> Result<String, Trouble> {
    match outcome {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(failure)) => Err(Trouble::Failed(failure)),
        Err(panic) => Err(Trouble::Panicked(panic_message(&*panic))),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
