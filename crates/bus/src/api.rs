//! What an API is to the bus: a set of procedures that somebody serves, and events that its owner fires.
//!
//! Both traits are implemented by the macros; they can be written by hand as well. There is no registry:
//! what serves or listens is given to a [`Bus`](crate::Bus).

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::codec::lenient;
use crate::schema::{ApiSchema, Invalid, Subject};
use crate::{Failure, FailureKind};

/// An event: something that happened, announced by the API that owns it.
///
/// It must serialise as an object whose keys are the event's parameters. Fields left out by the sender are filled
/// in with their defaults; ours are always all sent.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the API, dots and all.
    const API: &'static str;
    /// The name of the event in its API.
    const NAME: &'static str;
    /// The version of the API, carried by every event.
    const VERSION: u32;

    /// The schema of the API as far as this type knows it: all of it, or this event alone.
    fn schema() -> &'static ApiSchema;
}

/// An API that this process serves.
pub trait Service: Send + Sync + 'static {
    /// The API's name, version, and the schemas of its procedures and events.
    fn schema(&self) -> &ApiSchema;

    /// Runs one procedure. The arguments have been checked against the schema, if validation is on.
    fn execute<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>>;
}

/// One call, as a [`Service`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The name of the procedure.
    pub procedure: &'a str,
    /// A JSON object: the arguments by name.
    pub arguments: &'a RawValue,
    /// Who calls, since when, and until when an answer is wanted.
    pub context: &'a Context,
}

impl Call<'_> {
    /// The arguments as a type; a mismatch is the caller's failure.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        lenient::from_str(self.arguments.get()).map_err(|error| {
            let error = error.to_string();
            // The place in a text that nobody sees says nothing.
            let problems = error.rsplit_once(" at line ").map_or(error.as_str(), |(why, _)| why);
            let invalid = Invalid {
                api: self.context.api().to_owned(),
                name: self.procedure.to_owned(),
                subject: Subject::Arguments,
                problems: problems.to_owned(),
            };
            Failure::new(FailureKind::InvalidArguments, invalid.to_string())
        })
    }

    /// What a procedure returned, as JSON.
    pub fn respond<T: Serialize + ?Sized>(&self, result: &T) -> Result<Box<RawValue>, Failure> {
        serde_json::value::to_raw_value(result)
            .map_err(|error| Failure::new(FailureKind::InvalidResult, error.to_string()))
    }

    /// The failure to answer with when there is no such procedure.
    pub fn unknown(&self) -> Failure {
        Failure::new(
            FailureKind::UnknownProcedure,
            format!("{} has no procedure {}", self.context.api(), self.procedure),
        )
    }
}

/// Where a call or an event comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context(Arc<Origin>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) id: String,
    pub(crate) api: String,
    pub(crate) name: String,
    pub(crate) native_id: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) trace: Option<String>,
    pub(crate) version: u32,
    pub(crate) deadline: Option<Instant>,
    pub(crate) deliveries: u32,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    pub(crate) fn new(origin: Origin) -> Context {
        Context(Arc::new(origin))
    }

    /// The call or event that this task handles. What is called or fired meanwhile goes on its trace, and calls
    /// have at most what is left of its time.
    pub fn current() -> Option<Context> {
        CURRENT.try_with(Context::clone).ok()
    }

    /// Runs a procedure or handler as its current one.
    pub(crate) fn scope<F: Future>(self, run: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, run)
    }

    /// The id of the message: of the call, or of the event (the same at every delivery).
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The API called, or whose event this is.
    pub fn api(&self) -> &str {
        &self.0.api
    }

    /// The name of the procedure or event.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The id of an event in its stream (milliseconds, dash, sequence); nothing for a call.
    pub fn native_id(&self) -> Option<&str> {
        self.0.native_id.as_deref()
    }

    /// `service/process` of the sender, if it said so (Python peers do not).
    pub fn sender(&self) -> Option<&str> {
        self.0.sender.as_deref()
    }

    /// The trace context of the sender: a W3C `traceparent`.
    pub fn trace(&self) -> Option<&str> {
        self.0.trace.as_deref()
    }

    /// The version of the API by which the message was made; 1 if the sender did not say.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// Until when the caller waits. Calls made while this one runs inherit it.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// How often this event has been delivered to this listener, this time included; 1 for a call.
    pub fn deliveries(&self) -> u32 {
        self.0.deliveries
    }
}
