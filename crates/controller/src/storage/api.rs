//! Routes of storage.

use std::sync::Arc;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tutti_model::api::{Accepted, AddStorage, Life, StorageInfo};
use tutti_store::Tx;

use crate::flows::{self, Change, Tasks};
use crate::http::{Body, Mutation, Segments};
use crate::models::{self, Model};
use crate::state::{Shared, State};
use crate::{Error, applications, charms, clock, sequence, units};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/storage", get(list))
        .route("/v1/models/{model}/units/{application}/{number}/storage", post(add))
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<StorageInfo>>, Error> {
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        super::infos(tx, &model.id)
    });
    Ok(Json(list.await?))
}

async fn add(
    mutation: Mutation,
    Segments((model, application, number)): Segments<(String, String, String)>,
    Body(request): Body<AddStorage>,
) -> Result<Response, Error> {
    let added = mutation.accept(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        add_to(tx, &model, &format!("{application}/{number}"), &request)
    });
    added.await
}

fn add_to(
    tx: &mut Tx<'_>,
    model: &Model,
    unit: &str,
    request: &AddStorage,
) -> Result<Accepted, Error> {
    let now = clock::now();
    let unit = units::find(tx, model, unit)?;
    if unit.life.0 != Life::Alive {
        return Err(Error::Deleting(format!("unit \"{}\" is being removed", unit.name)));
    }
    let application = applications::by_id(tx, &unit.application)?
        .ok_or_else(|| Error::NotFound("the application is gone".to_owned()))?;
    let metadata = charms::of_application(tx, &application)?.metadata;
    let (name, directive) = (&request.name, &request.directive);
    let added = super::add(tx, &model.id, &unit.id, &metadata, name, directive, now)?;
    let generation = sequence::touch(tx, [unit.id.as_str()])?;
    let change = Change {
        kind: "add-storage",
        title: format!("Add storage {} to {}", added.join(", "), unit.name),
        resources: vec![format!("unit/{}", unit.name)],
        generation: None,
        tasks: Tasks::new().units([(&unit.id, &unit.name)], generation),
    };
    let flow = Some(flows::submit(tx, model, change, now)?);
    Ok(Accepted { flow, resource: json!({ "storage": added }), messages: Vec::new() })
}
