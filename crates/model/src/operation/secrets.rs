//! Which secret hook is due.

use crate::agent::{Hook, SecretHook, Snapshot};

/// The next secret hook: expired, then rotation, then newer revisions of consumed secrets, then
/// obsolete revisions of owned ones.
pub(super) fn next_secret_hook(snapshot: &Snapshot) -> Option<Hook> {
    (snapshot.secrets_expired.first().cloned().map(Hook::SecretExpired))
        .or_else(|| snapshot.secrets_rotate.first().cloned().map(Hook::SecretRotate))
        .or_else(|| changed(snapshot).map(Hook::SecretChanged))
        .or_else(|| obsolete(snapshot).map(Hook::SecretRemove))
}

/// A consumed secret whose newest revision is neither tracked nor announced yet.
fn changed(snapshot: &Snapshot) -> Option<SecretHook> {
    let announced = &snapshot.journal.secrets_consumed;
    let (id, secret) = snapshot.secrets_consumed.iter().find(|(id, secret)| {
        secret.tracked < secret.latest && announced.get(*id) != Some(&secret.latest)
    })?;
    Some(SecretHook { secret: id.clone(), label: secret.label.clone(), revision: secret.latest })
}

/// A revision nobody tracks that the owner has not been told of.
fn obsolete(snapshot: &Snapshot) -> Option<SecretHook> {
    let announced = |id: &String, revision: &i64| {
        snapshot.journal.secrets_obsolete.get(id).is_some_and(|told| told.contains(revision))
    };
    snapshot.secrets_obsolete.iter().find_map(|(id, revisions)| {
        let revision = *revisions.iter().find(|revision| !announced(id, revision))?;
        Some(SecretHook { secret: id.clone(), label: String::new(), revision })
    })
}

/// Whether a queued or failed secret hook still has a reason: the secret exists and, for a secret
/// of the application, this unit still leads.
pub(super) fn still_due(snapshot: &Snapshot, hook: &Hook) -> bool {
    let listed = |due: &[SecretHook], hook: &SecretHook| {
        due.iter().any(|other| (&other.secret, other.revision) == (&hook.secret, hook.revision))
    };
    match hook {
        Hook::SecretExpired(hook) => listed(&snapshot.secrets_expired, hook),
        Hook::SecretRotate(hook) => listed(&snapshot.secrets_rotate, hook),
        Hook::SecretChanged(hook) => snapshot.secrets_consumed.contains_key(&hook.secret),
        Hook::SecretRemove(hook) => (snapshot.secrets_obsolete.get(&hook.secret))
            .is_some_and(|revisions| revisions.contains(&hook.revision)),
        _ => true,
    }
}
