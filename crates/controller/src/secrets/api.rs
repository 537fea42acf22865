//! Routes below `/v1/models/{model}/secrets`.

use std::sync::Arc;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_model::api::{SecretAdd, SecretChange, SecretGrantChange, SecretInfo};
use tutti_store::Tx;

use super::{user, view};
use crate::http::{Body, Kind, Mutation, Query, Reply, Resource, Segments};
use crate::models::{self, Model};
use crate::relations::Touched;
use crate::state::{Shared, State};
use crate::{Error, clock, sequence};

pub(crate) fn routes() -> Router<Arc<State>> {
    const ALL: &str = "/v1/models/{model}/secrets";
    const ONE: &str = "/v1/models/{model}/secrets/{secret}";
    Router::new()
        .route(ALL, get(list).post(add))
        .route(ONE, get(show).patch(change).delete(remove))
        .route("/v1/models/{model}/secrets/{secret}/grant", post(grant))
        .route("/v1/models/{model}/secrets/{secret}/revoke", post(revoke))
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct SecretQuery {
    reveal: bool,
    revisions: bool,
    revision: Option<i64>,
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<SecretInfo>>, Error> {
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let secrets = user::list(tx, &model)?;
        secrets.into_iter().map(|one| view::info(tx, one, view::Wanted::default())).collect()
    });
    Ok(Json(list.await?))
}

async fn show(
    axum::extract::State(state): Shared,
    Segments((model, secret)): Segments<(String, String)>,
    Query(query): Query<SecretQuery>,
) -> Result<Json<SecretInfo>, Error> {
    if query.reveal && query.revisions {
        let text = "specify either revisions or reveal but not both";
        return Err(Error::Invalid(text.to_owned()));
    }
    let reveal = query.reveal.then(|| query.revision.unwrap_or_default());
    let wanted = view::Wanted { reveal, revisions: query.revisions };
    let info = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let secret = user::find(tx, &model, &secret)?;
        view::info(tx, secret, wanted)
    });
    Ok(Json(info.await?))
}

async fn add(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<SecretAdd>,
) -> Result<Response, Error> {
    let added = mutation.run(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        let secret = user::add(tx, &model, &request, clock::now())?;
        let resource = Resource::new(&model.name, Kind::Secret, secret.id.clone());
        let info = view::info(tx, secret, view::Wanted::default())?;
        Ok(Reply::created(&info)?.at(resource))
    });
    added.await
}

async fn change(
    mutation: Mutation,
    Segments((model, secret)): Segments<(String, String)>,
    Body(request): Body<SecretChange>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, touched| {
        let secret = user::change(tx, model, &secret, &request, clock::now(), touched)?;
        Reply::changed(&view::info(tx, secret, view::Wanted::default())?)
    })
    .await
}

async fn remove(
    mutation: Mutation,
    Segments((model, secret)): Segments<(String, String)>,
    Query(query): Query<SecretQuery>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, touched| {
        user::remove(tx, model, &secret, query.revision, touched)?;
        Ok(Reply::nothing())
    })
    .await
}

async fn grant(
    mutation: Mutation,
    Segments((model, secret)): Segments<(String, String)>,
    Body(request): Body<SecretGrantChange>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, _| {
        user::grant(tx, model, &secret, &request.applications)?;
        Ok(Reply::nothing())
    })
    .await
}

async fn revoke(
    mutation: Mutation,
    Segments((model, secret)): Segments<(String, String)>,
    Body(request): Body<SecretGrantChange>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, touched| {
        user::revoke(tx, model, &secret, &request.applications, touched)?;
        Ok(Reply::nothing())
    })
    .await
}

/// Changes secrets of a model and wakes the units that must react.
async fn mutate(
    mutation: Mutation,
    model: String,
    change: impl Fn(&mut Tx<'_>, &Model, &mut Touched) -> Result<Reply, Error> + Send + 'static,
) -> Result<Response, Error> {
    let changed = mutation.run(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        let mut touched = Touched::new();
        let reply = change(tx, &model, &mut touched)?;
        if !touched.is_empty() {
            sequence::touch(tx, touched.iter().map(String::as_str))?;
        }
        Ok(reply)
    });
    changed.await
}
