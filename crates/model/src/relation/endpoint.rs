//! One end of a relation.

use std::fmt;
use std::str::FromStr;

use tutti_charm::metadata::{Endpoint, JUJU_INFO, Metadata, Role, Scope};

use crate::{Error, Result};

/// An application's endpoint, as the rules of relations see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The application.
    pub application: String,
    /// Whether the application is a subordinate.
    pub subordinate: bool,
    /// The endpoint's name.
    pub name: String,
    /// Interface, role, scope and limit.
    pub endpoint: Endpoint,
    /// Provided by every charm without being declared: no hooks.
    pub implicit: bool,
}

/// Every endpoint of an application that can be related to another application's: all but peers,
/// and the implicit `juju-info`.
#[must_use]
pub fn endpoints(application: &str, metadata: &Metadata) -> Vec<EndpointView> {
    views(application, metadata).filter(|view| view.endpoint.role != Role::Peer).collect()
}

/// The peer endpoints of an application: each is a relation of its own from the beginning.
#[must_use]
pub fn peers(application: &str, metadata: &Metadata) -> Vec<EndpointView> {
    views(application, metadata).filter(|view| view.endpoint.role == Role::Peer).collect()
}

fn views<'a>(
    application: &'a str,
    metadata: &'a Metadata,
) -> impl Iterator<Item = EndpointView> + 'a {
    metadata.endpoints().map(move |(name, endpoint)| EndpointView {
        application: application.to_owned(),
        subordinate: metadata.subordinate,
        name: name.to_owned(),
        endpoint: endpoint.clone(),
        implicit: name == JUJU_INFO
            && endpoint.interface == JUJU_INFO
            && endpoint.role == Role::Provider,
    })
}

impl EndpointView {
    /// Whether two endpoints can be related: different applications, same interface, opposite
    /// roles, and if units relate only within one machine, at least one of them a subordinate.
    #[must_use]
    pub fn fits(&self, other: &EndpointView) -> bool {
        let contained = [self, other].iter().any(|view| view.endpoint.scope == Scope::Container);
        self.application != other.application
            && self.endpoint.matches(&other.endpoint)
            && (!contained || self.subordinate || other.subordinate)
    }
}

impl fmt::Display for EndpointView {
    /// `application:endpoint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.application, self.name)
    }
}

/// What an operator writes for an end of a relation: `application` or `application:endpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The application.
    pub application: String,
    /// The endpoint, if named.
    pub endpoint: Option<String>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (application, endpoint) = match text.split_once(':') {
            Some((application, endpoint)) => (application, Some(endpoint)),
            None => (text, None),
        };
        if application.is_empty()
            || endpoint.is_some_and(|name| name.is_empty() || name.contains(':'))
        {
            return Err(Error::EndpointText { text: text.to_owned() });
        }
        Ok(Self { application: application.to_owned(), endpoint: endpoint.map(str::to_owned) })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "{}:{endpoint}", self.application),
            None => f.write_str(&self.application),
        }
    }
}

impl Reference {
    /// Whether this end may be meant.
    #[must_use]
    pub fn names(&self, application: &str, endpoint: &str) -> bool {
        self.application == application
            && self.endpoint.as_deref().is_none_or(|name| name == endpoint)
    }
}
