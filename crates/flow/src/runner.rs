//! One flow at a worker: its attempts are made, and what each came to is written before what follows begins.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    FlowState,
    boundary::{Boundary, Written},
    change,
    graph::{Event, Graph, Hands, Start},
    policy::Trouble,
    take::Taken,
    worker::{Worker, now, random},
};

/// Wait before the database is asked again after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

type Outcome = (usize, Result<String, Trouble>);

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// A flow in progress.
pub(crate) struct Runner {
    pub(crate) worker: Worker,
    graph: Graph,
    attempts: Attempts,
    /// Tells its tasks that it is cancelled, or that the worker wants to stop.
    cancelled: CancellationToken,
    /// Rings when there is news for the flow.
    nudge: Arc<Notify>,
    /// News read, not yet written down as heard.
    heard: Option<Uuid>,
}

/// Whether the flow is still here after what was written.
enum Next {
    Go(Vec<Start>),
    Gone,
}

impl Runner {
    pub(crate) fn new(
        worker: Worker,
        graph: Graph,
        cancelled: CancellationToken,
        nudge: Arc<Notify>,
    ) -> Self {
        let attempts = FuturesUnordered::new();
        Self { worker, graph, attempts, cancelled, nudge, heard: None }
    }

    /// Runs until the flow ends, has to wait, or is another's.
    pub(crate) async fn run(mut self, starts: Vec<Start>) {
        self.start(starts);
        loop {
            self.listen().await;
            self.tell_cancelled();
            match self.write().await {
                Next::Go(starts) => self.start(starts),
                Next::Gone => return,
            }
        }
    }

    fn start(&mut self, starts: Vec<Start>) {
        for start in starts {
            let attempt = self.worker.attempt(&self.graph, start, &self.cancelled);
            self.attempts.push(Box::pin(attempt));
        }
    }

    /// Waits for the first thing to happen, and takes in everything that has.
    async fn listen(&mut self) {
        let due = self.graph.next_at().map(|at| at.saturating_sub(now()).max(0).unsigned_abs());
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep(Duration::from_micros(due)).await,
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
        self.tell(Event::Attempted(number, outcome));
    }

    fn tell(&mut self, event: Event) {
        let hands = if self.worker.is_stopping() { Hands::Free } else { Hands::Worker };
        self.graph.tell(event, hands, now(), random());
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
            if Some(id) > self.heard {
                self.heard = Some(id);
                self.tell(one.into());
            }
        }
    }

    fn tell_cancelled(&self) {
        if self.graph.head.ending == Some(FlowState::Cancelled) && !self.graph.head.reverting {
            self.cancelled.cancel();
        }
    }

    /// Writes what changed, as often as it takes.
    async fn write(&mut self) -> Next {
        let mut settled = self.graph.settle();
        loop {
            let boundary = Boundary::of(&self.graph, &settled, self.heard);
            if boundary.is_empty() {
                return Next::Go(settled.starts);
            }
            match self.worker.write(boundary).await {
                Ok(Written::Done(arrived)) if arrived.is_empty() => {
                    self.heard = None;
                    return if settled.held { Next::Go(settled.starts) } else { Next::Gone };
                }
                Ok(Written::Done(arrived)) => {
                    self.heard = None;
                    self.graph.head_unwritten();
                    self.graph.starting(std::mem::take(&mut settled.starts));
                    arrived.into_iter().for_each(|arrival| self.tell(arrival.into()));
                    settled = self.graph.settle();
                }
                Ok(Written::Nudged) => {
                    self.graph.unsettle(settled);
                    self.hear().await;
                    self.tell_cancelled();
                    settled = self.graph.settle();
                }
                Ok(Written::Fenced) => {
                    tracing::warn!(flow = %self.graph.id, "results dropped: the flow was taken away");
                    self.worker.count_fenced();
                    return Next::Gone;
                }
                Err(error) => {
                    tracing::warn!(%error, flow = %self.graph.id, "recording results failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }
}

impl Worker {
    /// Runs a flow that was taken until it ends, has to wait, or is another's.
    pub(crate) fn run_flow(&self, taken: Taken, life: &CancellationToken) {
        let nudge = Arc::new(Notify::new());
        let cancelled = life.child_token();
        let (id, epoch) = (taken.graph.id, taken.graph.epoch);
        self.hold(id, epoch, cancelled.clone(), Arc::clone(&nudge));
        let runner = Runner::new(self.clone(), taken.graph, cancelled, nudge);
        let (worker, life) = (self.clone(), life.clone());
        self.spawn(async move {
            // A flow of a life that is over is dropped wherever it stands: it is another's.
            life.run_until_cancelled(runner.run(taken.starts)).await;
            worker.let_go(id, epoch);
        });
    }
}
