//! Relations are created, removed, and gone.

use serde_json::json;
use tutti_charm::metadata::{Metadata, Scope};
use tutti_model::api::Life;
use tutti_store::{Json, Tx};
use uuid::Uuid;

use super::{Relation, Touched, sql};
use crate::units::Removal;
use crate::{Error, applications, flows, models, secrets, sequence, units};

/// A relation to be created.
pub(super) struct NewRelation<'a> {
    pub(super) key: &'a str,
    pub(super) interface: &'a str,
    pub(super) scope: &'a str,
    pub(super) kind: &'a str,
    pub(super) sides: &'a [NewSide<'a>],
}

/// One end of a relation to be created.
pub(super) struct NewSide<'a> {
    /// Id of the application.
    pub(super) application: &'a str,
    pub(super) endpoint: &'a str,
    pub(super) role: &'a str,
    pub(super) implicit: bool,
}

/// Creates a relation; the units of both ends must react.
pub(super) fn create(
    tx: &mut Tx<'_>,
    model: &str,
    new: &NewRelation<'_>,
    now: i64,
    touched: &mut Touched,
) -> Result<Relation, Error> {
    let next: i64 = tx.one(sql::NEXT_NUMBER, (model,))?;
    let relation = Relation {
        id: Uuid::now_v7().to_string(),
        model: model.to_owned(),
        number: next - 1,
        key: new.key.to_owned(),
        interface: new.interface.to_owned(),
        scope: new.scope.to_owned(),
        kind: new.kind.to_owned(),
        life: Json(Life::Alive),
        status: "joining".to_owned(),
        force_at: None,
    };
    let (id, life) = (&relation.id, relation.life);
    let row = (id, model, next - 1, new.key, new.interface, new.scope, new.kind, life, now);
    tx.exec(sql::INSERT, row)?;
    for side in new.sides {
        let row = (id, side.application, side.endpoint, side.role, side.implicit);
        tx.exec(sql::INSERT_SIDE, row)?;
    }
    touched.extend(tx.all::<String>(sql::UNITS_OF_SIDES, (id,))?);
    announce(tx, &relation, "created")?;
    Ok(relation)
}

/// Creates the peer relations of a new application.
pub(crate) fn create_peers(
    tx: &mut Tx<'_>,
    model: &str,
    application: &str,
    name: &str,
    metadata: &Metadata,
    now: i64,
) -> Result<(), Error> {
    sync_peers(tx, model, (application, name), metadata, now, &mut Touched::new())
}

/// Makes an application's peer relations those its charm declares: after a refresh, new endpoints
/// get theirs and dropped ones lose them. The application is given by id and name.
pub(crate) fn sync_peers(
    tx: &mut Tx<'_>,
    model: &str,
    (application, name): (&str, &str),
    metadata: &Metadata,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let relations: Vec<Relation> = tx.all(sql::OF_APPLICATION, (application,))?;
    let key = |endpoint: &str| format!("{name}:{endpoint}");
    for relation in relations.iter().filter(|relation| relation.kind == "peer") {
        if !metadata.peers.keys().any(|endpoint| key(endpoint) == relation.key) {
            remove(tx, relation, None, now, touched)?;
        }
    }
    for (endpoint, declared) in &metadata.peers {
        let key = key(endpoint);
        if relations.iter().any(|relation| relation.key == key) {
            continue;
        }
        let side = NewSide { application, endpoint, role: "peer", implicit: false };
        let new = NewRelation {
            key: &key,
            interface: &declared.interface,
            scope: scope_word(declared.scope),
            kind: "peer",
            sides: &[side],
        };
        create(tx, model, &new, now, touched)?;
    }
    Ok(())
}

/// Begins the removal of a relation; answers whether it is gone already, because no unit was in it
/// or because `force_at` has come, the time when it goes although units have not left.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    relation: &Relation,
    force_at: Option<i64>,
    now: i64,
    touched: &mut Touched,
) -> Result<bool, Error> {
    let mut relation = relation.clone();
    relation.life = Json(Life::Dying);
    relation.force_at = relation.force_at.into_iter().chain(force_at).min();
    tx.exec(sql::SET_LIFE, (&relation.id, relation.life, relation.force_at))?;
    touched.extend(tx.all::<String>(sql::UNITS_OF_SIDES, (&relation.id,))?);
    if relation.scope == "container" {
        remove_lost_subordinates(tx, &relation, now, touched)?;
    }
    if relation.force_at.is_some_and(|at| at <= now) {
        gone_and_applications(tx, &relation, now, touched)?;
        return Ok(true);
    }
    gone_if_empty(tx, &relation, now, touched)
}

/// Subordinates end with the last relation to the application of their principal.
fn remove_lost_subordinates(
    tx: &mut Tx<'_>,
    relation: &Relation,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let lost: Vec<String> = tx.all(sql::SUBORDINATES_LOST, (&relation.id, Json(Life::Alive)))?;
    if lost.is_empty() {
        return Ok(());
    }
    let model = models::find(tx, &relation.model)?;
    let removal = Removal { force_at: relation.force_at, now };
    for unit in lost {
        if let Some(unit) = units::by_id(tx, &unit)? {
            units::remove(tx, &model, &unit, removal, touched)?;
        }
    }
    Ok(())
}

/// Begins the removal of every relation of an application except its peer relations, which end
/// with it.
pub(crate) fn remove_all_of_application(
    tx: &mut Tx<'_>,
    application: &str,
    force_at: Option<i64>,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let relations: Vec<Relation> = tx.all(sql::OF_APPLICATION, (application,))?;
    for relation in relations.iter().filter(|relation| relation.kind != "peer") {
        remove(tx, relation, force_at, now, touched)?;
    }
    Ok(())
}

/// An application's records are about to go: what is left of its relations goes too.
pub(crate) fn application_gone(
    tx: &mut Tx<'_>,
    application: &str,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let relations: Vec<Relation> = tx.all(sql::OF_APPLICATION, (application,))?;
    for relation in &relations {
        gone(tx, relation, now, touched)?;
    }
    Ok(())
}

/// A model's records are about to go: its relations go, whatever state they are in.
pub(crate) fn remove_all_of_model(tx: &mut Tx<'_>, model: &str, now: i64) -> Result<(), Error> {
    let relations: Vec<Relation> = tx.all(sql::LIST, (model,))?;
    for relation in &relations {
        gone(tx, relation, now, &mut Touched::new())?;
    }
    Ok(())
}

/// Removes the relations whose forced removal is due.
pub(crate) fn force_due(tx: &mut Tx<'_>, now: i64, touched: &mut Touched) -> Result<(), Error> {
    let relations: Vec<Relation> = tx.all(sql::DUE, (now,))?;
    for relation in &relations {
        sequence::lock_model(tx, &relation.model)?;
        gone_and_applications(tx, relation, now, touched)?;
    }
    Ok(())
}

/// When the next forced removal is due, if any is planned.
pub(crate) fn next_due(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    Ok(tx.one(sql::NEXT_DUE, ())?)
}

/// A relation that is being removed goes once no unit is in it.
pub(super) fn gone_if_empty(
    tx: &mut Tx<'_>,
    relation: &Relation,
    now: i64,
    touched: &mut Touched,
) -> Result<bool, Error> {
    if relation.life.0 == Life::Alive || tx.one::<i64>(sql::COUNT_IN_SCOPE, (&relation.id,))? > 0 {
        return Ok(false);
    }
    gone_and_applications(tx, relation, now, touched)?;
    Ok(true)
}

fn gone_and_applications(
    tx: &mut Tx<'_>,
    relation: &Relation,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let sides: Vec<sql::Side> = tx.all(sql::SIDES_OF, (&relation.id,))?;
    gone(tx, relation, now, touched)?;
    for side in sides {
        applications::finish_if_done(tx, &side.application, now, touched)?;
    }
    Ok(())
}

/// Deletes a relation's records, unless what it took along has done so.
fn gone(
    tx: &mut Tx<'_>,
    relation: &Relation,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    if tx.exec(sql::REMOVE, (&relation.id,))? == 0 {
        return Ok(());
    }
    touched.extend(tx.all::<String>(sql::UNITS_OF_SIDES, (&relation.id,))?);
    secrets::relation_gone(tx, &relation.id, touched)?;
    for statement in [sql::REMOVE_UNITS, sql::REMOVE_SIDES] {
        tx.exec(statement, (&relation.id,))?;
    }
    flows::gone(tx, &format!("relation/{}", relation.id), now)?;
    announce(tx, relation, "removed")
}

fn announce(tx: &mut Tx<'_>, relation: &Relation, event: &str) -> Result<(), Error> {
    let model = models::find(tx, &relation.model)?.name;
    let (number, key) = (relation.number, &relation.key);
    let body = json!({"model": model, "relation": number, "key": key, "event": event});
    Ok(tx.outbox("relation", &body)?)
}

/// How a scope is stored.
pub(super) fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Container => "container",
    }
}
