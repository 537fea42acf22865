//! What operators ask: relate two applications, remove a relation.

use std::collections::BTreeMap;

use serde_json::json;
use tutti_charm::metadata::{Metadata, Role};
use tutti_model::api::{Accepted, Integrate, RemoveRelation};
use tutti_model::relation::{self, EndpointView, Existing, Pair, Reference};
use tutti_store::Tx;

use super::lifecycle::{NewRelation, NewSide, create, scope_word};
use super::{Relation, Touched, lifecycle, list, sql};
use crate::applications::{self, Application};
use crate::flows::{self, Change, Tasks};
use crate::models::Model;
use crate::units::{self, Unit};
use crate::{Error, charms, sequence};

/// Relates two applications over the one pair of endpoints that is meant.
pub(super) fn integrate(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &Integrate,
    now: i64,
) -> Result<Accepted, Error> {
    let (left, right) = references(&request.endpoints)?;
    let one = applications::find_alive(tx, model, &left.application)?;
    let other = applications::find_alive(tx, model, &right.application)?;
    let (mine, theirs) = (endpoints(tx, &one)?, endpoints(tx, &other)?);
    let pair = relation::infer((&left, &mine), (&right, &theirs)).map_err(refused)?;
    relation::check_new(&pair, &existing(tx, model)?.1).map_err(refused)?;
    let mut touched = Touched::new();
    let created = relate(tx, model, &pair, [&one, &other], now, &mut touched)?;
    let generation = sequence::touch(tx, touched.iter().map(String::as_str))?;
    let units = alive_units(tx, [&one, &other])?;
    let tasks = Tasks::new().units(units.iter().map(|unit| (&unit.id, &unit.name)), generation);
    let change = Change {
        kind: "integrate",
        title: format!("Integrate {}", created.key),
        resources: vec![
            format!("application/{}", one.name),
            format!("application/{}", other.name),
            format!("relation/{}", created.number),
        ],
        generation: None,
        tasks,
    };
    let flow = Some(flows::submit(tx, model, change, now)?);
    let resource = json!({"relation": created.number, "key": created.key});
    Ok(Accepted { flow, resource, messages: Vec::new() })
}

/// Removes a relation that an operator names by its ends or its number.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RemoveRelation,
    force_at: Option<i64>,
    now: i64,
) -> Result<Accepted, Error> {
    let found = named(tx, model, request)?;
    if found.kind == "peer" {
        return Err(refused(tutti_model::Error::PeerRelation { key: found.key }));
    }
    let resource = format!("relation/{}", found.number);
    // Whoever still waits for the units to begin with it waits in vain.
    flows::retire(tx, model, &resource)?;
    let mut touched = Touched::new();
    lifecycle::remove(tx, &found, force_at, now, &mut touched)?;
    let tasks = Tasks::new().gone("relation", &found.id, &found.key);
    let change = Change {
        kind: "remove-relation",
        title: format!("Remove relation {}", found.key),
        // Not the applications: a removal never waits for what units have to do besides.
        resources: vec![resource],
        generation: None,
        tasks,
    };
    let flow = Some(flows::submit(tx, model, change, now)?);
    sequence::touch(tx, touched.iter().map(String::as_str))?;
    let resource = json!({"relation": found.number, "key": found.key});
    Ok(Accepted { flow, resource, messages: Vec::new() })
}

/// Juju names no number of arguments but two.
fn references(endpoints: &[String]) -> Result<(Reference, Reference), Error> {
    let [left, right] = endpoints else {
        return Err(Error::Invalid("a relation must involve two applications".to_owned()));
    };
    let parse = |text: &String| text.parse::<Reference>().map_err(refused);
    Ok((parse(left)?, parse(right)?))
}

fn endpoints(tx: &mut Tx<'_>, application: &Application) -> Result<Vec<EndpointView>, Error> {
    let metadata: Metadata = charms::of_application(tx, application)?.metadata;
    Ok(relation::endpoints(&application.name, &metadata))
}

/// The model's relations, and the same as the rules see them.
pub(crate) fn existing(
    tx: &mut Tx<'_>,
    model: &Model,
) -> Result<(Vec<Relation>, Vec<Existing>), Error> {
    let relations = list(tx, &model.id)?;
    let mut ends: BTreeMap<i64, Vec<(String, String)>> = BTreeMap::new();
    for side in tx.all::<sql::Side>(sql::SIDES, (&model.id,))? {
        ends.entry(side.number).or_default().push((side.name, side.endpoint));
    }
    let existing = |relation: &Relation| Existing {
        key: relation.key.clone(),
        ends: ends.remove(&relation.number).unwrap_or_default(),
    };
    let views = relations.iter().map(existing).collect();
    Ok((relations, views))
}

fn named(tx: &mut Tx<'_>, model: &Model, request: &RemoveRelation) -> Result<Relation, Error> {
    if let Some(number) = request.id {
        return super::find(tx, &model.id, number)?
            .ok_or_else(|| Error::NotFound(format!("relation {number} not found")));
    }
    let (left, right) = references(&request.endpoints)?;
    let (mut relations, views) = existing(tx, model)?;
    let place = relation::find(&left, &right, &views).map_err(refused)?;
    Ok(relations.swap_remove(place))
}

/// Creates the relation of a pair of endpoints.
fn relate(
    tx: &mut Tx<'_>,
    model: &Model,
    pair: &Pair,
    applications: [&Application; 2],
    now: i64,
    touched: &mut Touched,
) -> Result<Relation, Error> {
    let id = |end: &EndpointView| {
        let found = applications.iter().find(|one| one.name == end.application);
        found.map(|one| one.id.as_str()).unwrap_or_default()
    };
    let side = |end| NewSide {
        application: id(end),
        endpoint: &end.name,
        role: role_word(end.endpoint.role),
        implicit: end.implicit,
    };
    let sides: Vec<_> = pair.ends().map(side).collect();
    let key = pair.key();
    let new = NewRelation {
        key: &key,
        interface: &pair.requirer.endpoint.interface,
        scope: scope_word(pair.scope()),
        kind: pair.kind(),
        sides: &sides,
    };
    create(tx, &model.id, &new, now, touched)
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::Requirer => "requirer",
        Role::Peer => "peer",
    }
}

fn alive_units(tx: &mut Tx<'_>, applications: [&Application; 2]) -> Result<Vec<Unit>, Error> {
    let mut found = Vec::new();
    for application in applications {
        found.extend(units::of_application(tx, &application.id)?);
    }
    Ok(found)
}

/// A refusal of the rules with its HTTP status.
fn refused(error: tutti_model::Error) -> Error {
    use tutti_model::Error as Rule;
    let text = error.to_string();
    match error {
        Rule::NoEndpoint { .. } | Rule::RelationNotFound { .. } => Error::NotFound(text),
        Rule::RelationExists { .. } | Rule::RelationLimit { .. } | Rule::PeerRelation { .. } => {
            Error::Conflict(text)
        }
        _ => Error::Invalid(text),
    }
}
