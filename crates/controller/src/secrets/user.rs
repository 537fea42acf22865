//! What operators do with secrets.
//!
//! A user's secret belongs to the model, has a name, and is granted to applications.

use tutti_model::api::{SecretAdd, SecretChange};
use tutti_store::Tx;

use super::{Secret, content, revisions, sql};
use crate::models::Model;
use crate::relations::Touched;
use crate::{Error, applications};

/// The secret with this name, or this id in any of its forms.
pub(super) fn find(tx: &mut Tx<'_>, model: &Model, secret: &str) -> Result<Secret, Error> {
    let mut found = tx.maybe(sql::BY_NAME, (&model.id, secret))?;
    if let (None, Some(id)) = (&found, content::bare_id(secret)) {
        found = tx.maybe(sql::BY_ID, (&model.id, id))?;
    }
    found.ok_or_else(|| Error::NotFound(format!("secret \"{secret}\" not found")))
}

/// Every secret of a model, users' and charms', oldest first.
pub(super) fn list(tx: &mut Tx<'_>, model: &Model) -> Result<Vec<Secret>, Error> {
    Ok(tx.all(sql::LIST, (&model.id,))?)
}

/// Adds a user's secret.
pub(super) fn add(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &SecretAdd,
    now: i64,
) -> Result<Secret, Error> {
    check_name(tx, model, &request.name)?;
    let secret = Secret {
        id: content::new_id(now)?,
        model: model.id.clone(),
        owner_kind: "model".to_owned(),
        owner: model.id.clone(),
        name: request.name.clone(),
        label: String::new(),
        description: request.description.clone(),
        rotation: String::new(),
        expiry: String::new(),
        auto_prune: false,
        latest: 1,
        rotates: None,
        created: now,
        updated: now,
    };
    revisions::insert(tx, &secret, &request.content)?;
    Ok(secret)
}

/// Changes a user's secret; content that differs is a new revision.
pub(super) fn change(
    tx: &mut Tx<'_>,
    model: &Model,
    secret: &str,
    request: &SecretChange,
    now: i64,
    touched: &mut Touched,
) -> Result<Secret, Error> {
    let mut secret = find_owned(tx, model, secret)?;
    if let Some(name) = request.name.as_ref().filter(|name| **name != secret.name) {
        check_name(tx, model, name)?;
        secret.name.clone_from(name);
    }
    if let Some(description) = &request.description {
        secret.description.clone_from(description);
    }
    if let Some(auto_prune) = request.auto_prune {
        secret.auto_prune = auto_prune;
    }
    let renewed = match &request.content {
        Some(content) => revisions::renew(tx, &mut secret, content, now)?,
        None => false,
    };
    revisions::write(tx, &secret)?;
    if renewed {
        revisions::renewed(tx, &secret, touched)?;
    } else {
        revisions::obsoleted(tx, &secret, touched)?;
    }
    Ok(secret)
}

/// Removes a user's secret, or one of its revisions.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    secret: &str,
    revision: Option<i64>,
    touched: &mut Touched,
) -> Result<(), Error> {
    let secret = find_owned(tx, model, secret)?;
    match revision {
        Some(revision) => revisions::remove_revision(tx, &secret, revision, touched),
        None => revisions::remove(tx, &secret, touched),
    }
}

/// Lets applications read a user's secret. The grant itself wakes nobody (Juju).
pub(super) fn grant(
    tx: &mut Tx<'_>,
    model: &Model,
    secret: &str,
    applications: &[String],
) -> Result<(), Error> {
    let secret = find_owned(tx, model, secret)?;
    for name in applications {
        let application = applications::find(tx, model, name)?;
        tx.exec(sql::GRANT, (&secret.id, "application", application.id, ""))?;
    }
    Ok(())
}

/// Takes grants back.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    model: &Model,
    secret: &str,
    applications: &[String],
    touched: &mut Touched,
) -> Result<(), Error> {
    let secret = find_owned(tx, model, secret)?;
    for name in applications {
        let application = applications::find(tx, model, name)?;
        tx.exec(sql::REVOKE, (&secret.id, application.id))?;
    }
    revisions::access_changed(tx, &secret.id, touched)
}

/// The user's secret; charms' secrets are theirs to change.
fn find_owned(tx: &mut Tx<'_>, model: &Model, secret: &str) -> Result<Secret, Error> {
    let found = find(tx, model, secret)?;
    if found.owner_kind == "model" {
        return Ok(found);
    }
    Err(Error::Forbidden(format!("secret \"{secret}\" belongs to a charm: permission denied")))
}

fn check_name(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if name.is_empty() || name.len() > 200 || !name.chars().all(fits) {
        return Err(Error::Invalid(format!(
            "secret name {name:?} not valid: use letters, digits, hyphens, dots and underscores"
        )));
    }
    if tx.maybe::<Secret>(sql::BY_NAME, (&model.id, name))?.is_some() {
        return Err(Error::Conflict(format!("secret with name {name:?} already exists")));
    }
    Ok(())
}
