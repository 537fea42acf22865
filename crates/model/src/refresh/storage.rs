//! What becomes of an application's storage.

use std::fmt::Display;

use tutti_charm::charm::Charm;
use tutti_charm::metadata::{Multiple, Storage, StorageKind};

use super::Current;
use crate::api::{ModelKind, Refresh, RefreshPlan};
use crate::application::check_storage;

pub(super) fn compare(plan: &mut RefreshPlan, old: &Charm, new: &Charm) {
    let (before, after) = (&old.metadata.storage, &new.metadata.storage);
    plan.storage_added = after.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
    plan.storage_removed =
        before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
}

pub(super) fn refusals(current: &Current<'_>, new: &Charm, request: &Refresh) -> Vec<String> {
    let (before, after) = (&current.charm.charm.metadata.storage, &new.metadata.storage);
    let mut reasons = Vec::new();
    if current.kind == ModelKind::Caas && before != after {
        reasons.push("storage cannot change on a Kubernetes-like model".into());
    }
    for (name, old) in before {
        match after.get(name) {
            Some(new) => compatible(&mut reasons, name, old, new),
            None if old.multiple.min > 0 => {
                reasons.push(format!("required storage {name:?} removed"));
            }
            None if current.storage.get(name).is_some_and(|count| *count > 0) => {
                reasons.push(format!("in-use storage {name:?} removed"));
            }
            None => {}
        }
    }
    let (_, refused) = check_storage(new.name(), after, &request.storage, false);
    reasons.extend(refused);
    reasons
}

/// Whether storage that exists fits what the new charm says of it.
fn compatible(reasons: &mut Vec<String>, name: &str, old: &Storage, new: &Storage) {
    let mut changed = |what: &str, before: &dyn Display, after: &dyn Display| {
        let (before, after) = (before.to_string(), after.to_string());
        if before != after {
            let text =
                format!("existing storage {name:?} {what} changed from {before:?} to {after:?}");
            reasons.push(text);
        }
    };
    let location = |storage: &Storage| storage.location.clone().unwrap_or_default();
    changed("type", &kind(old.kind), &kind(new.kind));
    changed("shared", &old.shared, &new.shared);
    changed("read-only", &old.read_only, &new.read_only);
    changed("location", &location(old), &location(new));
    let (before, after) = (old.multiple, new.multiple);
    let mut contracted = |what: String| {
        reasons.push(format!("existing storage {name:?} range contracted: {what}"));
    };
    if after.min > before.min {
        contracted(format!("min increased from {} to {}", before.min, after.min));
    }
    if let Some(most) = after.max
        && before.max.is_none_or(|before| before > most)
    {
        let unbounded = || "<unbounded>".to_owned();
        let before = before.max.map_or_else(unbounded, |most| most.to_string());
        contracted(format!("max decreased from {before} to {most}"));
    }
    let single = |multiple: Multiple| multiple.max == Some(1);
    if old.location.is_some() && single(before) && !single(after) {
        reasons.push(format!(
            "existing storage {name:?} with location changed from single to multiple"
        ));
    }
}

fn kind(kind: StorageKind) -> &'static str {
    match kind {
        StorageKind::Filesystem => "filesystem",
        StorageKind::Block => "block",
    }
}
