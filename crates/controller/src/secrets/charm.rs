//! What hooks do with secrets, applied when they are committed.
//!
//! A unit manages its own secrets, and the leader those of its application. Refusals are errors
//! with Juju's texts; nothing else than a missing secret says `not found`, which charms look for.

use tutti_model::agent::{SecretCreate, SecretGrant, SecretRemove, SecretTrack, SecretUpdate};
use tutti_store::Tx;

use super::{Secret, content, revisions, sql};
use crate::Error;
use crate::relations::{self, Member, Touched};

/// A hook created a secret under an id its agent has made.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
    new: &SecretCreate,
    now: i64,
) -> Result<(), Error> {
    if new.application {
        leads(member)?;
    }
    let known = tx.one::<i64>(sql::EXISTS, (&new.id,))? > 0;
    if known || content::bare_id(&new.id) != Some(new.id.as_str()) {
        return Err(Error::Invalid(format!("secret URI {:?} not valid", new.id)));
    }
    let (owner_kind, owner) =
        if new.application { ("application", &member.application) } else { ("unit", &member.unit) };
    let secret = Secret {
        id: new.id.clone(),
        model: model.to_owned(),
        owner_kind: owner_kind.to_owned(),
        owner: owner.clone(),
        name: String::new(),
        label: new.label.clone(),
        description: new.description.clone(),
        rotates: content::next_rotation(&new.rotation, now).map_err(Error::Invalid)?,
        rotation: new.rotation.clone(),
        expiry: new.expiry.clone(),
        auto_prune: false,
        latest: 1,
        created: now,
        updated: now,
    };
    check_label(tx, &secret)?;
    revisions::insert(tx, &secret, &new.content)
}

/// A hook changed a secret.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
    change: &SecretUpdate,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let mut secret = managed(tx, model, member, &change.id)?;
    if let Some(label) = &change.label {
        secret.label.clone_from(label);
        check_label(tx, &secret)?;
    }
    if let Some(description) = &change.description {
        secret.description.clone_from(description);
    }
    if let Some(rotation) = change.rotation.as_deref().filter(|policy| *policy != secret.rotation) {
        secret.rotates = content::next_rotation(rotation, now).map_err(Error::Invalid)?;
        secret.rotation = if rotation == "never" { "" } else { rotation }.to_owned();
    }
    if let Some(expiry) = &change.expiry {
        secret.expiry.clone_from(expiry);
        let expires = content::expires(expiry).map_err(Error::Invalid)?;
        tx.exec(sql::SET_EXPIRES, (&secret.id, secret.latest, expires))?;
    }
    let renewed = match &change.content {
        Some(content) => revisions::renew(tx, &mut secret, content, now)?,
        None => false,
    };
    revisions::write(tx, &secret)?;
    if renewed { revisions::renewed(tx, &secret, touched) } else { Ok(()) }
}

/// A hook removed a secret, or one of its revisions.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
    removal: &SecretRemove,
    touched: &mut Touched,
) -> Result<(), Error> {
    let secret = managed(tx, model, member, &removal.id)?;
    match removal.revision {
        Some(revision) => revisions::remove_revision(tx, &secret, revision, touched),
        None => revisions::remove(tx, &secret, touched),
    }
}

/// A hook granted a secret to the other side of a relation, or to one unit of it.
pub(crate) fn grant(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
    grant: &SecretGrant,
) -> Result<(), Error> {
    let secret = managed(tx, model, member, &grant.id)?;
    let Some(number) = grant.relation else {
        return Err(Error::Invalid("no relation id specified".to_owned()));
    };
    let Some(relation) = relations::find(tx, model, number)? else {
        return Err(Error::NotFound(format!("relation {number} not found")));
    };
    let (kind, target) = grantee(tx, &relation, member, grant)?;
    tx.exec(sql::GRANT, (&secret.id, kind, target, &relation.id))?;
    Ok(())
}

/// A hook took grants back: of one unit, of an application, or of the other side of a relation.
pub(crate) fn revoke(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
    grant: &SecretGrant,
    touched: &mut Touched,
) -> Result<(), Error> {
    let secret = managed(tx, model, member, &grant.id)?;
    let relation = match grant.relation {
        Some(number) => relations::find(tx, model, number)?,
        None => None,
    };
    let target = match (&grant.application, &grant.unit, &relation) {
        (Some(name), None, _) => tx.maybe(sql::APPLICATION_ID, (model, name))?,
        (_, Some(name), _) => tx.maybe(sql::UNIT_ID, (model, name))?,
        (None, None, Some(relation)) => Some(grantee(tx, relation, member, grant)?.1),
        (None, None, None) => None,
    };
    // Whoever is gone has no grant to lose.
    if let Some(target) = target {
        tx.exec(sql::REVOKE, (&secret.id, target))?;
        revisions::access_changed(tx, &secret.id, touched)?;
    }
    Ok(())
}

/// A hook tracks another revision, or labels a secret it consumes.
pub(crate) fn track(
    tx: &mut Tx<'_>,
    member: &Member,
    id: &str,
    track: &SecretTrack,
    touched: &mut Touched,
) -> Result<(), Error> {
    let (unit, application) = (&member.unit, &member.application);
    if tx.one::<i64>(sql::MAY_READ, (unit, application, id))? == 0 {
        // Removed or revoked while the hook ran: there is nothing left to track.
        return Ok(());
    }
    let before: Option<sql::Consumed> = tx.maybe(sql::TRACKED, (id, unit))?;
    let (label, tracked) = before.map_or((String::new(), 0), |row| (row.label, row.tracked));
    let latest = tx.one::<Secret>(sql::ANY_BY_ID, (id,))?.latest;
    let now_tracked = track.revision.unwrap_or(tracked).min(latest);
    let label = track.label.clone().unwrap_or(label);
    tx.exec(sql::TRACK, (id, unit, label, now_tracked))?;
    if tracked != now_tracked && tracked > 0 {
        revisions::access_changed(tx, id, touched)?;
    }
    Ok(())
}

/// Who is granted something over a relation: one unit, or the application at the other end.
fn grantee(
    tx: &mut Tx<'_>,
    relation: &relations::Relation,
    member: &Member,
    grant: &SecretGrant,
) -> Result<(&'static str, String), Error> {
    let remote = relations::other_end(tx, relation, &member.application)?;
    let Some(name) = &grant.unit else { return Ok(("application", remote)) };
    let unit: Option<(String, String)> = tx.maybe(sql::UNIT_OF, (&relation.model, name))?;
    match unit.filter(|(_, application)| *application == remote) {
        Some((unit, _)) => Ok(("unit", unit)),
        None => {
            let text =
                format!("unit {name} is not at the other end of relation {}", relation.number);
            Err(Error::Invalid(text))
        }
    }
}

/// The secret, if the unit may manage it.
fn managed(tx: &mut Tx<'_>, model: &str, member: &Member, id: &str) -> Result<Secret, Error> {
    let secret: Secret = tx
        .maybe(sql::BY_ID, (model, id))?
        .ok_or_else(|| Error::NotFound(format!("secret \"{id}\" not found")))?;
    if secret.owner == member.unit {
        return Ok(secret);
    }
    if secret.owner == member.application {
        leads(member)?;
        return Ok(secret);
    }
    Err(Error::Forbidden("permission denied".to_owned()))
}

fn leads(member: &Member) -> Result<(), Error> {
    if member.leader {
        return Ok(());
    }
    Err(Error::Forbidden("this unit is not the leader".to_owned()))
}

fn check_label(tx: &mut Tx<'_>, secret: &Secret) -> Result<(), Error> {
    if secret.label.is_empty() {
        return Ok(());
    }
    let row = (&secret.model, &secret.owner, &secret.label, &secret.id);
    if tx.one::<i64>(sql::LABELLED, row)? > 0 {
        return Err(Error::Conflict(format!(
            "secret with label {:?} already exists",
            secret.label
        )));
    }
    Ok(())
}
