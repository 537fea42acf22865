//! Routes of applications.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_model::api::{
    Accepted, Actions, AddUnits, ApplicationConfig, ApplicationInfo, ConfigChange, Constraints,
    Deploy, LeaderChoice, Refresh, ResourceInfo, ResourceUpload, Switch,
};
use tutti_store::Tx;

use super::{deploy, find, list, refresh, remove, resources, resync, scale, settings, show};
use crate::http::{Body, Mutation, Query, Segments};
use crate::models::{self, Model};
use crate::state::{Shared, State};
use crate::units::Removal;
use crate::{Error, charms, clock};

pub(crate) fn routes() -> Router<Arc<State>> {
    let one = "/v1/models/{model}/applications/{application}";
    let below = |path: &str| format!("{one}/{path}");
    Router::new()
        .route("/v1/models/{model}/applications", get(all).post(add))
        .route(one, get(shown).delete(removed).post(told))
        .route(&below("sync"), post(synced))
        .route(&below("config"), get(config_shown).patch(configure))
        .route(&below("trust"), put(trust))
        .route(&below("exposed"), put(expose))
        .route(&below("deferral"), put(deferral))
        .route(&below("constraints"), get(constraints).put(constrain))
        .route(&below("resources"), get(resources_shown))
        .route(&below("resources/{name}"), put(attach))
        .route(&below("actions"), get(actions))
        .route(&below("refresh"), post(refreshed))
        .route(&below("leader"), put(lead))
        .route(&below("units"), post(add_units))
}

/// Model and application of a path.
type Names = Segments<(String, String)>;

/// Runs a mutation of a living model.
async fn mutate(
    mutation: Mutation,
    model: String,
    change: impl Fn(&mut Tx<'_>, &Model, i64) -> Result<Accepted, Error> + Send + 'static,
) -> Result<Response, Error> {
    mutation
        .accept(move |tx| {
            let model = models::lock_alive(tx, &model)?;
            change(tx, &model, clock::now())
        })
        .await
}

async fn all(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<ApplicationInfo>>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let applications = list(tx, &model)?;
        show::infos(tx, &model, applications, vantage)
    });
    Ok(Json(read.await?))
}

async fn shown(
    Extract(state): Shared,
    Segments((model, name)): Names,
) -> Result<Json<ApplicationInfo>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        show::info(tx, &model, &name, vantage)
    });
    Ok(Json(read.await?))
}

async fn add(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<Deploy>,
) -> Result<Response, Error> {
    let uploads = resources::prepare(&mutation.state.artifacts, &request.resources).await?;
    mutate(mutation, model, move |tx, model, now| {
        deploy::deploy(tx, model, &request, &uploads, now)
    })
    .await
}

/// How a removal is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RemovalQuery {
    force: bool,
    no_wait: bool,
}

async fn removed(
    mutation: Mutation,
    Segments((model, name)): Names,
    Query(query): Query<RemovalQuery>,
) -> Result<Response, Error> {
    let wait = mutation.state.options.force_wait;
    let removed = mutation.with_deadline().accept(move |tx| {
        let model = models::lock(tx, &model)?;
        let removal = Removal::new(query.force, query.no_wait, wait, clock::now());
        remove::request(tx, &model, &name, removal)
    });
    removed.await
}

async fn config_shown(
    Extract(state): Shared,
    Segments((model, name)): Names,
) -> Result<Json<ApplicationConfig>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        show::config(tx, &model, &name)
    });
    Ok(Json(read.await?))
}

async fn configure(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(change): Body<ConfigChange>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| {
        settings::configure(tx, model, &name, &change, now)
    })
    .await
}

async fn trust(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(switch): Body<Switch>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| settings::trust(tx, model, &name, switch.on, now))
        .await
}

async fn expose(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(switch): Body<Switch>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| {
        settings::expose(tx, model, &name, switch.on, now)
    })
    .await
}

async fn deferral(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(switch): Body<Switch>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| {
        settings::deferral(tx, model, &name, switch.on, now)
    })
    .await
}

async fn constraints(
    Extract(state): Shared,
    Segments((model, name)): Names,
) -> Result<Json<Constraints>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        Ok(Constraints(find(tx, &model, &name)?.constraints.0))
    });
    Ok(Json(read.await?))
}

async fn constrain(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(wanted): Body<Constraints>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| {
        settings::constrain(tx, model, &name, &wanted, now)
    })
    .await
}

async fn resources_shown(
    Extract(state): Shared,
    Segments((model, name)): Names,
) -> Result<Json<Vec<ResourceInfo>>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let application = find(tx, &model, &name)?;
        let charm = charms::of_application(tx, &application)?;
        let attached = super::resources(tx, &application.id)?;
        Ok(resources::infos(&charm.metadata, &attached))
    });
    Ok(Json(read.await?))
}

async fn attach(
    mutation: Mutation,
    Segments((model, name, resource)): Segments<(String, String, String)>,
    Body(upload): Body<ResourceUpload>,
) -> Result<Response, Error> {
    let given = std::collections::BTreeMap::from([(resource, upload)]);
    let uploads = resources::prepare(&mutation.state.artifacts, &given).await?;
    mutate(mutation, model, move |tx, model, now| settings::attach(tx, model, &name, &uploads, now))
        .await
}

async fn actions(
    Extract(state): Shared,
    Segments((model, name)): Names,
) -> Result<Json<Actions>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let application = find(tx, &model, &name)?;
        Ok(show::actions(&charms::of_application(tx, &application)?))
    });
    Ok(Json(read.await?))
}

async fn refreshed(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(request): Body<Refresh>,
) -> Result<Response, Error> {
    let uploads = resources::prepare(&mutation.state.artifacts, &request.resources).await?;
    if request.dry_run {
        let candidate = match request.candidate.as_str() {
            "" => None,
            digest => Some(charms::stored(&mutation.state, digest).await?),
        };
        let trial = refresh::Trial { model, application: name, request, candidate };
        let asked = trial.clone();
        let archives = mutation.state.read(move |tx| refresh::archives(tx, &asked));
        let files = refresh::files(&mutation.state.artifacts, archives.await?).await?;
        let plan = mutation.state.read(move |tx| refresh::plan(tx, &trial, &uploads, &files));
        return Ok(Json(plan.await?).into_response());
    }
    mutate(mutation, model, move |tx, model, now| {
        refresh::refresh(tx, model, &name, &request, &uploads, now)
    })
    .await
}

async fn synced(mutation: Mutation, Segments((model, name)): Names) -> Result<Response, Error> {
    let vantage = mutation.state.vantage();
    mutate(mutation, model, move |tx, model, now| resync::request(tx, model, &name, vantage, now))
        .await
}

/// `:sync` behind the name of an application.
async fn told(mutation: Mutation, Segments((model, text)): Names) -> Result<Response, Error> {
    match text.split_once(':') {
        Some((name, "sync")) => synced(mutation, Segments((model, name.to_owned()))).await,
        _ => {
            Err(Error::Invalid(format!("an application's verb is \":sync\", \"{text}\" has none")))
        }
    }
}

async fn lead(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(choice): Body<LeaderChoice>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| {
        settings::lead(tx, model, &name, &choice.unit, now)
    })
    .await
}

async fn add_units(
    mutation: Mutation,
    Segments((model, name)): Names,
    Body(request): Body<AddUnits>,
) -> Result<Response, Error> {
    mutate(mutation, model, move |tx, model, now| scale::add(tx, model, &name, &request, now)).await
}
