//! Versions of repositories: `/pulp/api/v3/repositories/…/versions/` and `/pulp/api/v3/repository_versions/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tutti_content::repository::version::{self, Filter};
use tutti_content::repository::{self, Repository, Version, removal};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::Fields;
use super::hrefs::{self, V3};
use super::plugin::{Noun, Plugin};
use super::query::Query;
use super::refusal::{Refusal, answer};
use super::work::{self, Start, Work};
use super::{Of, Words, repositories, time};
use crate::state::{Shared, State};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/repository_versions/", get(all))
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/{id}/versions/", get(list))
        .route(
            "/pulp/api/v3/repositories/{plugin}/{kind}/{id}/versions/{number}/",
            get(show).delete(remove),
        )
        .route(
            "/pulp/api/v3/repositories/{plugin}/{kind}/{id}/versions/{number}/repair/",
            post(repair),
        )
}

/// The variable words of a version's path.
#[derive(Debug, Deserialize)]
struct Numbered {
    plugin: String,
    kind: String,
    id: String,
    number: i64,
}

impl Numbered {
    fn of(self) -> Result<(Of, i64), Refusal> {
        let words = Words { plugin: self.plugin, kind: self.kind, id: self.id };
        Ok((words.of(Noun::Repository)?, self.number))
    }
}

/// A version as it is shown.
pub(super) fn shown(content_type: &str, repository: i64, one: &Version) -> Value {
    let href = hrefs::version(content_type, repository, one.number);
    let summary = |filter: &str, count: fn(&repository::Count) -> u64| {
        let counted = one.counts.0.iter().filter(|(_, counts)| count(counts) > 0);
        let entry = |(content_type, counts): (&String, &repository::Count)| {
            let plugin = Plugin::of(content_type);
            let list = format!("{V3}content/{}/{}/?{filter}={href}", plugin.name, plugin.content);
            (plugin.pulp_type.to_owned(), json!({"count": count(counts), "href": list}))
        };
        counted.map(entry).collect::<Map<_, _>>()
    };
    json!({
        "pulp_href": href,
        "prn": format!("prn:core.repositoryversion:{}-{}", hrefs::uuid(repository), one.number),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.created),
        "number": one.number,
        "repository": hrefs::object(Noun::Repository, content_type, repository),
        "base_version": one.base.map(|base| hrefs::version(content_type, repository, base)),
        "content_summary": {
            "added": summary("repository_version_added", |counts| counts.added),
            "removed": summary("repository_version_removed", |counts| counts.removed),
            "present": summary("repository_version", |counts| counts.present),
        },
    })
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
    let of = words.of(Noun::Repository)?;
    page(state, asked, query, Some(of)).await
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    of: Option<Of>,
) -> Result<Response, Refusal> {
    let content = query.id("content")?;
    let among = match query.list("content__in").as_deref() {
        None => None,
        Some([one]) => match hrefs::Address::parse(one) {
            Some(hrefs::Address::Object(Noun::Content, _, id)) => Some(id),
            _ => Some(-1),
        },
        Some(_) => {
            return Err(Refusal::filter("content__in: one unit at a time is looked for here"));
        }
    };
    let filter = Filter {
        content_types: Plugin::content_types(),
        repository: of.map(|of| of.id),
        number: query.number("number")?,
        from: query.number("number__gte")?,
        to: query.number("number__lte")?,
        content: content.or(among),
        ascending: query.ascending(&["number", "pulp_created"])?,
    };
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| {
        if let Some(of) = of {
            repositories::required(tx, of)?;
        }
        let page = version::page(tx, &filter, window)?;
        let mut rows = Vec::new();
        for (repository, version) in &page.rows {
            let plugin = match of {
                Some(of) => of.plugin.content_type.to_owned(),
                None => content_type(tx, *repository)?,
            };
            rows.push(shown(&plugin, *repository, version));
        }
        Ok::<_, Refusal>((page.count, rows))
    });
    let (count, rows) = page.await?;
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), count, rows)))
}

fn content_type(tx: &mut Tx<'_>, repository: i64) -> Result<String, Refusal> {
    let found = repository::by_id(tx, repository)?;
    Ok(found.map(|found| found.content_type).unwrap_or_default())
}

/// A version of a path, with its repository.
fn required(tx: &mut Tx<'_>, (of, number): (Of, i64)) -> Result<(Repository, Version), Refusal> {
    let found = repositories::required(tx, of)?;
    let version = version::required(tx, &found, number)?;
    Ok((found, version))
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Numbered>,
    query: Query,
) -> Result<Response, Refusal> {
    let which = words.of()?;
    let read = state.store.read(move |tx| {
        let (found, version) = required(tx, which)?;
        Ok::<_, Refusal>(shown(&found.content_type, found.id, &version))
    });
    let mut row = read.await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn remove(Extract(state): Shared, Path(words): Path<Numbered>) -> Result<Response, Refusal> {
    let which = words.of()?;
    work::start(&state, move |tx| {
        let (found, version) = required(tx, which)?;
        removal::check(tx, &found, version.number)?;
        Ok(Start {
            title: format!("Delete version {} of repository {}", version.number, found.name),
            resources: vec![(hrefs::resource(Noun::Repository, found.id), Access::Exclusive)],
            work: Work::DropVersion { repository: found.id, number: version.number },
        })
    })
    .await
}

async fn repair(
    Extract(state): Shared,
    Path(words): Path<Numbered>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let which = words.of()?;
    let verify = fields.flag("verify_checksums")?.unwrap_or(true);
    work::start(&state, move |tx| {
        let (found, version) = required(tx, which)?;
        Ok(Start {
            title: format!("Repair version {} of repository {}", version.number, found.name),
            resources: vec![(hrefs::resource(Noun::Repository, found.id), Access::Shared)],
            work: Work::Repair { version: Some((found.id, version.number)), verify },
        })
    })
    .await
}
