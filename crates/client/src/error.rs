//! What can go wrong with a call.

use std::io;
use std::path::PathBuf;

use crate::{Address, Problem};

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text that is no address.
    #[error("{text:?} is neither the path of a socket nor host:port")]
    Address {
        /// The text.
        text: String,
    },
    /// Nobody answers at the address.
    #[error("cannot connect to the controller at {address}")]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The controller refused the call.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The exchange broke: whether the controller has acted is unknown.
    #[error("{method} {path} broke off")]
    Http {
        /// `GET`, …
        method: String,
        /// Path and query.
        path: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The call cannot be put into words of HTTP: a path with spaces or control characters.
    #[error("{path:?} is no path of a request")]
    Request {
        /// Path and query.
        path: String,
        /// Why.
        #[source]
        source: hyper::http::Error,
    },
    /// The request's value has no JSON form.
    #[error("cannot write the request to {path} as JSON")]
    Encode {
        /// Path and query.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is not what the caller expects.
    #[error("the answer to {path} is not understood")]
    Decode {
        /// Path and query.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is larger than any answer of the API.
    #[error("the answer to {path} is larger than {limit} bytes")]
    TooLarge {
        /// Path and query.
        path: String,
        /// The most that is accepted.
        limit: usize,
    },
    /// The file to send cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The received bytes cannot be written.
    #[error("cannot write what {path} answered")]
    Write {
        /// Path and query.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The refusal, if the controller answered with one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the controller could not be reached or did not answer: the same call may succeed
    /// later.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Http { .. })
    }
}
