//! What can go wrong: in a procedure or handler ([`Failure`]), and for who calls or fires ([`Error`]).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a procedure or a handler answers.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a procedure or handler failed. It crosses the bus as an error result.
///
/// Like `anyhow::Error` it is made by `?` of any error, and so is no [`std::error::Error`] itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure, for programs.
    pub kind: FailureKind,
    /// What happened, for people.
    pub message: String,
    /// The causes, one a line; a traceback if the peer is Python's.
    pub trace: Option<String>,
}

/// The kinds of failure. Python peers send and see only the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The procedure itself failed.
    Failed,
    /// The API has no such procedure.
    UnknownProcedure,
    /// The arguments do not fit the procedure.
    InvalidArguments,
    /// What the procedure returned does not fit its schema.
    InvalidResult,
    /// The procedure ran longer than its caller waits.
    DeadlineExceeded,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), trace: None }
    }

    /// A procedure's own failure, said in words.
    pub fn message(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Failed, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let trace = Some(chain(&error));
        Failure { kind: FailureKind::Failed, message: error.to_string(), trace }
    }
}

/// An error and its causes, one a line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push('\n');
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Why something asked of the bus was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answered in time. The procedure may have run, or may be running.
    #[error("no answer from {api}.{procedure} within {timeout:?}")]
    Timeout {
        /// The API called.
        api: String,
        /// The procedure called.
        procedure: String,
        /// How long the caller waited.
        timeout: Duration,
    },
    /// The procedure answered with a failure.
    #[error("{api}.{procedure} failed: {failure}")]
    Remote {
        /// The API called.
        api: String,
        /// The procedure called.
        procedure: String,
        /// What it answered.
        failure: Failure,
    },
    /// Arguments, a result or an event do not fit the schema; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// There is no schema for the API, and validation is strict.
    #[error("no schema is known for the API {0}")]
    SchemaNotFound(String),
    /// A value cannot be written as JSON, or an answer cannot be read as the type wanted.
    #[error("cannot convert {what} to or from JSON")]
    Json {
        /// What was to be converted.
        what: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// Redis or the broker cannot be reached, or refused a command.
    #[error("the bus cannot {attempt}")]
    Transport {
        /// What was attempted.
        attempt: String,
        /// What the client said.
        #[source]
        source: redis::RedisError,
    },
    /// The bus has been shut down.
    #[error("the bus is closed")]
    Closed,
}
