//! Remotes: `/pulp/api/v3/remotes/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tutti_content::remote::{self, Policy, Remote, Wish};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::Fields;
use super::hrefs;
use super::plugin::{Noun, Plugin};
use super::query::{Query, labels};
use super::refusal::{Refusal, answer};
use super::work::{self, Start, Work};
use super::{Of, Words, time};
use crate::clock;
use crate::state::{Shared, State};

/// What sort of value a setting has.
#[derive(Clone, Copy)]
enum Sort {
    Text,
    Flag,
    Number,
    Fraction,
    Texts,
    Objects,
}

/// How a remote is reached, whatever it has; `null` unless it is said.
const SETTINGS: &[(&str, Sort)] = &[
    ("ca_cert", Sort::Text),
    ("client_cert", Sort::Text),
    ("tls_validation", Sort::Flag),
    ("proxy_url", Sort::Text),
    ("max_retries", Sort::Number),
    ("total_timeout", Sort::Fraction),
    ("connect_timeout", Sort::Fraction),
    ("sock_connect_timeout", Sort::Fraction),
    ("sock_read_timeout", Sort::Fraction),
    ("headers", Sort::Objects),
    ("download_concurrency", Sort::Number),
    ("rate_limit", Sort::Number),
];

/// What is wanted of a Python index.
const PYTHON: &[(&str, Sort)] = &[
    ("includes", Sort::Texts),
    ("excludes", Sort::Texts),
    ("prereleases", Sort::Flag),
    ("package_types", Sort::Texts),
    ("keep_latest_packages", Sort::Number),
    ("exclude_platforms", Sort::Texts),
    ("provenance", Sort::Flag),
];

/// What is written and never shown.
const CREDENTIALS: &[&str] =
    &["client_key", "username", "password", "proxy_username", "proxy_password"];

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/remotes/", get(all))
        .route("/pulp/api/v3/remotes/{plugin}/{kind}/", get(list).post(create))
        .route(
            "/pulp/api/v3/remotes/{plugin}/{kind}/{id}/",
            get(show).patch(change).put(change).delete(remove),
        )
        .route("/pulp/api/v3/remotes/{plugin}/{kind}/{id}/set_label/", post(set_label))
        .route("/pulp/api/v3/remotes/{plugin}/{kind}/{id}/unset_label/", post(unset_label))
}

fn settings_of(content_type: &str) -> impl Iterator<Item = &'static (&'static str, Sort)> + use<> {
    let own = if content_type == "python" { PYTHON } else { &[] };
    SETTINGS.iter().chain(own)
}

/// What the content type of a remote is told.
pub(super) fn content_settings(one: &Remote) -> Value {
    let own = if one.content_type == "python" { PYTHON } else { &[] };
    let said = own.iter().filter_map(|(name, _)| {
        let value = one.settings.0.get(name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(said.collect())
}

/// A remote as it is shown.
fn shown(one: &Remote) -> Value {
    let mut shown = json!({
        "pulp_href": hrefs::object(Noun::Remote, &one.content_type, one.id),
        "prn": hrefs::name(Noun::Remote, &one.content_type, one.id),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.updated),
        "name": one.name,
        "url": one.url,
        "policy": one.policy,
        "pulp_labels": &one.labels.0,
        "hidden_fields": CREDENTIALS.iter().map(|name| {
            json!({"name": name, "is_set": one.credentials.0.get(name).is_some_and(|value| !value.is_null())})
        }).collect::<Vec<_>>(),
    });
    for (name, sort) in settings_of(&one.content_type) {
        let value = one.settings.0.get(name).cloned().filter(|value| !value.is_null());
        shown[*name] = value.unwrap_or(match (*name, sort) {
            ("tls_validation", _) => json!(true),
            (_, Sort::Texts) => json!([]),
            ("prereleases" | "provenance", _) => json!(false),
            _ => Value::Null,
        });
    }
    shown
}

/// What a body makes of a remote.
fn wish(content_type: &str, before: Option<Wish>, fields: &Fields) -> Result<Wish, Refusal> {
    let is_new = before.is_none();
    let mut wish = before.unwrap_or_default();
    if is_new || fields.has("name") {
        wish.name = fields.required("name")?;
    }
    if is_new || fields.has("url") {
        wish.url = fields.required("url")?;
    }
    if let Some(word) = fields.text("policy")? {
        let refused = || Refusal::field("policy", format!("\"{word}\" is not a valid choice."));
        wish.policy = Policy::parse(&word).ok_or_else(refused)?;
    }
    if let Some(value) = fields.get("pulp_labels") {
        wish.labels = labels(value)?;
    }
    for object in [&mut wish.settings, &mut wish.credentials] {
        if !object.is_object() {
            *object = json!({});
        }
    }
    for (name, sort) in settings_of(content_type) {
        if let Some(value) = fields.0.get(*name) {
            wish.settings[*name] = checked(fields, name, *sort, value)?;
        }
    }
    for name in CREDENTIALS {
        if fields.has(name) {
            wish.credentials[*name] = fields.text(name)?.filter(|text| !text.is_empty()).into();
        }
    }
    Ok(wish)
}

fn checked(fields: &Fields, name: &str, sort: Sort, value: &Value) -> Result<Value, Refusal> {
    let all =
        |fits: fn(&Value) -> bool| matches!(value, Value::Array(items) if items.iter().all(fits));
    let fits = value.is_null()
        || match sort {
            Sort::Text => return Ok(fields.text(name)?.filter(|text| !text.is_empty()).into()),
            Sort::Flag => return Ok(fields.flag(name)?.into()),
            Sort::Number => return Ok(fields.number(name)?.into()),
            Sort::Fraction => value.as_f64().is_some_and(|number| number >= 0.0),
            Sort::Texts => all(Value::is_string),
            Sort::Objects => all(Value::is_object),
        };
    if fits { Ok(value.clone()) } else { Err(Refusal::field(name, "This value does not fit.")) }
}

fn required(tx: &mut Tx<'_>, of: Of) -> Result<Remote, Refusal> {
    let found = remote::by_id(tx, of.id)?;
    let here = |one: &Remote| one.content_type == of.plugin.content_type;
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
    let plugin = words.plugin(Noun::Remote)?;
    page(state, asked, query, Some(plugin)).await
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    plugin: Option<&'static Plugin>,
) -> Result<Response, Refusal> {
    let filter = query.named(plugin)?;
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| remote::list(tx, &filter, window)).await?;
    let rows = page.rows.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn create(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let content_type = words.plugin(Noun::Remote)?.content_type;
    let wish = wish(content_type, None, &fields)?;
    let made = state.store.write(move |tx| {
        Ok::<_, Refusal>(shown(&remote::create(tx, content_type, &wish, clock::now())?))
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Words>,
    query: Query,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Remote)?;
    let mut row = state.store.read(move |tx| Ok::<_, Refusal>(shown(&required(tx, of)?))).await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

/// Changes a remote in the transaction of a task.
pub(super) fn apply(tx: &mut Tx<'_>, id: i64, fields: &Fields) -> Result<Value, Refusal> {
    let found = remote::required(tx, id)?;
    let wish = wish(&found.content_type, Some(Wish::of(&found)), fields)?;
    remote::change(tx, id, &wish, clock::now())?;
    Ok(shown(&remote::required(tx, id)?))
}

async fn change(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Remote)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        wish(&found.content_type, Some(Wish::of(&found)), &fields)?;
        Ok(Start {
            title: format!("Change remote {}", found.name),
            resources: vec![(hrefs::resource(Noun::Remote, of.id), Access::Exclusive)],
            work: Work::ChangeRemote { id: of.id, fields: fields.clone() },
        })
    })
    .await
}

async fn remove(Extract(state): Shared, Path(words): Path<Words>) -> Result<Response, Refusal> {
    let of = words.of(Noun::Remote)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        Ok(Start {
            title: format!("Delete remote {}", found.name),
            resources: vec![(hrefs::resource(Noun::Remote, of.id), Access::Exclusive)],
            work: Work::DropRemote { id: of.id },
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
    let of = words.of(Noun::Remote)?;
    let made = state.store.write(move |tx| {
        let mut wish = Wish::of(&required(tx, of)?);
        let shown = super::label(&mut wish.labels, &fields, is_set)?;
        remote::change(tx, of.id, &wish, clock::now())?;
        Ok::<_, Refusal>(shown)
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}
