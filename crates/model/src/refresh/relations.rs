//! What becomes of an application's relations.

use tutti_charm::charm::Charm;
use tutti_charm::metadata::{Endpoint, Role};

use super::Current;
use crate::api::RefreshPlan;

pub(super) fn compare(plan: &mut RefreshPlan, old: &Charm, new: &Charm) {
    for (name, endpoint) in new.metadata.endpoints() {
        match old.metadata.endpoint(name) {
            None => plan.endpoints_added.push(name.to_owned()),
            Some(before) if before != endpoint => plan.endpoints_changed.push(name.to_owned()),
            Some(_) => {}
        }
    }
    let gone = old.metadata.endpoints().filter(|(name, _)| new.metadata.endpoint(name).is_none());
    plan.endpoints_removed = gone.map(|(name, _)| name.to_owned()).collect();
    for names in
        [&mut plan.endpoints_added, &mut plan.endpoints_changed, &mut plan.endpoints_removed]
    {
        names.sort();
    }
}

/// Relations the new charm no longer implements, and limits it no longer keeps. Peer relations may
/// come and go.
pub(super) fn refusals(current: &Current<'_>, new: &Charm, force: bool) -> Vec<String> {
    let old = current.charm.charm;
    let mut reasons = Vec::new();
    let implements = |before: &Endpoint, after: &Endpoint| {
        (&before.interface, before.role, before.scope)
            == (&after.interface, after.role, after.scope)
    };
    for relation in current.relations {
        let own = relation.ends.iter().find(|(application, _)| application == current.application);
        let Some((_, endpoint)) = own else { continue };
        let Some(before) = old.metadata.endpoint(endpoint) else { continue };
        let kept = new.metadata.endpoint(endpoint).is_some_and(|after| implements(before, after));
        if before.role != Role::Peer && !kept {
            reasons.push(format!("would break relation {:?}", relation.key));
        }
    }
    for (name, endpoint) in new.metadata.endpoints().filter(|_| !force) {
        let own = (current.application, name);
        let established = current.relations.iter().filter(|relation| {
            relation.ends.iter().any(|end| (end.0.as_str(), end.1.as_str()) == own)
        });
        let established = u32::try_from(established.count()).unwrap_or(u32::MAX);
        if let Some(limit) = endpoint.limit.filter(|limit| established > *limit) {
            reasons.push(format!(
                "new charm version imposes a maximum relation limit of {limit} for {}:{name} which \
                 cannot be satisfied by the number of already established relations ({established})",
                current.application
            ));
        }
    }
    reasons
}
