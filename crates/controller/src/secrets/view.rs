//! What a unit sees of secrets, and what an operator does.

use std::collections::BTreeMap;

use tutti_model::agent::{ConsumedSecret, ContextSecret, SecretAccess, SecretHook};
use tutti_model::api::{SecretContent, SecretInfo, SecretInfoAccess, SecretRevision};
use tutti_store::Tx;

use super::{Secret, content, sql, user};
use crate::models::Model;
use crate::relations::Member;
use crate::{Error, time};

/// The part of a unit's snapshot that is about secrets.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Due for rotation.
    pub(crate) rotate: Vec<SecretHook>,
    /// Expired revisions.
    pub(crate) expired: Vec<SecretHook>,
    /// Consumed secrets by id.
    pub(crate) consumed: BTreeMap<String, ConsumedSecret>,
    /// Obsolete revisions of managed secrets by id.
    pub(crate) obsolete: BTreeMap<String, Vec<i64>>,
}

/// What the agent decides from. A unit manages its own secrets, the leader those of the
/// application too.
pub(crate) fn snapshot(tx: &mut Tx<'_>, member: &Member, now: i64) -> Result<Secrets, Error> {
    let mut secrets = Secrets::default();
    let application = if member.leader { member.application.as_str() } else { "" };
    for row in tx.all::<sql::Managed>(sql::MANAGED, (&member.unit, application))? {
        let hook = |revision| SecretHook {
            secret: row.secret.clone(),
            label: row.label.clone(),
            revision,
        };
        if row.revision == row.latest && row.rotates.is_some_and(|rotates| rotates <= now) {
            secrets.rotate.push(hook(row.latest));
        }
        if row.expires.is_some_and(|expires| expires <= now) {
            secrets.expired.push(hook(row.revision));
        }
        let obsolete = secrets.obsolete.entry(row.secret.clone()).or_default();
        if row.revision < row.latest && !row.tracked {
            obsolete.push(row.revision);
        }
    }
    let managed = &secrets.obsolete;
    for row in tx.all::<sql::Consumed>(sql::CONSUMED, (&member.unit, &member.application))? {
        if !managed.contains_key(&row.secret) {
            let consumed =
                ConsumedSecret { latest: row.latest, tracked: row.tracked, label: row.label };
            secrets.consumed.insert(row.secret, consumed);
        }
    }
    Ok(secrets)
}

/// What a hook's tools read: every secret the unit may read, with the content of the latest and of
/// the tracked revision.
pub(crate) fn context(
    tx: &mut Tx<'_>,
    model: &str,
    member: &Member,
) -> Result<BTreeMap<String, ContextSecret>, Error> {
    let key = (&member.unit, &member.application);
    let secrets: Vec<Secret> = tx.all(sql::READABLE, key)?;
    if secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let owners: BTreeMap<String, String> =
        tx.all::<(String, String)>(sql::OWNER_NAMES, (model,))?.into_iter().collect();
    let mut seen: BTreeMap<String, ContextSecret> =
        secrets.into_iter().map(|one| (one.id.clone(), readable(one, member, &owners))).collect();
    for row in tx.all::<sql::Content>(sql::READABLE_CONTENT, key)? {
        if let Some(secret) = seen.get_mut(&row.secret) {
            secret.revisions.insert(row.revision, parse(&row.content)?);
        }
    }
    for row in tx.all::<sql::Consumed>(sql::CONSUMER_OF, (&member.unit,))? {
        if let Some(secret) = seen.get_mut(&row.secret) {
            secret.tracked = row.tracked;
            // The owner's own label comes before the one it gave as a consumer.
            if !row.label.is_empty() && (!secret.owned || secret.label.is_empty()) {
                secret.label = row.label;
            }
        }
    }
    for grant in tx.all::<sql::Grant>(sql::GRANTS_OF_OWNER, key)? {
        if let Some(secret) = seen.get_mut(&grant.secret) {
            let (target, scope) = (target(&grant), scope(grant.relation.as_deref(), model));
            secret.access.push(SecretAccess { target, scope, role: "view".to_owned() });
        }
    }
    Ok(seen)
}

fn readable(secret: Secret, member: &Member, owners: &BTreeMap<String, String>) -> ContextSecret {
    let owned = secret.owner == member.unit || secret.owner == member.application;
    let owner = if owned || secret.owner_kind == "model" {
        secret.owner_kind
    } else {
        owners.get(&secret.owner).cloned().unwrap_or_default()
    };
    ContextSecret {
        owner,
        owned,
        label: if owned { secret.label } else { String::new() },
        description: secret.description,
        rotation: if secret.rotation.is_empty() { "never".to_owned() } else { secret.rotation },
        expiry: secret.expiry,
        latest: secret.latest,
        ..ContextSecret::default()
    }
}

/// What an operator wants to see of a secret.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// The content too: of this revision, of the latest for 0.
    pub(crate) reveal: Option<i64>,
    /// All revisions too.
    pub(crate) revisions: bool,
}

/// A secret as `show-secret` prints it.
pub(crate) fn info(tx: &mut Tx<'_>, secret: Secret, wanted: Wanted) -> Result<SecretInfo, Error> {
    let latest: Option<sql::Content> = tx.maybe(sql::CONTENT, (&secret.id, secret.latest))?;
    let grants: Vec<sql::Grant> = tx.all(sql::GRANTS_OF_SECRET, (&secret.id,))?;
    let access = |grant: &sql::Grant| SecretInfoAccess {
        target: target(grant),
        scope: scope(grant.relation.as_deref(), &secret.model),
        role: "view".to_owned(),
    };
    let mut info = SecretInfo {
        checksum: latest.map(|latest| content::checksum(&latest.content)).unwrap_or_default(),
        expires: (!secret.expiry.is_empty()).then(|| secret.expiry.clone()),
        rotation: (!secret.rotation.is_empty()).then(|| secret.rotation.clone()),
        rotates: secret.rotates.map(time::rfc3339),
        owner: match secret.owner_kind.as_str() {
            "model" => "<model>".to_owned(),
            _ => tx.maybe(sql::OWNER_NAME, (&secret.owner,))?.unwrap_or_default(),
        },
        access: grants.iter().map(access).collect(),
        created: time::rfc3339(secret.created),
        updated: time::rfc3339(secret.updated),
        revision: secret.latest,
        ..SecretInfo::default()
    };
    if wanted.revisions {
        let rows: Vec<sql::Revision> = tx.all(sql::REVISIONS, (&secret.id,))?;
        info.revisions = rows.into_iter().map(revision).collect();
    }
    if let Some(number) = wanted.reveal {
        let number = if number == 0 { secret.latest } else { number };
        info.content = Some(revealed(tx, &secret, number)?);
    }
    info.id = secret.id;
    info.name = secret.name;
    info.label = secret.label;
    info.description = secret.description;
    Ok(info)
}

/// A secret by name or id as an operator sees it, its content excepted.
pub(crate) fn shown(tx: &mut Tx<'_>, model: &Model, secret: &str) -> Result<SecretInfo, Error> {
    let secret = user::find(tx, model, secret)?;
    info(tx, secret, Wanted::default())
}

fn revision(row: sql::Revision) -> SecretRevision {
    SecretRevision {
        revision: row.revision,
        backend: "internal".to_owned(),
        created: time::rfc3339(row.created),
        updated: time::rfc3339(row.updated),
    }
}

fn revealed(tx: &mut Tx<'_>, secret: &Secret, revision: i64) -> Result<SecretContent, Error> {
    let row: Option<sql::Content> = tx.maybe(sql::CONTENT, (&secret.id, revision))?;
    let row = row.ok_or_else(|| {
        Error::NotFound(format!("secret \"{}\" revision {revision} not found", secret.id))
    })?;
    Ok(SecretContent { data: parse(&row.content)? })
}

/// `application-NAME`, `unit-NAME-N`.
fn target(grant: &sql::Grant) -> String {
    format!("{}-{}", grant.target_kind, grant.target.replace('/', "-"))
}

/// `relation-web.db#pg.server`, or the model for users' grants.
fn scope(relation: Option<&str>, model: &str) -> String {
    relation.map_or_else(
        || format!("model-{model}"),
        |key| format!("relation-{}", key.replace(':', ".").replace(' ', "#")),
    )
}

fn parse(content: &str) -> Result<BTreeMap<String, String>, Error> {
    serde_json::from_str(content)
        .map_err(|source| Error::Stored { what: "a secret's content", source })
}
