//! Flows that begin in the transaction that queues them: at a worker with a free place, when no other flow waits for its turn.

use std::collections::HashMap;

use tutti_store::{Batcher, Store};
use uuid::Uuid;

use crate::{
    Clock, Error, NewFlow, Point, Result,
    graph::Known,
    submit::{New, submit_many},
    take::{self, Taken},
    worker::Worker,
};

/// A flow to be queued, and the worker that has a place for it.
pub(crate) struct Submission {
    flow: NewFlow,
    worker: Option<Uuid>,
}

/// Queues flows together; answers what the worker has with that.
pub(crate) type Submissions = Batcher<Submission, Option<Taken>, Error>;

/// Those of a worker, which begins them by its clock.
pub(crate) fn submissions(store: &Store, known: Known, clock: Clock) -> Submissions {
    store.batcher(move |tx, submissions: &[Submission]| {
        let now = clock.now();
        // After a loss of the lease, those of the life before are for anybody.
        let Some(worker) = submissions.iter().rev().find_map(|one| one.worker) else {
            let flows: Vec<NewFlow> = submissions.iter().map(|one| one.flow.clone()).collect();
            submit_many(tx, &flows, now)?;
            return Ok(submissions.iter().map(|_| None).collect());
        };
        let new: Vec<New<'_>> = submissions
            .iter()
            .map(|one| New { flow: &one.flow, worker: one.worker.filter(|own| *own == worker) })
            .collect();
        let taken = take::submit(tx, worker, &new, &known, now)?;
        let mut taken: HashMap<Uuid, Taken> =
            taken.into_iter().map(|taken| (taken.graph.id, taken)).collect();
        Ok(submissions.iter().map(|one| taken.remove(&one.flow.id)).collect())
    })
}

impl Worker {
    /// Queues a flow in a transaction of its own, and begins it with that if it can.
    pub(crate) async fn submit(&self, flow: NewFlow) -> Result<()> {
        let worker = self.clone();
        // What has begun goes on, also if nobody waits for this any more.
        let submission = self.track(async move {
            let submission = worker.submit_here(flow);
            let killed = worker.killed().run_until_cancelled(submission).await;
            killed.unwrap_or(Err(tutti_store::Error::Closed.into()))
        });
        submission.await.unwrap_or_else(|error| {
            Err(tutti_store::Error::Panicked { message: error.to_string() }.into())
        })
    }

    async fn submit_here(&self, flow: NewFlow) -> Result<()> {
        let life = self.life();
        let place = if self.is_stopping() { None } else { self.place() };
        let Some(place) = place else {
            return self.submissions().write(Submission { flow, worker: None }).await.map(drop);
        };
        self.reach(Point::BeforeTake, None).await?;
        let submission = Submission { flow, worker: Some(life.id) };
        let taken = match self.submissions().write(submission).await {
            Ok(taken) => taken,
            Err(error) => {
                self.is_unsure();
                drop(place);
                self.freed();
                return Err(error);
            }
        };
        self.reach(Point::AfterTake, None).await?;
        match taken {
            Some(taken) => self.accept(vec![taken], place, &life),
            None => {
                drop(place);
                self.freed();
            }
        }
        Ok(())
    }
}
