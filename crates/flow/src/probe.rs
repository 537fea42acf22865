//! Injected crashes and failures: what a test lets happen at named points of a worker.
//!
//! A task can die at any instant, and nobody sees that in a test that only runs it. A probe is asked at every [`Point`] and
//! says what happens there: the worker crashes, the database does not answer, the handler runs twice. Without a probe a
//! point costs nothing.
//!
//! ```
//! # use tutti_flow::{Action, Builder, Moment, Point};
//! /// Every task is run twice before its result is recorded: a test of their idempotence.
//! fn twice(builder: Builder) -> Builder {
//!     builder.probe(|moment: &Moment| match moment.point {
//!         Point::AfterExecute | Point::AfterRevert => Action::Repeat,
//!         _ => Action::Continue,
//!     })
//! }
//! ```

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{Failure, Result, TaskContext, worker::Worker};

/// An instant in the life of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// It is about to take flows.
    BeforeTake,
    /// Flows are its own in the database; it has begun nothing.
    AfterTake,
    /// A handler is about to run.
    BeforeExecute,
    /// A handler has had its effect; nobody knows yet.
    AfterExecute,
    /// A handler is about to undo.
    BeforeRevert,
    /// A handler has undone; nobody knows yet.
    AfterRevert,
    /// What came of attempts is about to be written.
    BeforeBoundary,
    /// It is written; nothing that follows has begun.
    AfterBoundary,
}

impl Point {
    /// Every point.
    pub const ALL: &[Self] = &[
        Self::BeforeTake,
        Self::AfterTake,
        Self::BeforeExecute,
        Self::AfterExecute,
        Self::BeforeRevert,
        Self::AfterRevert,
        Self::BeforeBoundary,
        Self::AfterBoundary,
    ];
}

/// Where a worker is when its probe is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// The point.
    pub point: Point,
    /// The flow; none around a take, which is for many.
    pub flow: Option<Uuid>,
    /// The task, around its handler.
    pub task: Option<Uuid>,
    /// Which attempt this is, from 1; 0 where there is none.
    pub attempt: u32,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What would anyway.
    Continue,
    /// Around a handler: a retryable failure in place of its run or its result. Around a take or a boundary: the database
    /// gives no answer, before it the transaction did not happen and after it it did.
    Fail,
    /// After a handler: it runs once more in the same attempt. After a boundary: it is written once more.
    Repeat,
    /// The worker is gone, as by `kill -9`: nothing under way goes on, nothing is given back, its lease runs out.
    Crash,
    /// Nothing for so long.
    Pause(Duration),
}

/// What a test put in.
pub(crate) type Probe = Arc<dyn Fn(&Moment) -> Action + Send + Sync>;

impl Worker {
    /// Lets happen what shall around a transaction; an error says that the database gave no answer.
    pub(crate) async fn reach(&self, point: Point, flow: Option<Uuid>) -> Result<()> {
        let Some(probe) = self.probe() else { return Ok(()) };
        match self.act(probe(&Moment { point, flow, task: None, attempt: 0 })).await {
            Action::Fail => Err(tutti_store::Error::Aborted.into()),
            Action::Repeat if point == Point::AfterBoundary => {
                Err(tutti_store::Error::Aborted.into())
            }
            _ => Ok(()),
        }
    }

    /// Lets happen what shall around a handler.
    pub(crate) async fn reach_task(
        &self,
        point: Point,
        context: &TaskContext,
    ) -> Result<Action, Failure> {
        let Some(probe) = self.probe() else { return Ok(Action::Continue) };
        let (flow, task) = (Some(context.flow), Some(context.task));
        let moment = Moment { point, flow, task, attempt: context.attempt };
        match self.act(probe(&moment)).await {
            Action::Fail => Err(Failure::Retryable(format!("injected at {point:?}"))),
            action => Ok(action),
        }
    }

    async fn act(&self, action: Action) -> Action {
        match action {
            Action::Crash => {
                self.crash();
                std::future::pending().await
            }
            Action::Pause(duration) => {
                tokio::time::sleep(duration).await;
                Action::Continue
            }
            action => action,
        }
    }
}
