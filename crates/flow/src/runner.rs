//! One flow at a worker: its attempts are made, and what each came to is written before what follows begins.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    task::JoinError,
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error,
    boundary::{Boundary, Written},
    change,
    graph::{Event, Graph, Hands, Start},
    policy::{Trouble, panic_message},
    take::Taken,
    worker::{Held, Life, REFUSALS_MAX, Worker, random},
};

/// Wait before the database is asked again after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

type Outcome = (usize, Result<String, Trouble>);

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// A flow in progress.
pub(crate) struct Runner {
    worker: Worker,
    /// As which life of the worker.
    owner: Uuid,
    graph: Graph,
    attempts: Attempts,
    /// Those of them that run on threads of their own.
    apart: TaskTracker,
    /// Tells its tasks that it is cancelled, or that the worker wants to stop.
    cancelled: CancellationToken,
    /// Rings when there is news for the flow.
    nudge: Arc<Notify>,
    /// News read, not yet written down as heard.
    heard: Vec<Uuid>,
    /// Tasks with an attempt whose end is not written yet.
    ended: BTreeSet<usize>,
}

/// Whether the flow is still here after what was written.
enum Next {
    Go(Vec<Start>),
    Gone,
}

impl Runner {
    pub(crate) fn new(
        worker: Worker,
        owner: Uuid,
        graph: Graph,
        cancelled: CancellationToken,
        nudge: Arc<Notify>,
    ) -> Self {
        let attempts = FuturesUnordered::new();
        Self {
            worker,
            owner,
            graph,
            attempts,
            apart: TaskTracker::new(),
            cancelled,
            nudge,
            heard: Vec::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Runs until the flow ends, has to wait, or is another's; answers whether it ended.
    pub(crate) async fn run(mut self, starts: Vec<Start>) -> bool {
        self.start(starts);
        loop {
            self.listen().await;
            self.tell_cancelled();
            match self.write().await {
                Next::Go(starts) => self.start(starts),
                Next::Gone => return self.graph.head.state.is_ended(),
            }
        }
    }

    /// Begins attempts: one here, several on as many threads as there are, so that those that compute do not wait for one another.
    fn start(&mut self, starts: Vec<Start>) {
        let alone = starts.len() + self.attempts.len() < 2;
        for start in starts {
            let number = start.number;
            let attempt = self.worker.attempt(&self.graph, start, self.owner, &self.cancelled);
            if alone {
                self.attempts.push(Box::pin(attempt));
                continue;
            }
            // A worker that drains waits for it, also when its flow was dropped.
            let apart = self.worker.track(self.apart.track_future(attempt));
            let apart = AbortOnDropHandle::new(apart);
            self.attempts.push(Box::pin(async move {
                match apart.await.map_err(JoinError::try_into_panic) {
                    Ok(outcome) => outcome,
                    Err(Ok(panic)) => (number, Err(Trouble::Panicked(panic_message(&*panic)))),
                    // The runtime ends, and this with it.
                    Err(Err(_)) => std::future::pending().await,
                }
            }));
        }
    }

    /// Waits for the first thing to happen, and takes in everything that has.
    async fn listen(&mut self) {
        let (clock, due) = (self.worker.clock(), self.graph.next_at());
        let sleep = async {
            match due {
                Some(due) => clock.reaches(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(ended) = self.attempts.next() => {
                self.ended(ended);
                while let Some(Some(ended)) = self.attempts.next().now_or_never() {
                    self.ended(ended);
                }
            }
            () = self.nudge.notified() => self.hear().await,
            () = sleep => self.tell(Event::Due),
        }
    }

    fn ended(&mut self, (number, outcome): Outcome) {
        self.worker.counters().attempted(&outcome);
        self.ended.insert(number);
        self.tell(Event::Attempted(number, outcome));
    }

    fn tell(&mut self, event: Event) {
        let hands = if self.worker.is_stopping() { Hands::Free } else { Hands::Worker };
        self.graph.tell(event, hands, self.worker.clock().now(), random());
    }

    /// Reads the news that waits in the flow's inbox.
    async fn hear(&mut self) {
        let id = self.graph.id;
        let news = loop {
            let read = self.worker.store().read(move |tx| change::inbox(tx, &[id])).await;
            match read {
                Ok(news) => break news,
                Err(error) => {
                    tracing::warn!(%error, flow = %id, "reading the news for a flow failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        };
        for (_, id, one) in news {
            if !self.heard.contains(&id) {
                self.heard.push(id);
                self.tell(one);
            }
        }
    }

    fn tell_cancelled(&self) {
        if self.graph.head.is_cancelled() {
            self.cancelled.cancel();
        }
    }

    /// Writes what changed, as often as it takes.
    async fn write(&mut self) -> Next {
        let mut settled = self.graph.settle();
        // Almost always the flow is this worker's still, and there is nobody to be asked.
        let mut certain = true;
        let mut unanswered = false;
        let mut refusals = 0;
        loop {
            let boundary = Boundary::of(&self.graph, Some(self.owner), &settled, &self.heard);
            if boundary.is_empty() {
                return Next::Go(settled.starts);
            }
            let boundary = match (certain, unanswered) {
                (_, true) => boundary.again(),
                (true, _) => boundary.or_refused(),
                (false, _) => boundary,
            };
            match self.worker.record(self.graph.id, boundary).await {
                Ok(Written::Done) => {
                    self.heard.clear();
                    self.ended.clear();
                    let state = self.graph.head.state;
                    if state.is_ended() {
                        self.worker.watch().tell(self.graph.id, state);
                    }
                    return if settled.held { Next::Go(settled.starts) } else { Next::Gone };
                }
                Ok(Written::Arrived(arrived)) => {
                    self.graph.unsettle(settled);
                    arrived.into_iter().for_each(|arrival| self.tell(arrival.into()));
                    settled = self.graph.settle();
                }
                Ok(Written::Nudged) => {
                    self.graph.unsettle(settled);
                    self.hear().await;
                    self.tell_cancelled();
                    settled = self.graph.settle();
                }
                // Written the first time, and the flow let go with that; or another's since then.
                Ok(Written::Fenced) if unanswered && !settled.held => return Next::Gone,
                Ok(Written::Fenced) => {
                    tracing::warn!(flow = %self.graph.id, "results dropped: the flow was taken away");
                    self.worker.counters().fenced();
                    return Next::Gone;
                }
                Err(error) if certain && error.is_refusal() => certain = false,
                Err(error) => {
                    tracing::warn!(%error, flow = %self.graph.id, "recording results failed");
                    unanswered = true;
                    refusals += u32::from(error.is_refusal());
                    if refusals == REFUSALS_MAX {
                        self.refused(&error).await;
                        return Next::Gone;
                    }
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }

    /// Gives the flow back: what the database refuses is written down as failures of the tasks it came of.
    async fn refused(&mut self, error: &Error) {
        // Nothing of it shall run any more when another worker may begin.
        self.attempts.clear();
        self.apart.close();
        // One that blocks its thread is as if its worker were slow: what it does later has an earlier epoch.
        let _ = tokio::time::timeout(TROUBLE_PAUSE, self.apart.wait()).await;
        let flow = (self.graph.id, self.graph.epoch, self.owner);
        let mut tasks: Vec<usize> = self.ended.iter().copied().collect();
        let message = format!("what came of it cannot be stored: {}", error.with_causes());
        loop {
            let (blamed, message) = (tasks.clone(), message.clone());
            let now = self.worker.clock().now();
            let write = move |tx: &mut Tx<'_>| change::refused(tx, flow, &blamed, &message, now);
            let Err(error) = self.worker.store().write(write).await else { return };
            tracing::error!(%error, flow = %flow.0, "recording that results are refused failed");
            if error.is_refusal() {
                tasks.clear();
            }
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
    }
}

impl Worker {
    /// Runs a flow that was taken until it ends, has to wait, or is another's.
    pub(crate) fn run_flow(&self, taken: Taken, place: Option<OwnedSemaphorePermit>, life: &Life) {
        let nudge = Arc::new(Notify::new());
        let over = life.over.child_token();
        let cancelled = over.child_token();
        let (id, epoch) = (taken.graph.id, taken.graph.epoch);
        let held = Held {
            epoch,
            cancelled: cancelled.clone(),
            nudge: Arc::clone(&nudge),
            over: over.clone(),
        };
        self.hold(id, held);
        let runner = Runner::new(self.clone(), life.id, taken.graph, cancelled, nudge);
        let worker = self.clone();
        self.track(async move {
            // A flow that is lost is dropped wherever it stands: it is another's.
            let ended = over.run_until_cancelled(runner.run(taken.starts)).await;
            drop(place);
            worker.let_go(id, epoch, ended == Some(true));
        });
    }
}
