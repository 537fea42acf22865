//! How a command ends without success.
//!
//! A command returns [`Outcome`]; `main` turns a [`Failure`] into words on stderr and an exit code:
//! 2 for a command line that was not understood, 1 for a command that could not do its work, or
//! the code of a program that was run on somebody's behalf.

use std::fmt::Write as _;
use std::io;

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line was not understood: exit code 2.
    Usage(String),
    /// The command could not do its work: exit code 1.
    Run(anyhow::Error),
    /// Everything is said already; end with this code.
    Exit(u8),
    /// Whoever reads the output has gone: end quietly.
    BrokenPipe,
}

impl Failure {
    /// A refusal in one sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Run(anyhow::Error::msg(message.into()))
    }

    /// A command line that was not understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The refusal, if the controller answered with one.
    pub(crate) fn problem(&self) -> Option<&tutti_client::Problem> {
        match self {
            Self::Run(error) => error.downcast_ref::<tutti_client::Error>()?.problem(),
            _ => None,
        }
    }

    /// Whether the controller says that the thing does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.status == 404)
    }

    /// Whether the controller did not answer, or is about to stop: the same call may succeed later.
    pub(crate) fn is_absence(&self) -> bool {
        let Self::Run(error) = self else { return false };
        let Some(error) = error.downcast_ref::<tutti_client::Error>() else { return false };
        error.is_connection() || error.problem().is_some_and(|problem| problem.status == 503)
    }

    /// What to print after `ERROR `, or nothing.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Usage(message) => Some(message.clone()),
            Self::Run(error) => Some(chain(error)),
            Self::Exit(_) | Self::BrokenPipe => None,
        }
    }

    /// The exit code of the process. 141 is what a shell reports for a program ended by a broken
    /// pipe.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) => 1,
            Self::Exit(code) => *code,
            Self::BrokenPipe => 141,
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        if cause.is_some_and(|error| error.is::<tutti_client::Error>()) {
            // The pipe that broke is the one to the controller, which is not to be passed over.
            return Self::Run(error.into());
        }
        while let Some(at) = cause {
            if at.downcast_ref::<io::Error>().map(io::Error::kind)
                == Some(io::ErrorKind::BrokenPipe)
            {
                return Self::BrokenPipe;
            }
            cause = at.source();
        }
        Self::Run(error.into())
    }
}

/// An error with its causes, `a: b: c`.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(at) = cause {
        let _ = write!(text, ": {at}");
        cause = at.source();
    }
    text
}

/// Adds what was attempted to an error.
pub(crate) trait Attempt<T> {
    /// Puts `what` before the cause: `cannot read x: no such file`.
    fn attempt(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure::Run(anyhow::Error::new(error).context(what())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_the_attempt() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let failure = Err::<(), _>(missing).attempt(|| "cannot read x".into()).unwrap_err();
        assert_eq!(failure.message().as_deref(), Some("cannot read x: no such file"));
        assert_eq!(failure.code(), 1);
        assert_eq!(Failure::usage("no").code(), 2);
    }

    #[test]
    fn a_broken_pipe_is_silent() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.message().is_none());
        assert_eq!(failure.code(), 141);
        let address = "unix:/s".parse().unwrap();
        let source = io::ErrorKind::BrokenPipe.into();
        let failure = Failure::from(tutti_client::Error::Connect { address, source });
        assert!(failure.is_absence() && failure.code() == 1);
    }
}
