//! What stops a pipeline, and what only stops one unit.

use super::Failure;

/// An error of a stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One item is left out; everything else goes on. What a scheduled function answers this for is reported and remembered
    /// ([`Context::leave_out`](super::Context::leave_out)).
    #[error("{} is left out: {}", .0.name, .0.reason)]
    LeftOut(Box<Failure>),
    /// Somebody cancelled it.
    #[error("it was cancelled")]
    Cancelled,
    /// So many items failed that something else must be wrong.
    #[error("more than {most} items failed")]
    Failures {
        /// The bound.
        most: usize,
    },
    /// There is no stage of that name to insert beside, to replace or to remove.
    #[error("there is no stage {0:?}")]
    NoStage(String),
    /// A stage panicked.
    #[error("stage {stage:?} panicked")]
    Panicked {
        /// Which.
        stage: &'static str,
        /// How.
        #[source]
        source: tokio::task::JoinError,
    },
    /// Nobody reads what a stage writes: the next one has had enough. It ends the stage, not the pipeline.
    #[error("the next stage has ended")]
    Closed,
    /// The store of units or of artifacts failed.
    #[error(transparent)]
    Content(Box<crate::Error>),
    /// What everything else depends on could not be fetched.
    #[error(transparent)]
    Download(Box<crate::download::Error>),
    /// A content type's own reason.
    #[error("the content cannot be synced")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Content(Box::new(error))
    }
}

impl From<tutti_store::Error> for Error {
    fn from(error: tutti_store::Error) -> Self {
        Self::Content(Box::new(error.into()))
    }
}

impl From<crate::download::Error> for Error {
    fn from(error: crate::download::Error) -> Self {
        Self::Download(Box::new(error))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::LeftOut(Box::new(failure))
    }
}

impl Error {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Content(error) => error.is_disk_full(),
            Self::Download(error) => error.reason.is_disk_full(),
            _ => false,
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries repeat the cause in the text.
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
