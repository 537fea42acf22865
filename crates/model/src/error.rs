//! The one error type of this crate.

use thiserror::Error;

/// Why something is refused. The texts are for people; where Juju has one, it is Juju's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A unit's journal contradicts itself.
    #[error("impossible journal: {problem}")]
    Journal {
        /// The contradiction.
        problem: &'static str,
    },
    /// A word for an endpoint is neither `application` nor `application:endpoint`.
    #[error("invalid endpoint {text:?}: write an application, or application:endpoint")]
    EndpointText {
        /// The word.
        text: String,
    },
    /// An application has no such endpoint.
    #[error("application {application:?} has no {endpoint:?} relation")]
    NoEndpoint {
        /// The application.
        application: String,
        /// The endpoint.
        endpoint: String,
    },
    /// No two endpoints of two applications fit.
    #[error("no relations found")]
    NoRelation,
    /// More than one relation is meant.
    #[error("ambiguous relation: {names:?} could refer to {}", quoted(candidates))]
    AmbiguousRelation {
        /// What was asked for.
        names: String,
        /// Keys of the relations it could be.
        candidates: Vec<String>,
    },
    /// The relation is there.
    #[error("cannot add relation {key:?}: relation {key} already exists")]
    RelationExists {
        /// The relation's key.
        key: String,
    },
    /// An endpoint takes no more relations.
    #[error(
        "cannot add relation {key:?}: establishing a new relation for {endpoint} would exceed its \
         maximum relation limit of {limit}"
    )]
    RelationLimit {
        /// The relation's key.
        key: String,
        /// `application:endpoint`.
        endpoint: String,
        /// The most relations it takes.
        limit: u32,
    },
    /// There is no such relation.
    #[error("relation matching {names:?} not found")]
    RelationNotFound {
        /// What was asked for.
        names: String,
    },
    /// Peer relations live and die with their application.
    #[error(
        "cannot remove relation {key:?}: it is a peer relation, which goes with its application"
    )]
    PeerRelation {
        /// The relation's key.
        key: String,
    },
    /// A constraint nobody knows.
    #[error("unknown constraint {key:?}")]
    UnknownConstraint {
        /// The constraint.
        key: String,
    },
    /// Text that cannot be read.
    #[error("bad {what}: {text:?} is not {expected}")]
    Malformed {
        /// What it stands for, such as `"mem" constraint`.
        what: String,
        /// The text.
        text: String,
        /// What is expected.
        expected: &'static str,
    },
    /// Something Juju can do and Tutti cannot.
    #[error("{what} {text:?} is not supported: {instead}")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// As it was given.
        text: String,
        /// What to do instead.
        instead: &'static str,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn quoted(keys: &[String]) -> String {
    keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join("; ")
}
