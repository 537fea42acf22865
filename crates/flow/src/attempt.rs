//! One attempt at one task: its handler, within its time. Without a limit it runs where its flow does.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Action, Failure, Point, TaskContext, Timeouts, Trace,
    graph::{Graph, Left, Start},
    limited::Which,
    policy::{Trouble, panic_message},
    task::{Handler, Kind},
    task_id,
    tx_task::InTx,
    worker::Worker,
};

/// What is said of an attempt that did not listen, with how long that was waited for.
pub(crate) const UNWANTED: &str = "its flow was cancelled, and it went on for";

/// What an attempt is made with.
pub(crate) struct Attempt {
    pub(crate) name: String,
    /// As which life of the worker.
    pub(crate) worker: Uuid,
    pub(crate) context: TaskContext,
    /// Or why it cannot be put together.
    pub(crate) input: Result<String, String>,
    /// What the task left, if it shall be undone.
    pub(crate) left: Option<Left>,
    pub(crate) timeouts: Timeouts,
}

impl Worker {
    /// Makes an attempt of a flow; answers the task's number with what it came to.
    pub(crate) fn attempt(
        &self,
        graph: &Graph,
        start: Start,
        owner: Uuid,
        cancelled: &CancellationToken,
    ) -> impl Future<Output = (usize, Result<String, Trouble>)> + Send + 'static {
        let number = start.number;
        let reverting = start.revert.is_some();
        let context = TaskContext {
            flow: graph.id,
            task: task_id(graph.id, number),
            attempt: start.attempt,
            epoch: graph.epoch,
            number,
            reverting,
            // Undoing is not cancelled with the flow.
            cancelled: if reverting { CancellationToken::new() } else { cancelled.clone() },
            alive: Arc::default(),
            store: self.store().clone(),
            claim: None,
            trace: graph.label.trace.clone(),
        };
        let attempt = Attempt {
            name: graph.nodes[number].name.clone(),
            worker: owner,
            context,
            input: graph.input(number),
            timeouts: graph.timeouts(&start),
            left: start.revert,
        };
        let made = self.clone().make(attempt);
        async move { (number, made.await) }
    }

    /// Runs the handler when its turn has come.
    pub(crate) fn make(
        self,
        attempt: Attempt,
    ) -> impl Future<Output = Result<String, Trouble>> + Send + 'static {
        let Attempt { name, worker, context, input, left, timeouts } = attempt;
        let trace = context.trace.as_deref().map(Trace::read);
        let span = tracing::info_span!(
            "task", flow = %context.flow, task = %context.task, name, attempt = context.attempt,
            reverting = context.reverting, %worker, trace_id = trace.map(|trace| trace.id),
            parent_span_id = trace.and_then(|trace| trace.parent)
        );
        let made = async move {
            let Some(handler) = self.handlers().get(name.as_str()).cloned() else {
                return Err(Trouble::NoHandler(name));
            };
            let input = input.map_err(Trouble::bug)?;
            let _turn = self.turn(&name, &context).await.map_err(Trouble::Failed)?;
            let passage = self.admit(&handler, &context)?;
            let handler = match handler {
                Kind::Call(handler) => handler,
                Kind::InTx(handler) => {
                    return self.in_tx(InTx { handler, name, context, input, left }).await;
                }
            };
            let probed = self.probe().is_some().then(|| self.clone());
            let apart = timeouts != Timeouts::default();
            let limits = self.limits(timeouts, &context);
            let which = apart.then(|| Which::of(&name, &context));
            let run = run(probed, handler, context, input, left);
            let outcome = match which {
                None => limits.hold(AssertUnwindSafe(run).catch_unwind().map(caught)).await,
                Some(which) => self.apart(limits, which, run).await,
            };
            if let Some(passage) = passage {
                self.passed(&passage, &outcome);
            }
            self.check_size(&name, outcome?)
        };
        made.instrument(span)
    }

    /// How long an attempt may take at this worker.
    fn limits(&self, timeouts: Timeouts, context: &TaskContext) -> Limits {
        Limits {
            timeouts: Timeouts {
                cancel: timeouts.cancel.or_else(|| self.cancel_max()),
                ..timeouts
            },
            alive: Arc::clone(&context.alive),
            cancelled: context.cancelled.clone(),
            stopping: self.stopping().clone(),
        }
    }

    /// Runs a handler on threads apart, as long as it may.
    async fn apart(
        &self,
        limits: Limits,
        which: Which,
        run: impl Future<Output = Result<String, Trouble>> + Send + 'static,
    ) -> Result<String, Trouble> {
        match self.limited().start(which, run) {
            Ok(mut apart) => limits.hold(apart.ends()).await,
            Err(error) => {
                let message = format!("no thread can be begun for it: {error}");
                Err(Trouble::Failed(Failure::Retryable(message)))
            }
        }
    }

    /// Refuses a result that is too large to be kept.
    fn check_size(&self, name: &str, output: String) -> Result<String, Trouble> {
        let (size, max) = (output.len(), self.output_max());
        if size <= max {
            return Ok(output);
        }
        Err(Trouble::refused(crate::task::too_large(name, size, max)))
    }

    /// Runs a handler with what a test wants to happen around it.
    async fn probed(
        &self,
        handler: Arc<dyn Handler>,
        context: TaskContext,
        input: String,
        left: Option<Left>,
    ) -> Result<String, Trouble> {
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

/// Runs a handler; with a worker that has a probe, with what that wants to happen.
async fn run(
    probed: Option<Worker>,
    handler: Arc<dyn Handler>,
    context: TaskContext,
    input: String,
    left: Option<Left>,
) -> Result<String, Trouble> {
    match (probed, left) {
        (None, None) => handler.execute(context, input).await,
        (None, Some(left)) => handler.revert(context, input, left).await,
        (Some(worker), left) => worker.probed(handler, context, input, left).await,
    }
}

/// How long an attempt may take.
struct Limits {
    timeouts: Timeouts,
    alive: Arc<Notify>,
    cancelled: CancellationToken,
    /// The worker stops: it tells all attempts, whose flows go on elsewhere, and gives them the time it has itself.
    stopping: CancellationToken,
}

impl Limits {
    /// Lets an attempt run as long as it may.
    async fn hold(
        self,
        run: impl Future<Output = Result<String, Trouble>>,
    ) -> Result<String, Trouble> {
        let Self { timeouts, alive, cancelled, stopping } = self;
        if timeouts == Timeouts::default() {
            return run.await;
        }
        let mut run = std::pin::pin!(run);
        let late = |what: &str, limit: Option<Duration>| {
            let limit = limit.unwrap_or_default();
            Err(Trouble::late(format!("{what} {limit:?}")))
        };
        let limit = match (timeouts.attempt, timeouts.total) {
            (Some(attempt), Some(total)) => Some(attempt.min(total)),
            (attempt, total) => attempt.or(total),
        };
        let mut whole = std::pin::pin!(sleep(limit));
        let mut unwanted = std::pin::pin!(async {
            cancelled.cancelled().await;
            let limit = if stopping.is_cancelled() { None } else { timeouts.cancel };
            sleep(limit).await;
        });
        loop {
            tokio::select! {
                biased;
                outcome = &mut run => return outcome,
                () = &mut whole => return late("it took longer than", limit),
                () = &mut unwanted => return late(UNWANTED, timeouts.cancel),
                () = alive.notified() => {}
                () = sleep(timeouts.heartbeat) => {
                    return late("no sign of life for", timeouts.heartbeat);
                }
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

fn caught(
    outcome: Result<Result<String, Trouble>, Box<dyn std::any::Any + Send>>,
) -> Result<String, Trouble> {
    match outcome {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(trouble)) => Err(trouble),
        Err(panic) => Err(Trouble::Panicked(panic_message(&*panic))),
    }
}
