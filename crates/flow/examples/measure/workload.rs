//! What is run: flows of tasks that do nothing, and a log of when they began.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{sync::Notify, task::JoinSet};
use tutti_flow::{
    Access, Engine, Failure, FlowState, NewFlow, NewTask, Task, TaskContext, ended, submit,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::{
    Result,
    meter::{Figures, Meter},
};

/// Callers that submit at the same time where submitting is not what is measured.
pub(crate) const CALLERS: usize = 64;

/// When tasks began, in order.
pub(crate) struct Log {
    began: Mutex<Vec<(Uuid, Instant)>>,
    expected: usize,
    reached: Notify,
}

impl Log {
    pub(crate) fn new(expected: usize) -> Arc<Self> {
        let began = Mutex::new(Vec::with_capacity(expected));
        Arc::new(Self { began, expected, reached: Notify::new() })
    }

    pub(crate) fn begin(&self, flow: Uuid) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.push((flow, Instant::now()));
        if began.len() == self.expected {
            self.reached.notify_one();
        }
    }

    /// Returns once as many tasks began as were expected. For one caller.
    pub(crate) async fn all_began(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn entries(&self) -> Vec<(Uuid, Instant)> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task that does nothing.
pub(crate) struct Nothing(pub(crate) Arc<Log>);

impl Task for Nothing {
    const NAME: &'static str = "nothing";
    type Input = ();
    type Output = ();

    async fn execute(&self, context: TaskContext, (): ()) -> std::result::Result<(), Failure> {
        self.0.begin(context.flow);
        Ok(())
    }
}

/// A task of the handler `name`.
pub(crate) fn task(name: &str, needs: Vec<usize>) -> NewTask {
    NewTask { name: name.into(), title: "nothing".into(), needs, ..NewTask::default() }
}

/// A chain of tasks that do nothing.
pub(crate) fn chain(tasks: usize) -> Vec<NewTask> {
    (0..tasks)
        .map(|number| task(Nothing::NAME, number.checked_sub(1).into_iter().collect()))
        .collect()
}

/// A flow over the resource of that number.
pub(crate) fn flow(resource: usize, tasks: Vec<NewTask>) -> NewFlow {
    NewFlow {
        id: Uuid::now_v7(),
        kind: "measure".into(),
        title: "nothing at all".into(),
        resources: vec![(format!("resource/{resource}"), Access::Exclusive)],
        tasks,
        ..NewFlow::default()
    }
}

pub(crate) async fn submit_one(store: &Store, flow: NewFlow) -> Result<Uuid> {
    let id = flow.id;
    store
        .write(move |tx| {
            let now = tx.now()?;
            submit(tx, flow.clone(), now)
        })
        .await?;
    Ok(id)
}

/// Submits `count` flows from so many callers at once, each in a transaction of its own; answers the ids in no order.
pub(crate) async fn submit_all(
    store: &Store,
    count: usize,
    callers: usize,
    make: impl Fn(usize) -> NewFlow + Clone + Send + 'static,
) -> Result<Vec<Uuid>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (store, next, make) = (store.clone(), Arc::clone(&next), make.clone());
        running.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Result::Ok(ids);
                }
                ids.push(submit_one(&store, make(number)).await?);
            }
        });
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(caller) = running.join_next().await {
        ids.extend(caller??);
    }
    Ok(ids)
}

/// What a run gave.
pub(crate) struct Run {
    pub(crate) figures: Figures,
    pub(crate) began: Vec<(Uuid, Instant)>,
}

/// Runs what is queued, `tasks` in all, to its end: from the start of the engine to the end of the last flow.
pub(crate) async fn run_queued(store: &Store, tasks: usize, in_flight: usize) -> Result<Run> {
    let log = Log::new(tasks);
    let meter = Meter::start();
    let builder = Engine::builder(store.clone()).task(Nothing(Arc::clone(&log)));
    let engine = builder.flows_max(in_flight).start().await?;
    log.all_began().await;
    // Whatever has not ended yet is among those that began a task lately.
    let began = log.entries();
    let late: BTreeSet<Uuid> = began.iter().rev().take(in_flight * 2).map(|(id, _)| *id).collect();
    all_succeeded(store, late).await?;
    let figures = meter.stop();
    engine.stop().await;
    Ok(Run { figures, began })
}

/// Waits for flows, all of which are to succeed.
pub(crate) async fn all_succeeded(
    store: &Store,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<()> {
    for id in ids {
        let flow = ended(store, id).await?;
        if flow.state != FlowState::Succeeded {
            return Err(format!("flow {id} is {}: {:?}", flow.state, flow.error).into());
        }
    }
    Ok(())
}
