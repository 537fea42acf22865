//! Handlers, as one worker has them.

use std::sync::Mutex;

use serde_json::{Value, json};
use tutti_flow::{Failure, Outcome, Task, TaskContext, TxError, TxTask};
use tutti_store::Tx;
use uuid::Uuid;

use super::{
    plan::{Input, RARE, TX, WATCHED},
    shape::{Fate, Undo},
    watch::{Alive, Attempt, Cases, Seen, Step, Watch},
};

/// The table of what tasks in transactions did.
pub(super) const EFFECTS: &str = "CREATE TABLE effect (task TEXT NOT NULL)";
pub(super) const EFFECTS_OF: &str = "SELECT count(*) FROM effect WHERE task = $1";
const DO: &str = "INSERT INTO effect (task) VALUES ($1)";
const UNDO: &str = "DELETE FROM effect WHERE task = $1";

/// What the handlers of a worker share.
#[derive(Clone)]
pub(super) struct Hand {
    pub(super) cases: Cases,
    pub(super) worker: Alive,
}

/// Uses the resources of a flow until it is dropped.
struct User<'a> {
    watch: &'a Watch,
    attempt: Attempt<'a>,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.watch.leaves(self.attempt);
    }
}

impl Hand {
    /// An attempt from its beginning to its end, which `end` tells once it is there; nothing at all if nobody looks any more.
    async fn pass(
        &self,
        context: &TaskContext,
        input: &Input,
        begin: Step,
        end: impl Fn(&Watch) -> Step,
    ) {
        let Some(watch) = self.cases.get(input.case) else { return };
        let worker = &self.worker;
        let attempt = Attempt { flow: context.flow, task: context.task, input, worker };
        match watch.begins(begin, attempt) {
            Seen::Noted => {}
            Seen::Dead => return std::future::pending().await,
            Seen::Ignored => return,
        }
        let _user = User { watch: &watch, attempt };
        tokio::task::yield_now().await;
        if watch.ends(end(&watch), attempt) == Seen::Dead {
            std::future::pending::<()>().await;
        }
    }

    async fn execute(&self, context: TaskContext, input: Input) -> Result<Value, Failure> {
        self.pass(&context, &input, Step::Execute, |_| Step::Executed).await;
        answer(&input, context.attempt)
    }

    async fn revert(&self, context: TaskContext, input: Input) -> Result<(), Failure> {
        let undone = Mutex::new(Ok(()));
        self.pass(&context, &input, Step::Revert, |watch| {
            let undo = undo(&input, context.attempt, || watch.undo_failures(context.task));
            let step = if undo.is_ok() { Step::Reverted } else { Step::Left };
            *undone.lock().unwrap() = undo;
            step
        })
        .await;
        undone.into_inner().unwrap()
    }
}

fn answer(input: &Input, attempt: u32) -> Result<Value, Failure> {
    match input.fate {
        Fate::FailOnce if attempt == 1 => Err(Failure::Retryable("once".into())),
        Fate::FailAlways => Err(Failure::Retryable("always".into())),
        Fate::FailForGood => Err(Failure::Terminal("for good".into())),
        _ => Ok(json!({ "yes": input.at % 2 })),
    }
}

fn undo(input: &Input, attempt: u32, failures: impl Fn() -> u32) -> Result<(), Failure> {
    match input.undo {
        Undo::FailOnce if attempt == 1 => Err(Failure::Retryable("once".into())),
        Undo::FailForGood(times) if failures() <= times => {
            Err(Failure::Terminal("cannot undo".into()))
        }
        _ => Ok(()),
    }
}

/// What every worker can run.
pub(super) struct Watched(pub(super) Hand);

impl Task for Watched {
    const NAME: &'static str = WATCHED;
    type Input = Input;
    type Output = Value;

    async fn execute(&self, context: TaskContext, input: Input) -> Result<Value, Failure> {
        self.0.execute(context, input).await
    }

    async fn revert(
        &self,
        context: TaskContext,
        input: Input,
        _: Outcome<Value>,
    ) -> Result<(), Failure> {
        self.0.revert(context, input).await
    }
}

/// What one worker can run.
pub(super) struct Rare(pub(super) Hand);

impl Task for Rare {
    const NAME: &'static str = RARE;
    type Input = Input;
    type Output = Value;

    async fn execute(&self, context: TaskContext, input: Input) -> Result<Value, Failure> {
        self.0.execute(context, input).await
    }

    async fn revert(
        &self,
        context: TaskContext,
        input: Input,
        _: Outcome<Value>,
    ) -> Result<(), Failure> {
        self.0.revert(context, input).await
    }
}

/// What has its effect in the transaction that records its end.
pub(super) struct Effect(pub(super) Hand);

impl Effect {
    fn check(&self, tx: &mut Tx<'_>, case: u64, task: Uuid, expected: i64) -> Result<(), TxError> {
        let found: i64 = tx.one(EFFECTS_OF, (task,))?;
        if found != expected
            && let Some(watch) = self.0.cases.get(case)
        {
            watch.is_wrong(format!("{task} had {found} effects, not {expected}"));
        }
        Ok(())
    }
}

impl TxTask for Effect {
    const NAME: &'static str = TX;
    type Input = Input;
    type Output = Value;

    fn execute(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        input: Input,
    ) -> Result<Value, TxError> {
        self.check(tx, input.case, context.task, 0)?;
        tx.exec(DO, (context.task,))?;
        Ok(answer(&input, context.attempt)?)
    }

    fn revert(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        input: Input,
        outcome: Outcome<Value>,
    ) -> Result<(), TxError> {
        let done = matches!(outcome, Outcome::Succeeded(_));
        self.check(tx, input.case, context.task, done.into())?;
        tx.exec(UNDO, (context.task,))?;
        Ok(())
    }
}
