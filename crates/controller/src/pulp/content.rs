//! Units of content: `/pulp/api/v3/content/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_content::listing::{self, Filter, Listed};
use tutti_content::modify::{Modification, Removal};
use tutti_content::python::distribution::normalised;
use tutti_content::unit::{self, NewFile, NewUnit};
use tutti_content::{Artifact, record_artifact, repository, upload};
use tutti_flow::Access;
use tutti_store::Tx;

use super::fields::{Fields, Form};
use super::hrefs::{self, Address};
use super::plugin::{Noun, Plugin};
use super::query::{Query, labels};
use super::refusal::{Refusal, answer};
use super::work::{self, Done, Effort, Start, Work};
use super::{Of, Words, time, wheel};
use crate::clock;
use crate::state::{Shared, State};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/content/", get(all))
        .route("/pulp/api/v3/content/{plugin}/{kind}/", get(list).post(create))
        .route("/pulp/api/v3/content/{plugin}/{kind}/{id}/", get(show))
        .route("/pulp/api/v3/content/{plugin}/{kind}/{id}/set_label/", post(set_label))
        .route("/pulp/api/v3/content/{plugin}/{kind}/{id}/unset_label/", post(unset_label))
}

/// A unit that somebody brings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct New {
    content_type: String,
    path: String,
    metadata: Value,
    labels: repository::Labels,
    /// Its bytes, here by digest and size or in an upload.
    artifact: Option<(String, u64)>,
    upload: Option<i64>,
    /// What the digest has to be.
    expected: Option<String>,
    /// The repository it is added to.
    repository: Option<i64>,
}

/// A unit as it is shown.
pub(super) fn shown(one: &Listed) -> Value {
    let content_type = one.content_type.as_str();
    let file = one.files.iter().find(|file| file.path == one.path).or_else(|| one.files.first());
    let digest = file.and_then(|file| file.digest.clone());
    let stored = file.filter(|file| file.is_stored).and_then(|file| file.digest.as_deref());
    let metadata: Value = serde_json::from_str(&one.metadata).unwrap_or_default();
    let mut shown = json!({
        "pulp_href": hrefs::object(Noun::Content, content_type, one.id),
        "prn": hrefs::name(Noun::Content, content_type, one.id),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.created),
        "pulp_labels": &one.labels,
        "vuln_report": null,
        "artifact": stored.map(hrefs::artifact),
        "sha256": digest,
        "md5": null, "sha1": null, "sha224": null, "sha384": null, "sha512": null,
    });
    match content_type {
        "python" => {
            if let (Value::Object(shown), Value::Object(metadata)) = (&mut shown, metadata) {
                shown.extend(metadata);
            }
            shown["filename"] = one.path.rsplit('/').next().unwrap_or_default().into();
            shown["size"] = file.and_then(|file| file.size).into();
        }
        _ => shown["relative_path"] = one.path.as_str().into(),
    }
    shown
}

fn required(tx: &mut Tx<'_>, of: Of) -> Result<Listed, Refusal> {
    let found = listing::by_ids(tx, &[of.id])?.pop();
    let here = |one: &Listed| one.content_type == of.plugin.content_type;
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
    let plugin = words.plugin(Noun::Content)?;
    page(state, asked, query, Some(plugin)).await
}

/// Which version content is listed of.
#[derive(Clone, Copy)]
enum Which {
    Present,
    Added,
    Removed,
}

async fn page(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
    plugin: Option<&'static Plugin>,
) -> Result<Response, Refusal> {
    let mut content_types =
        plugin.map_or_else(Plugin::content_types, |plugin| vec![plugin.content_type.to_owned()]);
    if let Some(wanted) = query.list("pulp_type__in") {
        content_types.retain(|one| wanted.contains(&Plugin::of(one).pulp_type.to_owned()));
    }
    let mut version = None;
    for (name, which) in [
        ("repository_version", Which::Present),
        ("repository_version_added", Which::Added),
        ("repository_version_removed", Which::Removed),
    ] {
        version = match query.address(name)? {
            None => version,
            Some(Address::Version(_, id, number)) => Some((which, id, number)),
            Some(_) => {
                return Err(Refusal::filter(format!("{name}: not the address of a version")));
            }
        };
    }
    let named = match (plugin.map(|plugin| plugin.content_type), query.take("name")) {
        (Some("python"), Some(name)) => Some(format!("{}/", normalised(&name))),
        (_, Some(_)) => return Err(Refusal::filter("Invalid Filter: 'name'")),
        (_, None) => None,
    };
    let filter = Filter {
        content_types,
        ids: query.ids()?,
        path: query.take("relative_path"),
        digest: query.take("sha256"),
        path_startswith: named,
        ..Filter::default()
    };
    query.ascending(&["pulp_created", "relative_path"])?;
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| {
        let mut filter = filter;
        if let Some((which, id, number)) = version {
            let found = repository::by_id(tx, id)?.ok_or_else(Refusal::not_found)?;
            filter.of = match which {
                Which::Present => listing::Of::Present(found, number),
                Which::Added => listing::Of::Added(found, number),
                Which::Removed => listing::Of::Removed(found, number),
            };
        }
        Ok::<_, Refusal>(listing::content(tx, &filter, window)?)
    });
    let page = page.await?;
    let rows = page.rows.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn show(
    Extract(state): Shared,
    Path(words): Path<Words>,
    query: Query,
) -> Result<Response, Refusal> {
    let of = words.of(Noun::Content)?;
    let mut row = state.store.read(move |tx| Ok::<_, Refusal>(shown(&required(tx, of)?))).await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn create(
    Extract(state): Shared,
    Path(words): Path<Words>,
    request: Request,
) -> Result<Response, Refusal> {
    let plugin = words.plugin(Noun::Content)?;
    let form = Form::read(&state.artifacts, request).await?;
    let new = read(plugin, &form)?;
    work::start(&state, move |tx| start(tx, new.clone())).await
}

/// What makes a unit.
pub(super) fn start(tx: &mut Tx<'_>, mut new: New) -> Result<Start, Refusal> {
    let mut resources = Vec::new();
    if let Some(id) = new.repository {
        let there = repository::by_id(tx, id)?;
        let none = || Refusal::field("repository", "Invalid hyperlink - Object does not exist.");
        there.filter(|one| one.content_type == new.content_type).ok_or_else(none)?;
        resources.push((hrefs::resource(Noun::Repository, id), Access::Exclusive));
    }
    match (&new.artifact, new.upload) {
        (None, Some(id)) => {
            upload::required(tx, id)?;
            resources.push((format!("upload/{id}"), Access::Exclusive));
        }
        (Some((digest, 0)), None) => {
            let found = listing::artifact_like(tx, digest)?;
            let none = || Refusal::field("artifact", "Invalid hyperlink - Object does not exist.");
            let found = found.ok_or_else(none)?;
            new.artifact = Some((found.digest, found.size));
        }
        _ => {}
    }
    Ok(Start {
        title: format!("Create content {}", new.path),
        resources,
        work: Work::CreateContent(new),
    })
}

/// What a form says of a new unit.
fn read(plugin: &'static Plugin, form: &Form) -> Result<New, Refusal> {
    let fields = &form.fields;
    let artifact = match fields.address("artifact")? {
        None => form.file.as_ref().map(|(artifact, _)| (artifact.digest.clone(), artifact.size)),
        // Its size is looked up with the rest of the digest.
        Some(Address::Artifact(beginning)) => Some((beginning, 0)),
        Some(_) => return Err(Refusal::field("artifact", "Not the address of an artifact.")),
    };
    let upload = match fields.address("upload")? {
        None => None,
        Some(Address::Upload(id)) => Some(id),
        Some(_) => return Err(Refusal::field("upload", "Not the address of an upload.")),
    };
    if artifact.is_some() == upload.is_some() {
        return Err(Refusal::invalid("One of 'file', 'artifact' and 'upload' has to be given."));
    }
    let path = fields.required("relative_path")?;
    let path = match plugin.content_type {
        "python" => super::index::path_of(&path)?,
        _ => path,
    };
    if !tutti_content::path::is_relative(&path) {
        return Err(Refusal::field("relative_path", "Not a relative path."));
    }
    let metadata = match plugin.content_type {
        "python" => super::index::metadata_of(fields, &path),
        _ => json!({}),
    };
    Ok(New {
        content_type: plugin.content_type.to_owned(),
        path,
        metadata,
        labels: match fields.get("pulp_labels") {
            Some(Value::String(text)) => labels(&serde_json::from_str(text).unwrap_or_default())?,
            Some(value) => labels(value)?,
            None => repository::Labels::new(),
        },
        artifact,
        upload,
        expected: fields.text("sha256")?,
        repository: fields.id("repository", Noun::Repository, plugin.content_type)?,
    })
}

impl New {
    /// A distribution of Python that was uploaded to an index.
    pub(super) fn uploaded(
        path: String,
        metadata: Value,
        artifact: &Artifact,
        expected: Option<String>,
        repository: i64,
    ) -> Self {
        Self {
            content_type: "python".to_owned(),
            path,
            metadata,
            labels: repository::Labels::new(),
            artifact: Some((artifact.digest.clone(), artifact.size)),
            upload: None,
            expected,
            repository: Some(repository),
        }
    }
}

/// Makes a unit; one that is there already is that unit.
pub(super) async fn make(effort: &Effort, new: New) -> Result<Done, Refusal> {
    let stored = match (&new.artifact, new.upload) {
        (Some((digest, size)), _) => Artifact { digest: digest.clone(), size: *size },
        (None, Some(id)) => {
            let found = effort.store.read(move |tx| upload::required(tx, id)).await?;
            effort.uploads.finish(&effort.artifacts, &found, new.expected.as_deref()).await?
        }
        (None, None) => return Err(Refusal::invalid("It has no bytes.")),
    };
    if let Some(expected) = new.expected.as_ref().filter(|expected| **expected != stored.digest) {
        let (expected, found) = (expected.clone(), stored.digest);
        return Err(tutti_content::Error::Mismatch { expected, found }.into());
    }
    // Whoever cleans up meanwhile leaves it.
    if effort.artifacts.keep(&stored.digest).await?.is_none() {
        return Err(Refusal::invalid("The bytes of the artifact are gone."));
    }
    let (repository, upload) = (new.repository, new.upload);
    let (new, own) = look_into(effort, new, &stored).await?;
    let (id, shown) = effort.store.write(move |tx| save(tx, &new, &stored, own.as_ref())).await?;
    if let Some(upload) = upload {
        effort.uploads.remove(upload).await?;
    }
    let href = hrefs::object(Noun::Content, &shown.content_type, id);
    let mut done = Done::created(href, Some(self::shown(&shown)));
    if let Some(repository) = repository {
        let remove = Removal::Units(Vec::new());
        let modification = Modification { add: vec![id], remove, base: None, overwrite: true };
        done.created.extend(effort.modify(repository, modification).await?.created);
    }
    Ok(done)
}

/// Looks into a wheel for what it says of itself, and stores that beside it.
async fn look_into(
    effort: &Effort,
    mut new: New,
    stored: &Artifact,
) -> Result<(New, Option<Artifact>), Refusal> {
    if new.content_type != "python" || !new.path.ends_with(".whl") {
        return Ok((new, None));
    }
    let path = effort.artifacts.path(&stored.digest);
    let read = tokio::task::spawn_blocking(move || wheel::metadata(&path));
    let Some(text) = read.await.ok().flatten() else { return Ok((new, None)) };
    if let Value::Object(known) = &mut new.metadata {
        wheel::complete(known, &text);
    }
    let bytes = futures_util::stream::iter([Ok::<_, std::io::Error>(text)]);
    Ok((new, Some(effort.artifacts.put(bytes).await?)))
}

fn save(
    tx: &mut Tx<'_>,
    new: &New,
    stored: &Artifact,
    own: Option<&Artifact>,
) -> Result<(i64, Listed), Refusal> {
    let now = clock::now();
    let mut files = Vec::new();
    for (ending, artifact) in std::iter::once(("", stored)).chain(own.map(|own| (".metadata", own)))
    {
        record_artifact(tx, artifact, now)?;
        files.push(NewFile {
            path: format!("{}{ending}", new.path),
            digest: Some(artifact.digest.clone()),
            size: Some(artifact.size),
        });
    }
    let unit = NewUnit {
        content_type: new.content_type.clone(),
        path: new.path.clone(),
        identity: stored.digest.clone(),
        metadata: new.metadata.to_string(),
        files,
    };
    let saved = unit::save(tx, &[unit], now)?;
    let saved = saved.first().ok_or_else(Refusal::not_found)?;
    if saved.is_new && !new.labels.is_empty() {
        listing::label(tx, saved.id, &new.labels)?;
    }
    if let Some(id) = new.upload {
        upload::drop(tx, id)?;
    }
    let listed = listing::by_ids(tx, &[saved.id])?.pop().ok_or_else(Refusal::not_found)?;
    Ok((saved.id, listed))
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
    let of = words.of(Noun::Content)?;
    let made = state.store.write(move |tx| {
        let mut labels = required(tx, of)?.labels;
        let shown = super::label(&mut labels, &fields, is_set)?;
        listing::label(tx, of.id, &labels)?;
        Ok::<_, Refusal>(shown)
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}
