//! `GET /v1/models/{model}/log`.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tutti_model::api::LogPage;

use super::{BELL, Filter};
use crate::http::{Query, Segments};
use crate::state::{Shared, State};
use crate::{Error, models, poll};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/models/{model}/log", get(page))
}

#[derive(Deserialize)]
#[serde(default)]
struct LogQuery {
    limit: u32,
    after: Option<i64>,
    level: String,
    unit: String,
    follow_ms: u64,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { limit: 1000, after: None, level: String::new(), unit: String::new(), follow_ms: 0 }
    }
}

/// A page; with `follow_ms` waits so long for a line to appear.
async fn page(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, Error> {
    let entity = match query.unit.as_str() {
        "" => String::new(),
        unit => super::unit_entity(unit),
    };
    let filter = Filter { limit: query.limit, after: query.after, level: query.level, entity };
    let wait = Duration::from_millis(query.follow_ms);
    let found = poll::until(&state, BELL, wait, || async {
        let page = read(&state, &model, &filter).await?;
        Ok((!page.lines.is_empty()).then_some(page))
    })
    .await?;
    match found {
        Some(page) => Ok(Json(page)),
        None => Ok(Json(read(&state, &model, &filter).await?)),
    }
}

async fn read(state: &State, model: &str, filter: &Filter) -> Result<LogPage, Error> {
    let (model, filter) = (model.to_owned(), filter.clone());
    state
        .read(move |tx| {
            let model = models::find(tx, &model)?;
            super::page(tx, &model.id, &filter)
        })
        .await
}
