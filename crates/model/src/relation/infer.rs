//! From what an operator wrote to the one relation that is meant.

use tutti_charm::metadata::{Role, Scope};

use super::{EndpointView, Reference};
use crate::{Error, Result};

/// The two ends of a relation to be, or the one end of a peer relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The end that uses the interface; of a peer relation its only end.
    pub requirer: EndpointView,
    /// The end that offers it; none for peers.
    pub provider: Option<EndpointView>,
}

impl Pair {
    /// The relation an application's units have with each other.
    #[must_use]
    pub fn peer(endpoint: EndpointView) -> Self {
        Self { requirer: endpoint, provider: None }
    }

    /// The relation's key: `app:endpoint app:endpoint`, requirer first; `app:endpoint` for peers.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.provider {
            Some(provider) => format!("{} {provider}", self.requirer),
            None => self.requirer.to_string(),
        }
    }

    /// The ends, requirer first.
    pub fn ends(&self) -> impl Iterator<Item = &EndpointView> {
        std::iter::once(&self.requirer).chain(&self.provider)
    }

    /// Whether units see only those beside them: one end says so.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.ends().any(|end| end.endpoint.scope == Scope::Container) {
            Scope::Container
        } else {
            Scope::Global
        }
    }

    /// `regular`, `peer` or `subordinate`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (&self.provider, self.scope()) {
            (None, _) => "peer",
            (Some(_), Scope::Container) => "subordinate",
            (Some(_), Scope::Global) => "regular",
        }
    }

    /// The subordinate application that gets a unit beside each unit of the other one.
    #[must_use]
    pub fn subordinate(&self) -> Option<&EndpointView> {
        let ends: Vec<_> = self.ends().collect();
        let principal = ends.iter().any(|end| !end.subordinate);
        if self.scope() == Scope::Container && principal {
            ends.into_iter().find(|end| end.subordinate)
        } else {
            None
        }
    }
}

/// An existing relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its key.
    pub key: String,
    /// Application and endpoint of each end; one for peers.
    pub ends: Vec<(String, String)>,
}

/// Finds the pair of endpoints that two references mean. Each reference comes with the endpoints
/// of its application ([`super::endpoints`]).
///
/// If several pairs fit, those with an implicit endpoint do not count.
///
/// # Errors
///
/// [`Error::NoEndpoint`], [`Error::NoRelation`] or [`Error::AmbiguousRelation`].
pub fn infer(
    left: (&Reference, &[EndpointView]),
    right: (&Reference, &[EndpointView]),
) -> Result<Pair> {
    let lefts = named(left.0, left.1)?;
    let rights = named(right.0, right.1)?;
    let mut pairs = Vec::new();
    for one in &lefts {
        for other in rights.iter().filter(|other| one.fits(other)) {
            let (requirer, provider) = match one.endpoint.role {
                Role::Requirer => (*one, *other),
                Role::Provider | Role::Peer => (*other, *one),
            };
            pairs.push(Pair { requirer: requirer.clone(), provider: Some(provider.clone()) });
        }
    }
    let mut candidates: Vec<_> = pairs.iter().map(Pair::key).collect();
    if pairs.len() > 1 {
        pairs.retain(|pair| !pair.ends().any(|end| end.implicit));
    }
    match pairs.pop() {
        Some(pair) if pairs.is_empty() => Ok(pair),
        None if candidates.is_empty() => Err(Error::NoRelation),
        _ => {
            candidates.sort();
            Err(Error::AmbiguousRelation { names: names(left.0, right.0), candidates })
        }
    }
}

fn named<'a>(
    reference: &Reference,
    endpoints: &'a [EndpointView],
) -> Result<Vec<&'a EndpointView>> {
    let found: Vec<_> =
        (endpoints.iter()).filter(|view| reference.names(&view.application, &view.name)).collect();
    match &reference.endpoint {
        Some(endpoint) if found.is_empty() => Err(Error::NoEndpoint {
            application: reference.application.clone(),
            endpoint: endpoint.clone(),
        }),
        _ => Ok(found),
    }
}

fn names(left: &Reference, right: &Reference) -> String {
    format!("{left} {right}")
}

/// Whether a relation may be added to those its applications have.
///
/// # Errors
///
/// [`Error::RelationExists`] or [`Error::RelationLimit`].
pub fn check_new(pair: &Pair, existing: &[Existing]) -> Result<()> {
    let key = pair.key();
    if existing.iter().any(|relation| relation.key == key) {
        return Err(Error::RelationExists { key });
    }
    for end in pair.ends() {
        let Some(limit) = end.endpoint.limit else { continue };
        let taken = existing
            .iter()
            .flat_map(|relation| &relation.ends)
            .filter(|(application, endpoint)| {
                (application, endpoint) == (&end.application, &end.name)
            })
            .count();
        if u32::try_from(taken).is_ok_and(|taken| taken >= limit) {
            return Err(Error::RelationLimit { key, endpoint: end.to_string(), limit });
        }
    }
    Ok(())
}

/// Finds the existing relation that two references mean; answers its position in `existing`.
///
/// # Errors
///
/// [`Error::RelationNotFound`], [`Error::AmbiguousRelation`], or [`Error::PeerRelation`] if only a
/// peer relation fits.
pub fn find(left: &Reference, right: &Reference, existing: &[Existing]) -> Result<usize> {
    let names_end = |reference: &Reference, end: &(String, String)| reference.names(&end.0, &end.1);
    let fits = |relation: &Existing| match relation.ends.as_slice() {
        [one, other] => {
            (names_end(left, one) && names_end(right, other))
                || (names_end(left, other) && names_end(right, one))
        }
        _ => false,
    };
    let found: Vec<_> = (0..existing.len()).filter(|index| fits(&existing[*index])).collect();
    if let [only] = found.as_slice() {
        return Ok(*only);
    }
    if found.is_empty() {
        let peer = existing.iter().find(|relation| match relation.ends.as_slice() {
            [end] => names_end(left, end) && names_end(right, end),
            _ => false,
        });
        return Err(match peer {
            Some(peer) => Error::PeerRelation { key: peer.key.clone() },
            None => Error::RelationNotFound { names: names(left, right) },
        });
    }
    let mut candidates: Vec<_> = found.iter().map(|index| existing[*index].key.clone()).collect();
    candidates.sort();
    Err(Error::AmbiguousRelation { names: names(left, right), candidates })
}
