//! Hooks: code of the program's that runs around everything the bus does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::{Context, Failure};

/// A moment in the life of a bus. All JSON is an object with parameters by name, or a result.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Moment<'a> {
    /// This process begins to serve and listen.
    Started,
    /// This process has stopped serving and listening.
    Stopped,
    /// A call is about to be made. A failure refuses it.
    BeforeCall {
        /// The message.
        context: &'a Context,
        /// Its arguments.
        arguments: &'a RawValue,
    },
    /// A call has been answered, or not.
    AfterCall {
        /// The message.
        context: &'a Context,
        /// What came of it, in words if it failed.
        outcome: Result<&'a RawValue, &'a str>,
        /// How long it took.
        took: Duration,
    },
    /// A procedure is about to be run. A failure refuses it.
    BeforeExecution {
        /// The message.
        context: &'a Context,
        /// Its arguments.
        arguments: &'a RawValue,
    },
    /// A procedure has run.
    AfterExecution {
        /// The message.
        context: &'a Context,
        /// What it answered.
        outcome: Result<&'a RawValue, &'a Failure>,
        /// How long it took.
        took: Duration,
    },
    /// An event is about to be fired. A failure refuses it.
    BeforeFire {
        /// The message.
        context: &'a Context,
        /// Its parameters.
        parameters: &'a RawValue,
    },
    /// An event has been fired.
    AfterFire {
        /// The message, with its id in the stream.
        context: &'a Context,
        /// Its parameters.
        parameters: &'a RawValue,
    },
    /// A handler is about to get an event. A failure counts as the handler's.
    BeforeHandling {
        /// The message.
        context: &'a Context,
        /// Its parameters.
        parameters: &'a RawValue,
    },
    /// A handler has got an event.
    AfterHandling {
        /// The message.
        context: &'a Context,
        /// Its parameters.
        parameters: &'a RawValue,
        /// What the handler answered.
        outcome: Result<(), &'a Failure>,
        /// How long it took.
        took: Duration,
    },
}

impl<'a> Moment<'a> {
    /// The message it is about.
    pub fn context(&self) -> Option<&'a Context> {
        match self {
            Moment::Started | Moment::Stopped => None,
            Moment::BeforeCall { context, .. }
            | Moment::AfterCall { context, .. }
            | Moment::BeforeExecution { context, .. }
            | Moment::AfterExecution { context, .. }
            | Moment::BeforeFire { context, .. }
            | Moment::AfterFire { context, .. }
            | Moment::BeforeHandling { context, .. }
            | Moment::AfterHandling { context, .. } => Some(context),
        }
    }
}

/// Something that is told of every [`Moment`], in the order in which hooks were added.
pub trait Hook: Send + Sync + 'static {
    /// A failure counts only where the moment says so.
    fn on<'a>(&'a self, moment: Moment<'a>) -> BoxFuture<'a, Result<(), Failure>>;
}

/// All hooks of a bus.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Arc<[Arc<dyn Hook>]>);

impl Hooks {
    pub(crate) fn new(hooks: Vec<Arc<dyn Hook>>) -> Hooks {
        Hooks(hooks.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs them until one fails.
    pub(crate) async fn before(&self, moment: Moment<'_>) -> Result<(), Failure> {
        for hook in self.0.iter() {
            hook.on(moment).await?;
        }
        Ok(())
    }

    /// Runs them all; failures are logged.
    pub(crate) async fn after(&self, moment: Moment<'_>) {
        for hook in self.0.iter() {
            if let Err(failure) = hook.on(moment).await {
                tracing::warn!(%failure, "a hook failed");
            }
        }
    }
}
