//! Publications: `/pulp/api/v3/publications/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tutti_content::publication::{self, Filter, Publication};
use tutti_content::{distribution, repository};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::Fields;
use super::hrefs::{self, Address};
use super::plugin::{Noun, Plugin};
use super::query::Query;
use super::refusal::{Refusal, answer};
use super::work::{self, Start, Work};
use super::{Of, Words, repositories, time};
use crate::state::{Shared, State};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/publications/", get(all))
        .route("/pulp/api/v3/publications/{plugin}/{kind}/", get(list).post(create))
        .route("/pulp/api/v3/publications/{plugin}/{kind}/{id}/", get(show).delete(remove))
}

/// A publication as it is shown.
fn shown(one: &Publication, distributions: &[i64]) -> Value {
    let content_type = one.content_type.as_str();
    let served = |id: &i64| hrefs::object(Noun::Distribution, content_type, *id);
    let mut shown = json!({
        "pulp_href": hrefs::object(Noun::Publication, content_type, one.id),
        "prn": hrefs::name(Noun::Publication, content_type, one.id),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.created),
        "repository": hrefs::object(Noun::Repository, content_type, one.repository),
        "repository_version": hrefs::version(content_type, one.repository, one.version),
        "distributions": distributions.iter().map(served).collect::<Vec<_>>(),
        "checkpoint": false,
    });
    if content_type == "file" {
        shown["manifest"] = one.settings.0.get("manifest").cloned().unwrap_or_default();
    }
    shown
}

/// The publication of an id as it is shown.
pub(super) fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Value, Refusal> {
    let found = publication::required(tx, id)?;
    Ok(shown(&found, &distribution::of_publication(tx, id)?))
}

fn required(tx: &mut Tx<'_>, of: Of) -> Result<Publication, Refusal> {
    let found = publication::by_id(tx, of.id)?;
    let here = |one: &Publication| one.content_type == of.plugin.content_type;
    found.filter(here).ok_or_else(Refusal::not_found)
}

async fn all(state: Shared, asked: RawQuery, query: Query) -> Result<Response, Refusal> {
    page(state, asked, query, None).await
}

async fn list(
    state: Shared,
    Path(words): Path<Words>,
    asked: RawQuery,
    query: Query,
) -> Result<Response, Refusal> {
    let plugin = words.plugin(Noun::Publication)?;
    page(state, asked, query, Some(plugin)).await
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    plugin: Option<&'static Plugin>,
) -> Result<Response, Refusal> {
    let content_types =
        plugin.map_or_else(Plugin::content_types, |plugin| vec![plugin.content_type.to_owned()]);
    let mut filter =
        Filter { content_types, repository: query.id("repository")?, ..Filter::default() };
    if let Some(address) = query.address("repository_version")? {
        let (id, number) = match address {
            Address::Version(_, id, number) => (id, number),
            _ => (-1, -1),
        };
        (filter.repository, filter.version) = (Some(id), Some(number));
    }
    query.ascending(&[])?;
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| {
        let page = publication::list(tx, &filter, window)?;
        let ids: Vec<i64> = page.rows.iter().map(|one| one.id).collect();
        let served = distribution::of_publications(tx, &ids)?;
        let row = |one: &Publication| {
            let own = served.iter().filter(|(publication, _)| *publication == one.id);
            shown(one, &own.map(|(_, id)| *id).collect::<Vec<_>>())
        };
        Ok::<_, Refusal>((page.count, page.rows.iter().map(row).collect()))
    });
    let (count, rows) = page.await?;
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), count, rows)))
}

async fn create(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let content_type = words.plugin(Noun::Publication)?.content_type;
    let named = fields.id("repository", Noun::Repository, content_type)?;
    let version = match fields.address("repository_version")? {
        None => None,
        Some(Address::Version(_, id, number)) => Some((id, number)),
        Some(_) => {
            return Err(Refusal::field("repository_version", "Not the address of a version."));
        }
    };
    let id = match (named, version) {
        (Some(_), Some(_)) => {
            let text = "Either the 'repository' or 'repository_version' need to be specified but not both.";
            return Err(Refusal::invalid(text));
        }
        (None, None) => {
            let text = "Either the 'repository' or 'repository_version' need to be specified";
            return Err(Refusal::invalid(text));
        }
        (named, version) => named.or_else(|| version.map(|(id, _)| id)).unwrap_or_default(),
    };
    work::start(&state, move |tx| {
        let there = repository::by_id(tx, id)?.filter(|one| one.content_type == content_type);
        let found = there.ok_or_else(|| {
            Refusal::field("repository", "Invalid hyperlink - Object does not exist.")
        })?;
        let number = version.map_or(found.version, |(_, number)| number);
        repository::version::required(tx, &found, number)?;
        let manifest = match fields.has("manifest") {
            true => fields.text("manifest")?.filter(|name| !name.is_empty()),
            false => repositories::manifest(&found),
        };
        if manifest.as_deref().is_some_and(|name| !tutti_content::path::is_relative(name)) {
            return Err(Refusal::field("manifest", "Not a relative path."));
        }
        Ok(Start {
            title: format!("Publish version {number} of repository {}", found.name),
            resources: vec![(hrefs::resource(Noun::Repository, id), Access::Shared)],
            work: Work::Publish { repository: id, version: number, manifest },
        })
    })
    .await
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Words>,
    query: Query,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Publication)?;
    let read = state.store.read(move |tx| {
        required(tx, of)?;
        by_id(tx, of.id)
    });
    let mut row = read.await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn remove(Extract(state): Shared, Path(words): Path<Words>) -> Result<Response, Refusal> {
    let of = words.of(Noun::Publication)?;
    let dropped = state.store.write(move |tx| {
        required(tx, of)?;
        Ok::<_, Refusal>(publication::drop(tx, of.id)?)
    });
    dropped.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
