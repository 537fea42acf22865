//! Distributions: `/pulp/api/v3/distributions/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tutti_content::distribution::{self, Distribution, Filter, Wish};
use tutti_content::{publication, remote, repository};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::Fields;
use super::hrefs::{self, Address};
use super::plugin::{Noun, Plugin};
use super::query::{Query, labels};
use super::refusal::{Refusal, answer};
use super::work::{self, Done, Start, Work};
use super::{Of, Words, time};
use crate::clock;
use crate::state::{Shared, State};

/// Something an address leads to that is not there.
const NOT_THERE: &str = "Invalid hyperlink - Object does not exist.";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/distributions/", get(all))
        .route("/pulp/api/v3/distributions/{plugin}/{kind}/", get(list).post(create))
        .route(
            "/pulp/api/v3/distributions/{plugin}/{kind}/{id}/",
            get(show).patch(change).put(change).delete(remove),
        )
        .route("/pulp/api/v3/distributions/{plugin}/{kind}/{id}/set_label/", post(set_label))
        .route("/pulp/api/v3/distributions/{plugin}/{kind}/{id}/unset_label/", post(unset_label))
}

/// A distribution as it is shown by who is reached at `origin`.
fn shown(one: &Distribution, origin: &str) -> Value {
    let content_type = one.content_type.as_str();
    let base_url = match content_type {
        "python" => format!("{origin}/pypi/{}/", one.base_path),
        _ => format!("{origin}/pulp/content/{}/", one.base_path),
    };
    let object = |noun, id: i64| hrefs::object(noun, content_type, id);
    let version = one.repository.zip(one.version);
    let mut shown = json!({
        "pulp_href": object(Noun::Distribution, one.id),
        "prn": hrefs::name(Noun::Distribution, content_type, one.id),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.updated),
        "name": one.name,
        "base_path": one.base_path,
        "base_url": base_url,
        "content_guard": null,
        "content_guard_prn": null,
        "hidden": false,
        "pulp_labels": &one.labels.0,
        "repository": one.repository.filter(|_| one.version.is_none()).map(|id| object(Noun::Repository, id)),
        "repository_version": version.map(|(id, number)| hrefs::version(content_type, id, number)),
        "publication": one.publication.map(|id| object(Noun::Publication, id)),
        "checkpoint": false,
        "no_content_change_since": null,
    });
    if content_type == "python" {
        shown["remote"] = one.remote.map(|id| object(Noun::Remote, id)).into();
        shown["allow_uploads"] =
            one.settings.0.get("allow_uploads").cloned().unwrap_or(json!(true));
    }
    shown
}

/// What a body makes of a distribution.
fn wish(content_type: &str, before: Option<Wish>, fields: &Fields) -> Result<Wish, Refusal> {
    let is_new = before.is_none();
    let mut wish = before.unwrap_or_default();
    if is_new || fields.has("name") {
        wish.name = fields.required("name")?;
    }
    if is_new || fields.has("base_path") {
        wish.base_path = fields.required("base_path")?;
    }
    if let Some(value) = fields.get("pulp_labels") {
        wish.labels = labels(value)?;
    }
    if fields.get("content_guard").is_some() {
        return Err(Refusal::field("content_guard", "There are no content guards here."));
    }
    if fields.has("remote") {
        wish.remote = fields.id("remote", Noun::Remote, content_type)?;
    }
    if !wish.settings.is_object() {
        wish.settings = json!({});
    }
    if let Some(flag) = fields.flag("allow_uploads")? {
        wish.settings["allow_uploads"] = flag.into();
    }
    point(content_type, &mut wish, fields)?;
    Ok(wish)
}

/// Points it at one thing; naming another one lets go of the one before.
fn point(content_type: &str, wish: &mut Wish, fields: &Fields) -> Result<(), Refusal> {
    let names = ["repository", "repository_version", "publication"];
    let named: Vec<&str> = names.into_iter().filter(|name| fields.get(name).is_some()).collect();
    if named.len() > 1 {
        let text = format!("The attributes {} must be used exclusively.", named.join(" and "));
        return Err(Refusal::invalid(text));
    }
    let is_served = |name: &str, wish: &Wish| match name {
        "repository" => wish.repository.is_some() && wish.version.is_none(),
        "repository_version" => wish.version.is_some(),
        _ => wish.publication.is_some(),
    };
    // What is named as nothing ends what it served.
    let ends = names.iter().any(|name| fields.has(name) && is_served(name, wish));
    if !named.is_empty() || ends {
        (wish.repository, wish.version, wish.publication) = (None, None, None);
    }
    match named.first() {
        Some(&"repository") => {
            wish.repository = fields.id("repository", Noun::Repository, content_type)?
        }
        Some(&"publication") => {
            wish.publication = fields.id("publication", Noun::Publication, content_type)?
        }
        Some(_) => match fields.address("repository_version")? {
            Some(Address::Version(plugin, id, number)) if plugin.content_type == content_type => {
                (wish.repository, wish.version) = (Some(id), Some(number));
            }
            _ => return Err(Refusal::field("repository_version", "Not the address of a version.")),
        },
        None => {}
    }
    Ok(())
}

/// Whether a distribution can be so, and all it names is there.
fn check(tx: &mut Tx<'_>, wish: &Wish, own: Option<i64>) -> Result<(), Refusal> {
    match distribution::check(tx, wish, own) {
        Err(tutti_content::Error::Path(path)) => {
            return Err(Refusal::field("base_path", format!("{path:?} is no base path.")));
        }
        checked => checked?,
    }
    if let Some(id) = wish.repository {
        let none = || Refusal::field("repository", NOT_THERE);
        let found = repository::by_id(tx, id)?.ok_or_else(none)?;
        if let Some(number) = wish.version {
            repository::version::required(tx, &found, number)?;
        }
    }
    if let Some(id) = wish.publication
        && publication::by_id(tx, id)?.is_none()
    {
        return Err(Refusal::field("publication", NOT_THERE));
    }
    if let Some(id) = wish.remote
        && remote::by_id(tx, id)?.is_none()
    {
        return Err(Refusal::field("remote", NOT_THERE));
    }
    Ok(())
}

/// Makes a distribution in the transaction of a task.
pub(super) fn make(
    tx: &mut Tx<'_>,
    content_type: &str,
    fields: &Fields,
    origin: &str,
) -> Result<Done, Refusal> {
    let wish = wish(content_type, None, fields)?;
    check(tx, &wish, None)?;
    let made = distribution::create(tx, content_type, &wish, clock::now())?;
    let href = hrefs::object(Noun::Distribution, content_type, made.id);
    Ok(Done::created(href, Some(shown(&made, origin))))
}

/// Changes a distribution in the transaction of a task.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    id: i64,
    fields: &Fields,
    origin: &str,
) -> Result<Value, Refusal> {
    let found = distribution::required(tx, id)?;
    let wish = wish(&found.content_type, Some(Wish::of(&found)), fields)?;
    check(tx, &wish, Some(id))?;
    distribution::change(tx, id, &wish, clock::now())?;
    Ok(shown(&distribution::required(tx, id)?, origin))
}

fn required(tx: &mut Tx<'_>, of: Of) -> Result<Distribution, Refusal> {
    let found = distribution::by_id(tx, of.id)?;
    let here = |one: &Distribution| one.content_type == of.plugin.content_type;
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
    let plugin = words.plugin(Noun::Distribution)?;
    page(state, asked, query, Some(plugin)).await
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    plugin: Option<&'static Plugin>,
) -> Result<Response, Refusal> {
    let filter = Filter {
        named: query.named(plugin)?,
        base_path: query.take("base_path"),
        base_path_in: query.list("base_path__in"),
        base_path_contains: query.take("base_path__contains"),
        base_path_icontains: query.take("base_path__icontains"),
        repository: query.id("repository")?,
        publication: query.id("publication")?,
    };
    query.finish()?;
    let window = query.window();
    let origin = state.origin();
    let page = state.store.read(move |tx| distribution::list(tx, &filter, window)).await?;
    let rows = page.rows.iter().map(|one| shown(one, &origin)).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn create(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let content_type = words.plugin(Noun::Distribution)?.content_type;
    let asked = wish(content_type, None, &fields)?;
    work::start(&state, move |tx| {
        check(tx, &asked, None)?;
        Ok(Start {
            title: format!("Create distribution {}", asked.name),
            resources: Vec::new(),
            work: Work::CreateDistribution {
                content_type: content_type.to_owned(),
                fields: fields.clone(),
            },
        })
    })
    .await
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Words>,
    query: Query,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Distribution)?;
    let origin = state.origin();
    let read = state.store.read(move |tx| Ok::<_, Refusal>(shown(&required(tx, of)?, &origin)));
    let mut row = read.await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn change(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Distribution)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        check(tx, &wish(&found.content_type, Some(Wish::of(&found)), &fields)?, Some(of.id))?;
        Ok(Start {
            title: format!("Change distribution {}", found.name),
            resources: vec![(hrefs::resource(Noun::Distribution, of.id), Access::Exclusive)],
            work: Work::ChangeDistribution { id: of.id, fields: fields.clone() },
        })
    })
    .await
}

async fn remove(Extract(state): Shared, Path(words): Path<Words>) -> Result<Response, Refusal> {
    let of = words.of(Noun::Distribution)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        Ok(Start {
            title: format!("Delete distribution {}", found.name),
            resources: vec![(hrefs::resource(Noun::Distribution, of.id), Access::Exclusive)],
            work: Work::DropDistribution { id: of.id },
        })
    })
    .await
}

async fn set_label(state: Shared, words: Path<Words>, fields: Fields) -> Result<Response, Refusal> {
    label(state, words, fields, true).await
}

async fn unset_label(
    state: Shared,
    words: Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    label(state, words, fields, false).await
}

async fn label(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
    is_set: bool,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Distribution)?;
    let made = state.store.write(move |tx| {
        let mut wish = Wish::of(&required(tx, of)?);
        let shown = super::label(&mut wish.labels, &fields, is_set)?;
        distribution::change(tx, of.id, &wish, clock::now())?;
        Ok::<_, Refusal>(shown)
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}
