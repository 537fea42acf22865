//! Handlers: what tasks do.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tutti_store::Store;
use uuid::Uuid;

use crate::{
    Error, Failure, Resources, Result, Retry, Timeouts,
    graph::Left,
    policy::Trouble,
    report::{self, Said},
    tx_task::TxHandler,
};

/// A kind of task. It may run more than once for one task row: after a failure, and when its worker died over it. Make its
/// effects idempotent, or hand [`TaskContext::idempotency_key`] to whoever carries them out.
pub trait Task: Send + Sync + 'static {
    /// The name flows call it by, such as `charm.fetch`; without `@`.
    const NAME: &'static str;

    /// Grows when plans of the former version must not be mixed up with those of this one, such as for an input that older
    /// handlers would misread. A plan made with this type runs only where the handler has at least this version.
    const VERSION: u32 = 1;

    /// The oldest version whose plans it runs: it understands their input, and their output where it undoes them.
    const MIN_VERSION: u32 = 1;

    /// What follows a failed attempt, unless a plan says otherwise.
    const RETRY: Retry = Retry::DEFAULT;

    /// How long it may take, unless a plan says otherwise.
    const TIMEOUTS: Timeouts = Timeouts::NONE;

    /// What it adds to the resources of its flow, by its input: collected by [`Pattern::build`](crate::pattern::Pattern::build),
    /// because a flow that runs can add none. A step whose input is known only then must [say](crate::pattern::Step::holds) what
    /// it adds. A plan put down by hand names all its resources itself.
    ///
    /// ```
    /// # use tutti_flow::{Access, Failure, Resources, Task, TaskContext};
    /// # struct Grow;
    /// # impl Task for Grow {
    /// #     const NAME: &'static str = "grow";
    /// #     type Input = String;
    /// #     type Output = ();
    /// const RESOURCES: Resources<String> =
    ///     Some(|volume| vec![(format!("volume/{volume}"), Access::Exclusive)]);
    /// #     async fn execute(&self, _: TaskContext, _: String) -> Result<(), Failure> { Ok(()) }
    /// # }
    /// ```
    const RESOURCES: Resources<Self::Input> = None;

    /// Members of a struct as input that may be absent, for [patterns](crate::pattern): those with `#[serde(default)]`. An
    /// `Option` is known to be.
    const OPTIONAL: &'static [&'static str] = &[];

    /// What it asks to do it, such as `cloud`; tasks of several kinds can have the same. While that does not answer, attempts
    /// are not made and do not count: see [`Builder::backend_failures_max`](crate::Builder::backend_failures_max).
    const BACKEND: Option<&'static str> = None;

    /// What it is given. That of older versions must be understood, down to [`MIN_VERSION`](Self::MIN_VERSION): give new fields
    /// defaults.
    type Input: DeserializeOwned + Send;

    /// What it answers.
    type Output: Serialize + DeserializeOwned + Send;

    /// Does it.
    fn execute(
        &self,
        context: TaskContext,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;

    /// Undoes it, whatever came of it. By default there is nothing to undo.
    fn revert(
        &self,
        _context: TaskContext,
        _input: Self::Input,
        _outcome: Outcome<Self::Output>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }
}

/// What came of a task that is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It succeeded with this.
    Succeeded(T),
    /// It failed with this message; it may have had part of its effect.
    Failed(String),
    /// Its worker died: it may have had its effect.
    Unknown,
}

/// What a handler knows about its attempt.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The flow.
    pub flow: Uuid,
    /// The task.
    pub task: Uuid,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Grows each time another worker takes the flow. A backend that remembers the greatest it saw can refuse a worker that
    /// has lost the flow without knowing.
    pub epoch: i64,
    pub(crate) number: usize,
    pub(crate) reverting: bool,
    pub(crate) cancelled: CancellationToken,
    pub(crate) alive: Arc<Notify>,
    pub(crate) store: Store,
    /// The claim under which it is made, if others have the flow.
    pub(crate) claim: Option<Uuid>,
    pub(crate) trace: Option<Arc<str>>,
}

impl TaskContext {
    /// The same for every attempt of the task in one direction: a backend can tell a repetition by it.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        idempotency_key(self.task, self.reverting)
    }

    /// For what the flow was submitted: pass it on, such as in the header `traceparent`, to whoever the task asks for something.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// Resolves when the flow is cancelled or the worker stops. A handler that takes long should watch it and return soon.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Says that the task is alive; see [`Timeouts::heartbeat`](crate::Timeouts::heartbeat). Costs nothing.
    pub fn heartbeat(&self) {
        self.alive.notify_one();
    }

    /// Shows how far the task is, from 0 to 1, and that it is alive.
    ///
    /// # Errors
    /// As [`report`](Self::report), which a task may well ignore.
    pub async fn progress(&self, fraction: f64) -> Result<()> {
        self.say(Said::Progress(fraction)).await
    }

    /// Tells the next attempt how far this one is, in place of what was told before, and says that it is alive: should this one fail
    /// or its worker die, the next goes on from there by [`reported`](Self::reported). At most 64 KiB of JSON.
    ///
    /// # Errors
    /// [`Error::NotUnderWay`](crate::Error::NotUnderWay) or [`Error::ClaimLost`](crate::Error::ClaimLost) if the task is another's,
    /// or the flow was given up: stop. [`Error::TooLong`](crate::Error::TooLong); storage errors.
    pub async fn report(&self, so_far: impl Serialize) -> Result<()> {
        let not_json = |error| Error::NotJson { message: format!("{error}") };
        self.say(Said::Report(serde_json::to_value(so_far).map_err(not_json)?)).await
    }

    /// What an attempt [reported](Self::report) last, this one included; nothing if none did since the task started over, or what it
    /// reported was of another type. Undoing a task sees what doing it reported.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn reported<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let (flow, number) = (self.flow, self.number);
        let reported = self.store.read(move |tx| report::reported(tx, flow, number)).await?;
        Ok(reported.and_then(|report| serde_json::from_value(report).ok()))
    }

    /// Keeps a line for whoever looks at the task, and says that it is alive. Of a task the newest 1,000 lines are kept, of a line the
    /// first 4 KiB.
    ///
    /// # Errors
    /// As [`report`](Self::report), which a task may well ignore.
    pub async fn log(&self, line: impl Into<String>) -> Result<()> {
        self.say(Said::Line(line.into())).await
    }

    async fn say(&self, said: Said) -> Result<()> {
        self.heartbeat();
        let context = self.clone();
        self.store.write(move |tx| report::say_in(tx, &context, &said)).await
    }

    /// Whether [`cancelled`](Self::cancelled) would return at once.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

/// The same for every attempt of a task in one direction.
pub(crate) fn idempotency_key(task: Uuid, reverting: bool) -> String {
    let direction = if reverting { "revert" } else { "execute" };
    format!("{task}-{direction}")
}

/// Bytes of a task's result, unless its worker says otherwise.
pub(crate) const OUTPUT_MAX: usize = 1 << 20;

/// Says that a result is not kept.
pub(crate) fn too_large(name: &str, size: usize, max: usize) -> String {
    format!(
        "task `{name}` answered {size} bytes, more than the {max} that are kept: keep it elsewhere and answer where"
    )
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<String, Trouble>> + Send + 'a>>;

/// A [`Task`] with its types erased to JSON.
pub(crate) trait Handler: Send + Sync {
    fn backend(&self) -> Option<&'static str>;
    fn execute(&self, context: TaskContext, input: String) -> Answer<'_>;
    fn revert(&self, context: TaskContext, input: String, left: Left) -> Answer<'_>;
}

/// How a handler works.
#[derive(Clone)]
pub(crate) enum Kind {
    /// On its own; what came of it is recorded afterwards.
    Call(Arc<dyn Handler>),
    /// In the transaction that records its end.
    InTx(Arc<dyn TxHandler>),
}

impl Kind {
    /// What must answer for it to work, beside the database.
    pub(crate) fn backend(&self) -> Option<&'static str> {
        match self {
            Self::Call(handler) => handler.backend(),
            Self::InTx(_) => None,
        }
    }
}

/// Handlers by name.
pub(crate) type Handlers = HashMap<String, Kind>;

pub(crate) struct Typed<T>(pub(crate) T);

impl<T: Task> Handler for Typed<T> {
    fn backend(&self) -> Option<&'static str> {
        T::BACKEND
    }

    fn execute(&self, context: TaskContext, input: String) -> Answer<'_> {
        Box::pin(async move {
            let output = self.0.execute(context, parse(&input, "input")?).await?;
            serde_json::to_string(&output)
                .map_err(|error| Trouble::bug(format!("output is not JSON: {error}")))
        })
    }

    fn revert(&self, context: TaskContext, input: String, left: Left) -> Answer<'_> {
        Box::pin(async move {
            let outcome = match left {
                Left::Output(output) => Outcome::Succeeded(parse(&output, "output")?),
                Left::Failure(message) => Outcome::Failed(message),
                Left::Unknown => Outcome::Unknown,
            };
            self.0.revert(context, parse(&input, "input")?, outcome).await?;
            Ok("null".into())
        })
    }
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Trouble> {
    serde_json::from_str(text)
        .map_err(|error| Trouble::bug(format!("{what} does not fit the task: {error}")))
}
