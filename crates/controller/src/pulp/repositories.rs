//! Repositories: `/pulp/api/v3/repositories/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tutti_content::modify;
use tutti_content::repository::{self, Filter, Repository, Wish};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::Fields;
use super::hrefs::{self, Address};
use super::plugin::{Noun, Plugin};
use super::query::{Query, labels};
use super::refusal::{Refusal, answer};
use super::work::{self, Start, Work};
use super::{Of, Words, time};
use crate::clock;
use crate::state::{Shared, State};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/repositories/", get(all))
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/", get(list).post(create))
        .route(
            "/pulp/api/v3/repositories/{plugin}/{kind}/{id}/",
            get(show).patch(change).put(change).delete(remove),
        )
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/{id}/sync/", post(sync))
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/{id}/modify/", post(modify_content))
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/{id}/set_label/", post(set_label))
        .route("/pulp/api/v3/repositories/{plugin}/{kind}/{id}/unset_label/", post(unset_label))
        .route("/pulp/api/v3/repositories/reclaim_space/", post(reclaim))
}

/// A repository as it is shown.
pub(super) fn shown(one: &Repository) -> Value {
    let href = hrefs::object(Noun::Repository, &one.content_type, one.id);
    let remote = one.remote.map(|id| hrefs::object(Noun::Remote, &one.content_type, id));
    let mut shown = json!({
        "pulp_href": href,
        "prn": hrefs::name(Noun::Repository, &one.content_type, one.id),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.updated),
        "versions_href": format!("{href}versions/"),
        "latest_version_href": hrefs::version(&one.content_type, one.id, one.version),
        "pulp_labels": &one.labels.0,
        "name": one.name,
        "description": one.description,
        "retain_repo_versions": one.retain,
        "retain_checkpoints": null,
        "remote": remote,
        "autopublish": one.settings.0.get("autopublish").unwrap_or(&json!(false)),
        "last_sync_details": &one.last_sync.0,
    });
    if one.content_type == "file" {
        shown["manifest"] = manifest(one).into();
    }
    shown
}

/// The name of the manifest of what is published of a repository; none: without one.
pub(super) fn manifest(one: &Repository) -> Option<String> {
    match one.settings.0.get("manifest") {
        None => {
            (one.content_type == "file").then(|| tutti_content::publication::MANIFEST.to_owned())
        }
        Some(name) => name.as_str().filter(|name| !name.is_empty()).map(str::to_owned),
    }
}

/// What a body makes of a repository.
pub(super) fn wish(
    content_type: &str,
    before: Option<Wish>,
    fields: &Fields,
) -> Result<Wish, Refusal> {
    let is_new = before.is_none();
    let mut wish = before.unwrap_or_default();
    if is_new || fields.has("name") {
        wish.name = fields.required("name")?;
    }
    if fields.has("description") {
        wish.description = fields.text("description")?;
    }
    if fields.has("retain_repo_versions") {
        let retain = fields.number("retain_repo_versions")?.map(u32::try_from).transpose();
        let retain = retain.ok().filter(|retain| *retain != Some(0));
        let refused = || {
            Refusal::field(
                "retain_repo_versions",
                "Ensure this value is greater than or equal to 1.",
            )
        };
        wish.retain = retain.ok_or_else(refused)?;
    }
    if fields.has("remote") {
        wish.remote = fields.id("remote", Noun::Remote, content_type)?;
    }
    if let Some(value) = fields.get("pulp_labels") {
        wish.labels = labels(value)?;
    }
    if !wish.settings.is_object() {
        wish.settings = json!({});
    }
    if let Some(flag) = fields.flag("autopublish")? {
        wish.settings["autopublish"] = flag.into();
    }
    if fields.has("manifest") {
        let name = fields.text("manifest")?;
        if name
            .as_deref()
            .is_some_and(|name| !name.is_empty() && !tutti_content::path::is_relative(name))
        {
            return Err(Refusal::field("manifest", "Not a relative path."));
        }
        wish.settings["manifest"] = name.into();
    }
    Ok(wish)
}

/// The repository of a path.
pub(super) fn required(tx: &mut Tx<'_>, of: Of) -> Result<Repository, Refusal> {
    let found = repository::by_id(tx, of.id)?;
    let here = |one: &Repository| one.content_type == of.plugin.content_type;
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
    let plugin = words.plugin(Noun::Repository)?;
    page(state, asked, query, Some(plugin)).await
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    plugin: Option<&'static Plugin>,
) -> Result<Response, Refusal> {
    let retain = query.number("retain_repo_versions")?;
    let filter = Filter {
        named: query.named(plugin)?,
        remote: query.id("remote")?,
        retain: retain.map(|retain| u32::try_from(retain).unwrap_or(u32::MAX)),
        with_content: query.id("with_content")?,
        latest_with_content: query.id("latest_with_content")?,
    };
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| repository::list(tx, &filter, window)).await?;
    let rows = page.rows.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn create(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let plugin = words.plugin(Noun::Repository)?;
    let wish = wish(plugin.content_type, None, &fields)?;
    let made = state.store.write(move |tx| {
        check_remote(tx, &wish)?;
        Ok::<_, Refusal>(shown(&repository::create(tx, plugin.content_type, &wish, clock::now())?))
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}

/// Whether the remote is there.
fn check_remote(tx: &mut Tx<'_>, wish: &Wish) -> Result<(), Refusal> {
    let Some(id) = wish.remote else { return Ok(()) };
    match tutti_content::remote::by_id(tx, id)? {
        Some(_) => Ok(()),
        None => Err(Refusal::field("remote", "Invalid hyperlink - Object does not exist.")),
    }
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Words>,
    query: Query,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    let mut row = state.store.read(move |tx| Ok::<_, Refusal>(shown(&required(tx, of)?))).await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

/// Changes a repository in the transaction of a task.
pub(super) fn apply(tx: &mut Tx<'_>, id: i64, fields: &Fields) -> Result<Value, Refusal> {
    let found = repository::by_id(tx, id)?.ok_or_else(Refusal::not_found)?;
    let wish = wish(&found.content_type, Some(Wish::of(&found)), fields)?;
    check_remote(tx, &wish)?;
    repository::change(tx, id, &wish, clock::now())?;
    let changed = repository::by_id(tx, id)?.ok_or_else(Refusal::not_found)?;
    Ok(shown(&changed))
}

async fn change(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        check_remote(tx, &wish(&found.content_type, Some(Wish::of(&found)), &fields)?)?;
        Ok(Start {
            title: format!("Change repository {}", found.name),
            resources: vec![(hrefs::resource(Noun::Repository, of.id), Access::Exclusive)],
            work: Work::ChangeRepository { id: of.id, fields: fields.clone() },
        })
    })
    .await
}

async fn remove(Extract(state): Shared, Path(words): Path<Words>) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        Ok(Start {
            title: format!("Delete repository {}", found.name),
            resources: vec![(hrefs::resource(Noun::Repository, of.id), Access::Exclusive)],
            work: Work::DropRepository { id: of.id },
        })
    })
    .await
}

async fn sync(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    let content_type = of.plugin.content_type;
    let remote = fields.id("remote", Noun::Remote, content_type)?;
    let mirror = fields.flag("mirror")?.unwrap_or(false);
    let optimize = fields.flag("optimize")?.unwrap_or(true);
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        let none =
            || Refusal::invalid("A remote must be specified or the repository must have one.");
        let remote = remote.or(found.remote).ok_or_else(none)?;
        let from = tutti_content::remote::by_id(tx, remote)?.ok_or_else(|| {
            Refusal::field("remote", "Invalid hyperlink - Object does not exist.")
        })?;
        if mirror && found.settings.0.get("autopublish") == Some(&json!(true)) {
            let text = "Cannot use mirror mode with autopublished repository.";
            return Err(Refusal::invalid(text));
        }
        Ok(Start {
            title: format!("Sync repository {} from remote {}", found.name, from.name),
            resources: vec![
                (hrefs::resource(Noun::Repository, of.id), Access::Exclusive),
                (hrefs::resource(Noun::Remote, remote), Access::Shared),
            ],
            work: Work::Sync { repository: of.id, remote, mirror, optimize },
        })
    })
    .await
}

async fn modify_content(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    let is_all = matches!(fields.get("remove_content_units"),
        Some(Value::Array(units)) if units.iter().any(|unit| unit == "*"));
    let add = units(&fields, "add_content_units")?;
    let remove = if is_all { None } else { Some(units(&fields, "remove_content_units")?) };
    if is_all
        && matches!(fields.get("remove_content_units"), Some(Value::Array(units)) if units.len() > 1)
    {
        let text = "Cannot supply content units and '*'.";
        return Err(Refusal::field("remove_content_units", text));
    }
    let base = match fields.address("base_version")? {
        None => None,
        Some(Address::Version(_, repository, number)) if repository == of.id => Some(number),
        Some(_) => return Err(Refusal::field("base_version", "Not a version of this repository.")),
    };
    let overwrite = fields.flag("overwrite")?.unwrap_or(true);
    work::start(&state, move |tx| {
        let found = required(tx, of)?;
        if let Some(number) = base {
            repository::version::required(tx, &found, number)?;
        }
        let all: Vec<i64> = add.iter().chain(remove.iter().flatten()).copied().collect();
        if let Some(id) = modify::unknown(tx, &all)?.first() {
            let href = hrefs::object(Noun::Content, of.plugin.content_type, *id);
            return Err(Refusal::invalid(format!(
                "Could not find the following content units: ['{href}']"
            )));
        }
        if !overwrite && let Some(path) = modify::occupied(tx, of.id, &add)?.first() {
            let text = format!(
                "There is other content at {path} already, and it is not to be overwritten."
            );
            return Err(Refusal::conflict(text));
        }
        Ok(Start {
            title: format!("Change the content of repository {}", found.name),
            resources: vec![(hrefs::resource(Noun::Repository, of.id), Access::Exclusive)],
            work: Work::Modify {
                repository: of.id,
                add: add.clone(),
                remove: remove.clone(),
                base,
                overwrite,
            },
        })
    })
    .await
}

fn units(fields: &Fields, name: &str) -> Result<Vec<i64>, Refusal> {
    if let Some(Value::Array(texts)) = fields.get(name)
        && texts.iter().any(|text| text == "*")
    {
        return Ok(Vec::new());
    }
    let id = |address: Address| match address {
        Address::Object(Noun::Content, _, id) => Ok(id),
        _ => Err(Refusal::field(name, "Not the address of a unit of content.")),
    };
    fields.addresses(name)?.unwrap_or_default().into_iter().map(id).collect()
}

async fn set_label(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    label(state, words, fields, true).await
}

async fn unset_label(
    Extract(state): Shared,
    Path(words): Path<Words>,
    fields: Fields,
) -> Result<Response, Refusal> {
    label(state, words, fields, false).await
}

async fn label(
    state: Arc<State>,
    words: Words,
    fields: Fields,
    is_set: bool,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Repository)?;
    let made = state.store.write(move |tx| {
        let mut wish = Wish::of(&required(tx, of)?);
        let shown = super::label(&mut wish.labels, &fields, is_set)?;
        repository::change(tx, of.id, &wish, clock::now())?;
        Ok::<_, Refusal>(shown)
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}

async fn reclaim(Extract(state): Shared, fields: Fields) -> Result<Response, Refusal> {
    let is_all = matches!(fields.get("repo_hrefs"), Some(Value::Array(texts)) if texts.iter().any(|text| text == "*"));
    let id = |address: Address| match address {
        Address::Object(Noun::Repository, _, id) => Ok(id),
        _ => Err(Refusal::field("repo_hrefs", "Not the address of a repository.")),
    };
    let named: Vec<i64> = match is_all {
        true => Vec::new(),
        false => fields
            .addresses("repo_hrefs")?
            .unwrap_or_default()
            .into_iter()
            .map(id)
            .collect::<Result<_, _>>()?,
    };
    work::start(&state, move |tx| {
        let ids = match is_all {
            true => repository::ids(tx, &Plugin::content_types())?,
            false => named.clone(),
        };
        let resource = |id: &i64| (hrefs::resource(Noun::Repository, *id), Access::Exclusive);
        Ok(Start {
            title: "Reclaim space".to_owned(),
            resources: ids.iter().map(resource).collect(),
            work: Work::Reclaim { repositories: ids },
        })
    })
    .await
}
