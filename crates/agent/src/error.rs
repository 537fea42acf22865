//! What can go wrong in an agent.

use std::io;
use std::path::PathBuf;

/// The result of an agent's work.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an agent, or a part of its work, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the agent.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `create`, `read`, …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A charm's file does not start.
    #[error("cannot start {}: {reason}", file.display())]
    Start {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, for the charm's author.
        reason: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes of an artifact are not those its digest names.
    #[error("the controller sent other bytes than those of artifact {digest}")]
    Artifact {
        /// SHA-256 asked for.
        digest: String,
    },
    /// A text that should be a SHA-256 is none.
    #[error("{text:?} is no digest of an artifact")]
    Digest {
        /// The text.
        text: String,
    },
    /// The data directory belongs to the agent of another machine, whose units are in it.
    #[error("{} belongs to the agent of machine {machine}", path.display())]
    OtherMachine {
        /// The data directory.
        path: PathBuf,
        /// The machine.
        machine: String,
    },
    /// The data directory has the units of another controller.
    #[error(
        "{} has the units of controller {controller}: use its database, or another directory",
        path.display()
    )]
    OtherController {
        /// The data directory.
        path: PathBuf,
        /// UUID of the controller.
        controller: String,
    },
    /// Something about a charm's files.
    #[error(transparent)]
    Charm(#[from] tutti_charm::Error),
    /// A call to the controller.
    #[error(transparent)]
    Call(#[from] tutti_client::Error),
    /// The controller refused a step of a unit.
    #[error("cannot apply changes: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// A newer agent serves this machine.
    #[error("another agent has taken over this machine")]
    Fenced,
    /// The controller knows nothing of the unit any more.
    #[error("the unit is gone")]
    Gone,
    /// The unit's journal is not what the agent believed: what it was about to do is decided anew.
    #[error("the unit's journal has moved on")]
    Moved,
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
    /// A storage that cannot be provided here.
    #[error("cannot provide storage {storage}: {reason}")]
    Storage {
        /// `name/number`.
        storage: String,
        /// Why.
        reason: String,
    },
}

/// Wraps the error of a file operation: `.map_err(file("create", &path))`.
pub(crate) fn file(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { action, path, source }
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
