//! What can go wrong in the controller, and the HTTP status each case answers with.

/// An error of the controller. Its text is the `detail` of the problem document: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400: the request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// 404: what was named is not there.
    #[error("{0}")]
    NotFound(String),
    /// 404 with code `unit-not-found`: the records of an agent's unit are gone, and what the agent
    /// has of it can go too. Nothing else may be answered so.
    #[error("unit {0} not found")]
    UnitNotFound(String),
    /// 409: what was asked contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// 409 with code `resource-deleting`: what was to be changed is going.
    #[error("{0}")]
    Deleting(String),
    /// 429 with code `queue-full`: as many changes wait for a resource as may.
    #[error(
        "{resource} has {max} changes waiting already, as many as may: try again in a moment, or look \
         at `tutti flows --resource {resource}` for what holds them up"
    )]
    QueueFull {
        /// `application/db`.
        resource: String,
        /// How many may wait.
        max: usize,
    },
    /// 429 with code `model-full`: as many flows of a model are unfinished as may be.
    #[error(
        "model {model} has {max} flows that have not ended, as many as may: try again in a moment, or \
         look at `tutti flows --model {model}` for what holds them up"
    )]
    ModelFull {
        /// Its name.
        model: String,
        /// How many there may be.
        max: u32,
    },
    /// 422: understood, and refused, with every reason.
    #[error("{summary}")]
    Refused {
        /// One sentence.
        summary: String,
        /// Every reason at once.
        reasons: Vec<String>,
    },
    /// 405: the path exists and has no such method.
    #[error("the path has no such method")]
    Method,
    /// 413: the request holds more than it may.
    #[error("{0}")]
    TooLarge(String),
    /// 503 with code `busy`: as many requests wait for news as may.
    #[error("{0} requests wait for news already, as many as may; try again in a moment")]
    Busy(usize),
    /// 412: the resource is not as the request expects.
    #[error("{text}")]
    Precondition {
        /// One sentence.
        text: String,
        /// The entity tag now.
        etag: String,
    },
    /// 422 with code `key-reused`: another request had the same `Idempotency-Key`.
    #[error("this Idempotency-Key was used for another request: a new request needs a new one")]
    KeyReused,
    /// 410: it was there and is not kept any more.
    #[error("{0}")]
    Gone(String),
    /// 403: the unit or user may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 409 with code `stale-session`: a newer session of the same agent took over.
    #[error("agent session {0} has been replaced by a newer one")]
    StaleSession(i64),
    /// 409 with code `stale-journal`: the step built on an older journal version.
    #[error("the unit's journal is at version {current}, not {given}")]
    StaleJournal {
        /// Version at the controller.
        current: i64,
        /// Version in the step.
        given: i64,
    },
    /// 500: stored JSON that does not read back.
    #[error("stored {what} cannot be read")]
    Stored {
        /// What was being read.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// 500 (507 for a full disk): the store failed.
    #[error(transparent)]
    Store(#[from] tutti_store::Error),
    /// 404 or 409 for a flow or task that is not there or not in the state for it, else 500.
    #[error(transparent)]
    Flow(tutti_flow::Error),
    /// 500 (507 for a full disk): the content store failed.
    #[error(transparent)]
    Content(#[from] tutti_content::Error),
    /// 500: an archive that was accepted cannot be read any more.
    #[error("a charm's archive cannot be read")]
    Charm(#[from] tutti_charm::Error),
    /// 500: the bus cannot be reached, or refuses.
    #[error(transparent)]
    Bus(#[from] tutti_bus::Error),
    /// The controller could not start.
    #[error("cannot {what}")]
    Start {
        /// What was tried, with the path or address.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// 500: a handler panicked.
    #[error("the request met a bug; the controller's log has the details")]
    Panicked,
}

impl Error {
    /// A refusal with its reasons; a single one is part of the sentence.
    pub(crate) fn refused(what: &str, reasons: Vec<String>) -> Self {
        let summary = match reasons.as_slice() {
            [reason] => format!("{what}: {reason}"),
            _ => format!("{what}, for {} reasons", reasons.len()),
        };
        Self::Refused { summary, reasons }
    }
}

impl From<tutti_flow::Error> for Error {
    fn from(error: tutti_flow::Error) -> Self {
        match error {
            tutti_flow::Error::Store(error) => Self::Store(error),
            error => Self::Flow(error),
        }
    }
}

impl From<tutti_model::Error> for Error {
    fn from(error: tutti_model::Error) -> Self {
        match error {
            tutti_model::Error::RelationNotFound { .. } => Self::NotFound(error.to_string()),
            tutti_model::Error::RelationExists { .. }
            | tutti_model::Error::RelationLimit { .. }
            | tutti_model::Error::PeerRelation { .. } => Self::Conflict(error.to_string()),
            error => Self::Invalid(error.to_string()),
        }
    }
}
