//! The one error type of this crate.
//!
//! A variant says what was being done and to what; what went wrong underneath is its `source`. Print the whole
//! chain (`anyhow`'s `{:#}`) to see both.

use std::path::PathBuf;

use crate::{archive, digest, python, yaml};

/// What can go wrong while reading, checking, packing or placing a charm.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name does not have the form its kind asks for.
    #[error("invalid {kind} name {name:?}: {rule}")]
    Name {
        /// What the name names: `application`, `unit`, `endpoint` …
        kind: &'static str,
        /// The name as given.
        name: String,
        /// What a valid name looks like.
        rule: &'static str,
    },

    /// A file of the charm is not YAML, or not of the expected shape.
    #[error("cannot read {file}")]
    Yaml {
        /// Path inside the charm, such as `metadata.yaml`.
        file: String,
        /// Where and why.
        #[source]
        source: yaml::Fault,
    },

    /// A file of the charm was read but contradicts itself or the rules; every problem found is listed.
    #[error("{file} is not valid: {}", problems.join("; "))]
    Invalid {
        /// Path inside the charm, such as `metadata.yaml`.
        file: String,
        /// All problems, in the order of the file.
        problems: Vec<String>,
    },

    /// The charm has no file that says what it is.
    #[error("{} is no charm: it has neither metadata.yaml nor charmcraft.yaml", path.display())]
    NotACharm {
        /// The directory or archive.
        path: PathBuf,
    },

    /// Juju: `unknown option "x"`.
    #[error("unknown option {key:?}")]
    UnknownOption {
        /// The configuration key that the charm does not declare.
        key: String,
    },

    /// Juju: `option "x" expected int, got "abc"`.
    #[error("option {key:?} expected {expected}, got {got}")]
    OptionType {
        /// The configuration key.
        key: String,
        /// The type the charm declares for it.
        expected: &'static str,
        /// The value given; text in double quotes, anything else as JSON.
        got: String,
    },

    /// The parameters of an action do not fit its schema; every problem found is listed.
    #[error("invalid parameters for action {action:?}: {}", problems.join("; "))]
    ActionParameters {
        /// The action.
        action: String,
        /// All problems, each naming its parameter.
        problems: Vec<String>,
    },

    /// Text is not a SHA-256 digest.
    #[error("invalid digest {text:?}")]
    Digest {
        /// The text given.
        text: String,
        /// Why not.
        #[source]
        source: digest::Malformed,
    },

    /// An archive was refused or could not be read.
    #[error("cannot use archive {}", archive.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// Why, naming the entry concerned.
        #[source]
        source: archive::Fault,
    },

    /// A Python charm could not be made ready to run.
    #[error("cannot prepare {}", directory.display())]
    Prepare {
        /// The charm's source directory.
        directory: PathBuf,
        /// Why, and what to do about it.
        #[source]
        source: python::Problem,
    },

    /// The operating system refused a step.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The step: `read`, `create`, `rename` …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// For `map_err`: an [`Error::Io`] that says which step failed on which path.
pub(crate) fn io(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}
