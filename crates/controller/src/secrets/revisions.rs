//! Revisions: new ones, obsolete ones, and the end of a secret.

use std::collections::BTreeMap;

use tutti_store::Tx;

use super::{Secret, content, sql};
use crate::Error;
use crate::relations::Touched;

/// Writes a new secret with its first revision.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    secret: &Secret,
    content: &BTreeMap<String, String>,
) -> Result<(), Error> {
    content::check(content).map_err(Error::Invalid)?;
    let row = (
        &secret.id,
        &secret.model,
        &secret.owner_kind,
        &secret.owner,
        &secret.name,
        &secret.label,
        &secret.description,
        &secret.rotation,
        &secret.expiry,
        secret.auto_prune,
        secret.latest,
        secret.rotates,
        secret.created,
        secret.updated,
    );
    tx.exec(sql::INSERT, row)?;
    let expires = content::expires(&secret.expiry).map_err(Error::Invalid)?;
    let row = (&secret.id, secret.latest, json(content)?, expires, secret.created);
    tx.exec(sql::INSERT_REVISION, row)?;
    Ok(())
}

/// Gives a secret new content: the next revision, unless it holds the same. Consumers and the owner
/// of what becomes obsolete must react. The caller writes the secret with [`write`].
pub(super) fn renew(
    tx: &mut Tx<'_>,
    secret: &mut Secret,
    content: &BTreeMap<String, String>,
    now: i64,
) -> Result<bool, Error> {
    content::check(content).map_err(Error::Invalid)?;
    let content = json(content)?;
    let before: Option<sql::Content> = tx.maybe(sql::CONTENT, (&secret.id, secret.latest))?;
    if before.is_some_and(|before| before.content == content) {
        return Ok(false);
    }
    secret.latest += 1;
    secret.updated = now;
    let expires = content::expires(&secret.expiry).map_err(Error::Invalid)?;
    tx.exec(sql::INSERT_REVISION, (&secret.id, secret.latest, content, expires, now))?;
    Ok(true)
}

/// Writes what can change of a secret.
pub(super) fn write(tx: &mut Tx<'_>, secret: &Secret) -> Result<(), Error> {
    let row = (
        &secret.id,
        &secret.name,
        &secret.label,
        &secret.description,
        &secret.rotation,
        &secret.expiry,
        secret.auto_prune,
        secret.latest,
        secret.rotates,
        secret.updated,
    );
    tx.exec(sql::UPDATE, row)?;
    Ok(())
}

/// There is a new revision: those who consume the secret must hear of it.
pub(super) fn renewed(
    tx: &mut Tx<'_>,
    secret: &Secret,
    touched: &mut Touched,
) -> Result<(), Error> {
    touched.extend(tx.all::<String>(sql::CONSUMERS, (&secret.id,))?);
    obsoleted(tx, secret, touched)
}

/// Some revisions may have become obsolete: they go if the secret is pruned, else the owner hears
/// of them.
pub(super) fn obsoleted(
    tx: &mut Tx<'_>,
    secret: &Secret,
    touched: &mut Touched,
) -> Result<(), Error> {
    let obsolete: Vec<i64> = tx.all(sql::OBSOLETE, (&secret.id,))?;
    if obsolete.is_empty() {
        return Ok(());
    }
    if secret.owner_kind != "model" {
        touched.extend(tx.maybe::<Option<String>>(sql::OWNER_UNIT, (&secret.id,))?.flatten());
    } else if secret.auto_prune {
        for revision in obsolete {
            tx.exec(sql::REMOVE_REVISION, (&secret.id, revision))?;
        }
    }
    Ok(())
}

/// Somebody may have lost access to a secret: units without access stop tracking it.
pub(super) fn access_changed(
    tx: &mut Tx<'_>,
    id: &str,
    touched: &mut Touched,
) -> Result<(), Error> {
    let lost: Vec<String> = tx.all(sql::WITHOUT_ACCESS, (id,))?;
    for unit in &lost {
        tx.exec(sql::FORGET, (id, unit))?;
    }
    touched.extend(lost);
    let secret = tx.maybe::<Secret>(sql::ANY_BY_ID, (id,))?;
    secret.map_or(Ok(()), |secret| obsoleted(tx, &secret, touched))
}

/// Removes a secret whole; those who consume it must hear of it.
pub(super) fn remove(tx: &mut Tx<'_>, secret: &Secret, touched: &mut Touched) -> Result<(), Error> {
    touched.extend(tx.all::<String>(sql::CONSUMERS, (&secret.id,))?);
    touched.extend(tx.maybe::<Option<String>>(sql::OWNER_UNIT, (&secret.id,))?.flatten());
    for statement in [sql::REMOVE_CONSUMERS, sql::REMOVE_GRANTS, sql::REMOVE_REVISIONS, sql::REMOVE]
    {
        tx.exec(statement, (&secret.id,))?;
    }
    Ok(())
}

/// Removes one revision; the last one takes the secret with it.
pub(super) fn remove_revision(
    tx: &mut Tx<'_>,
    secret: &Secret,
    revision: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    if tx.exec(sql::REMOVE_REVISION, (&secret.id, revision))? == 0 {
        let text = format!("secret \"{}\" revision {revision} not found", secret.id);
        return Err(Error::NotFound(text));
    }
    let left: Vec<sql::Revision> = tx.all(sql::REVISIONS, (&secret.id,))?;
    if left.is_empty() {
        return remove(tx, secret, touched);
    }
    Ok(())
}

fn json(content: &BTreeMap<String, String>) -> Result<String, Error> {
    serde_json::to_string(content)
        .map_err(|source| Error::Stored { what: "a secret's content", source })
}
