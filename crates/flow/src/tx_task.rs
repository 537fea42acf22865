//! Tasks whose work is SQL in the flows' database: done in the transaction that records their end, so exactly once.
//!
//! The transaction first looks whether the attempt is still wanted: not by a worker that lost the flow, and not if it has
//! succeeded before without anybody having heard of it. Then the handler writes, and the task's row says that it has succeeded.
//!
//! Whatever else becomes of that row, its column `done` keeps what the handler answered for as long as its effect stands: an
//! attempt writes it with the effect, one that undoes the task clears it with that, and nobody else changes it but a person who
//! says that the task was taken care of by hand. So a flow that ended before it knew, or before the task was undone, and is run
//! again finds the effect there instead of having it twice.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tutti_store::{Error as StoreError, Tx, row, sql};

use crate::{
    Action, Error, Failure, FailureClass, Outcome, Point, Resources, Result, Retry, TaskContext,
    TaskState, claim,
    graph::{Left, Return},
    policy::Trouble,
    task::{parse, too_large},
    worker::Worker,
};

/// What an attempt comes to whose flow was taken away meanwhile.
const LOST: &str = "its flow is another worker's";

/// Wait before the database is asked again whether a transaction happened.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

sql! {
    /// How a task stands whose flow is still the owner's.
    pub(crate) STANDS = "SELECT task.state, task.attempt, task.revert_attempt, task.output, task.done FROM flow_task AS task
        JOIN flow ON flow.id = task.flow WHERE task.flow = $1 AND task.number = $2 AND flow.epoch = $3";

    pub(crate) EFFECT = "SELECT done FROM flow_task WHERE flow = $1 AND number = $2";

    pub(crate) DONE = "UPDATE flow_task SET state = $3, output = coalesce($4, output), done = $4, error = failure, failure = NULL,
        finished = $5, before_revert = NULL WHERE flow = $1 AND number = $2";

    /// Of a task whose flow's owner has yet to hear of it.
    pub(crate) DONE_ELSEWHERE = "UPDATE flow_task SET done = $3 WHERE flow = $1 AND number = $2";
}

row! {
    struct Standing {
        state: TaskState, attempt: u32, revert_attempt: u32, output: Option<String>, done: Option<String>,
    }
}

/// A kind of task whose work is SQL in the database of the flows, and nothing else. It is run in the transaction that records
/// its end: whatever dies, what it wrote is there exactly once, and an `Err` undoes it all.
///
/// It holds up every other write while it runs: be short. [`Timeouts`](crate::Timeouts) do not count. It may be called more than
/// once before it is committed, so it must not do anything but write.
///
/// ```
/// # use tutti_flow::{TaskContext, TxError, TxTask};
/// # use tutti_store::Tx;
/// struct Pay;
///
/// impl TxTask for Pay {
///     const NAME: &'static str = "account.pay";
///     type Input = (String, i64);
///     type Output = i64;
///
///     fn execute(&self, tx: &mut Tx<'_>, _: &TaskContext, (name, amount): (String, i64)) -> Result<i64, TxError> {
///         let paid = "UPDATE account SET balance = balance - $2 WHERE name = $1 RETURNING balance";
///         Ok(tx.one(paid, (name, amount))?)
///     }
/// }
/// ```
pub trait TxTask: Send + Sync + 'static {
    /// The name flows call it by.
    const NAME: &'static str;

    /// As [`Task::VERSION`](crate::Task::VERSION).
    const VERSION: u32 = 1;

    /// As [`Task::MIN_VERSION`](crate::Task::MIN_VERSION).
    const MIN_VERSION: u32 = 1;

    /// As [`Task::RETRY`](crate::Task::RETRY).
    const RETRY: Retry = Retry::DEFAULT;

    /// As [`Task::RESOURCES`](crate::Task::RESOURCES).
    const RESOURCES: Resources<Self::Input> = None;

    /// As [`Task::OPTIONAL`](crate::Task::OPTIONAL).
    const OPTIONAL: &'static [&'static str] = &[];

    /// What it is given. That of older versions must be understood: give new fields defaults.
    type Input: DeserializeOwned;

    /// What it answers.
    type Output: Serialize + DeserializeOwned;

    /// Does it.
    ///
    /// # Errors
    /// What makes the attempt fail; nothing of it is written.
    fn execute(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        input: Self::Input,
    ) -> Result<Self::Output, TxError>;

    /// Undoes it. By default there is nothing to undo. What failed has had no effect.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    fn revert(
        &self,
        _tx: &mut Tx<'_>,
        _context: &TaskContext,
        _input: Self::Input,
        _outcome: Outcome<Self::Output>,
    ) -> Result<(), TxError> {
        Ok(())
    }
}

/// Why a [`TxTask`] failed. Failures of the database are retryable, once it has tried again by itself after a conflict.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxError {
    /// The task says so.
    #[error("{}", .0.message())]
    Failed(Failure),
    /// The database does.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for TxError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for TxError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => Self::Store(error),
            error => Self::Failed(Failure::Terminal(error.to_string())),
        }
    }
}

/// Why an attempt in a transaction was not made.
pub(crate) enum Unmade {
    Trouble(Trouble),
    Store(StoreError),
}

impl From<Trouble> for Unmade {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<StoreError> for Unmade {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TxError> for Unmade {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Failed(failure) => Self::Trouble(Trouble::Failed(failure)),
            TxError::Store(error) => Self::Store(error),
        }
    }
}

/// A [`TxTask`] with its types erased to JSON.
pub(crate) trait TxHandler: Send + Sync {
    fn run(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        input: &str,
        left: Option<&Left>,
    ) -> Result<String, Unmade>;
}

pub(crate) struct TypedTx<T>(pub(crate) T);

impl<T: TxTask> TxHandler for TypedTx<T> {
    fn run(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        input: &str,
        left: Option<&Left>,
    ) -> Result<String, Unmade> {
        let input = parse(input, "input")?;
        let outcome = match left {
            None => {
                let output = self.0.execute(tx, context, input)?;
                let not_json = |error| Trouble::bug(format!("output is not JSON: {error}"));
                return Ok(serde_json::to_string(&output).map_err(not_json)?);
            }
            Some(Left::Output(output)) => Outcome::Succeeded(parse(output, "output")?),
            Some(Left::Failure(message)) => Outcome::Failed(message.clone()),
            Some(Left::Unknown) => Outcome::Unknown,
        };
        self.0.revert(tx, context, input, outcome)?;
        Ok("null".into())
    }
}

/// An attempt to be made in a transaction.
#[derive(Clone)]
pub(crate) struct InTx {
    pub(crate) handler: Arc<dyn TxHandler>,
    pub(crate) name: String,
    pub(crate) context: TaskContext,
    pub(crate) input: String,
    pub(crate) left: Option<Left>,
}

impl Worker {
    /// Makes an attempt in a transaction of its own, with what a test wants to happen around it.
    pub(crate) async fn in_tx(&self, attempt: InTx) -> Result<String, Trouble> {
        let (before, after) = match attempt.left {
            None => (Point::BeforeExecute, Point::AfterExecute),
            Some(_) => (Point::BeforeRevert, Point::AfterRevert),
        };
        let context = attempt.context.clone();
        self.reach_task(before, &context).await.map_err(Trouble::Failed)?;
        let output = self.commit(attempt.clone()).await?;
        match self.reach_task(after, &context).await {
            // Nobody heard that it is done.
            Ok(Action::Repeat) | Err(_) => self.commit(attempt).await,
            Ok(_) => Ok(output),
        }
    }

    async fn commit(&self, attempt: InTx) -> Result<String, Trouble> {
        let max = self.output_max();
        let mut unsure = false;
        loop {
            let attempt = attempt.clone();
            match self.store().write(move |tx| attempt.apply(tx, max)).await {
                Ok(output) => return Ok(output),
                Err(Unmade::Trouble(trouble)) => return Err(trouble),
                Err(Unmade::Store(StoreError::Panicked { message })) => {
                    return Err(Trouble::Panicked(message));
                }
                // It has happened, perhaps: only the database knows.
                Err(Unmade::Store(error))
                    if unsure || matches!(error, StoreError::CommitUnknown { .. }) =>
                {
                    unsure = true;
                    tracing::warn!(%error, "it is not known whether a task was committed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
                Err(Unmade::Store(error)) => {
                    return Err(Trouble::Failed(Failure::Retryable(sentence(&error))));
                }
            }
        }
    }
}

/// How an attempt stands before it is made.
enum Stands {
    /// It was recorded before, with this output.
    Recorded(String),
    /// It is wanted; with the output of what was done before, if that has not been undone.
    Wanted(Option<String>),
}

impl InTx {
    /// Runs the handler and records its end, unless that has happened before or the task is another's.
    fn apply(&self, tx: &mut Tx<'_>, output_max: usize) -> Result<String, Unmade> {
        let done = match self.stands(tx)? {
            Stands::Recorded(output) => return Ok(output),
            Stands::Wanted(done) => done,
        };
        let output = match (&self.left, done) {
            // The flow did not know.
            (None, Some(output)) => output,
            (left, done) => {
                let done = done.map(Left::Output);
                let left = left.as_ref().map(|left| done.as_ref().unwrap_or(left));
                self.handler.run(tx, &self.context, &self.input, left)?
            }
        };
        if output.len() > output_max {
            let message = too_large(&self.name, output.len(), output_max);
            return Err(Trouble::refused(message).into());
        }
        let (flow, number) = (self.context.flow, self.context.number);
        let (state, done) = match self.left {
            None => (TaskState::Succeeded, Some(&output)),
            Some(_) => (TaskState::Reverted, None),
        };
        if let Some(claim) = self.context.claim {
            tx.exec(DONE_ELSEWHERE, (flow, number, done))?;
            claim::end(tx, claim, Return::Ended(Ok(output.clone()))).map_err(TxError::from)?;
        } else {
            let now = tx.now()?;
            tx.exec(DONE, (flow, number, state, done, now))?;
        }
        Ok(output)
    }

    fn stands(&self, tx: &mut Tx<'_>) -> Result<Stands, Unmade> {
        let context = &self.context;
        let (flow, number) = (context.flow, context.number);
        let lost = || Trouble::Classed(FailureClass::Lost, Failure::Retryable(LOST.into()));
        if let Some(claim) = context.claim {
            claim::standing(tx, claim).map_err(|error| match error {
                Error::Store(error) => Unmade::Store(error),
                _ => lost().into(),
            })?;
            return Ok(Stands::Wanted(tx.one(EFFECT, (flow, number))?));
        }
        let row: Option<Standing> = tx.maybe(STANDS, (flow, number, context.epoch))?;
        let Standing { state, attempt, revert_attempt, output, done } = row.ok_or_else(lost)?;
        let (running, ended, attempt) = match self.left {
            None => (TaskState::Running, TaskState::Succeeded, attempt),
            Some(_) => (TaskState::Reverting, TaskState::Reverted, revert_attempt),
        };
        match state {
            _ if attempt != context.attempt => Err(lost().into()),
            state if state == running => Ok(Stands::Wanted(done)),
            state if state == ended => {
                Ok(Stands::Recorded(output.unwrap_or_else(|| "null".into())))
            }
            _ => Err(lost().into()),
        }
    }
}

/// An error and its causes.
fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
