//! Python's index below `/pypi/`: PEP 503 and 691 for installers, JSON of projects, and uploads.
//!
//! A project's files are one range of paths, `{project}/{filename}`, so a page costs what is on it. Files are served by the
//! content app.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::{OriginalUri, Path, Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tutti_content::listing::Listed;
use tutti_content::python::distribution::normalised;
use tutti_content::serve::{self, Target};
use tutti_content::unit::UnitFile;
use tutti_content::{distribution, repository};
use tutti_flow::FlowState;

use super::content::{self, New};
use super::fields::{Fields, Form};
use super::refusal::{Refusal, answer};
use super::served::{encoded, escaped};
use super::work;
use crate::state::{Shared, State};

/// Files of a project that are listed.
const FILES_MAX: u32 = 100_000;

/// Projects that are listed.
const PROJECTS_MAX: usize = 1_000_000;

/// How long an upload waits to be in its repository, behind what else changes it.
const PATIENCE: Duration = Duration::from_mins(1);

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";

/// Fields of a unit that Pulp shows, with what stands for nothing.
const METADATA: &[&str] = &[
    "name",
    "version",
    "packagetype",
    "metadata_version",
    "summary",
    "description",
    "description_content_type",
    "keywords",
    "home_page",
    "download_url",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "requires_python",
    "project_url",
    "platform",
    "supported_platform",
];

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/pypi/{*path}", get(find).post(upload))
}

/// The project and version that a file's name says it is of.
fn parsed(filename: &str) -> Option<(&str, &str)> {
    if let Some(wheel) = filename.strip_suffix(".whl") {
        let mut parts = wheel.split('-');
        return Some((parts.next()?, parts.next()?)).filter(|_| parts.next().is_some());
    }
    let endings = [".tar.gz", ".tar.bz2", ".tar.xz", ".zip", ".tgz", ".egg"];
    let stem = endings.iter().find_map(|ending| filename.strip_suffix(ending))?;
    stem.rsplit_once('-').filter(|(name, version)| !name.is_empty() && !version.is_empty())
}

/// Where a file of a project is in a repository.
pub(super) fn path_of(relative_path: &str) -> Result<String, Refusal> {
    let filename = relative_path.rsplit('/').next().unwrap_or_default();
    let refused = || {
        Refusal::field(
            "relative_path",
            format!("{filename:?} is no name of a Python distribution."),
        )
    };
    let (name, _) = parsed(filename).ok_or_else(refused)?;
    Ok(format!("{}/{filename}", normalised(name)))
}

/// What a form says of a file at a path.
pub(super) fn metadata_of(fields: &Fields, path: &str) -> Value {
    let filename = path.rsplit('/').next().unwrap_or_default();
    let mut metadata = Map::new();
    for name in METADATA {
        metadata.insert((*name).to_owned(), fields.get(name).cloned().unwrap_or_else(|| "".into()));
    }
    if let Some((name, version)) = parsed(filename) {
        for (field, value) in [("name", name), ("version", version)] {
            if fields.get(field).is_none() {
                metadata.insert(field.to_owned(), value.into());
            }
        }
    }
    let is_wheel = filename.ends_with(".whl");
    let kind = fields.get("filetype").cloned();
    let kind = kind.unwrap_or_else(|| if is_wheel { "bdist_wheel" } else { "sdist" }.into());
    metadata.insert("packagetype".to_owned(), kind);
    metadata.into()
}

async fn find(
    Extract(state): Shared,
    Path(path): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let plain = path.trim_end_matches('/').to_owned();
    let has_slash = path.ends_with('/');
    let (target, rest) = target(&state, plain).await?;
    let words: Vec<&str> = rest.split('/').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["simple", ..] if !has_slash => Ok(moved(format!("{}/", uri.path()))),
        ["simple"] => projects(&state, target, &headers).await,
        ["simple", name] => {
            let normal = normalised(name);
            if normal != *name {
                let to =
                    format!("/pypi/{}/simple/{}/", encoded(&target.base_path), encoded(&normal));
                return Ok(moved(to));
            }
            let units = units(&state, &target, &normal).await?;
            let page = Page { target: &target, name: &normal, units: &units };
            let answer = match wants_json(&headers) {
                true => (JSON, page.json().to_string()),
                false => (html_kind(&headers), page.html()),
            };
            Ok(sent(&headers, answer.0, answer.1))
        }
        ["pypi", name, "json"] => project(&state, &target, name, None, &headers).await,
        ["pypi", name, version, "json"] => {
            project(&state, &target, name, Some(version), &headers).await
        }
        _ => Err(Refusal::not_found()),
    }
}

/// The distribution of Python at whose base path an address begins, and the rest of it.
async fn target(state: &State, path: String) -> Result<(Target, String), Refusal> {
    let asked = path.clone();
    let found = state.store.read(move |tx| match tutti_content::path::is_relative(&asked) {
        true => serve::target(tx, &asked),
        false => Ok(None),
    });
    let found = found.await?.filter(|target| target.content_type == "python");
    let target = found.ok_or_else(Refusal::not_found)?;
    let rest = path.get(target.base_path.len()..).unwrap_or_default().to_owned();
    Ok((target, rest))
}

fn moved(to: String) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response()
}

async fn units(state: &State, target: &Target, project: &str) -> Result<Vec<Listed>, Refusal> {
    let (target, project) = (target.clone(), project.to_owned());
    let read = state.store.read(move |tx| serve::units_below(tx, &target, &project, FILES_MAX));
    let units = read.await?;
    if units.is_empty() { Err(Refusal::not_found()) } else { Ok(units) }
}

async fn projects(state: &State, target: Target, headers: &HeaderMap) -> Result<Response, Refusal> {
    let read = state.store.read(move |tx| serve::entries(tx, &target, "", PROJECTS_MAX));
    let (entries, _) = read.await?;
    let names = entries.iter().filter(|entry| entry.is_directory).map(|entry| entry.name.as_str());
    if wants_json(headers) {
        let projects: Vec<Value> = names.map(|name| json!({"name": name})).collect();
        let body = json!({"meta": {"api-version": "1.1"}, "projects": projects});
        return Ok(sent(headers, JSON, body.to_string()));
    }
    let mut page = String::from(HEAD);
    page.push_str("<title>Simple index</title></head>\n<body>\n");
    for name in names {
        let (address, name) = (escaped(&encoded(name)), escaped(name));
        // Writing to a string succeeds.
        let _ = writeln!(page, "<a href=\"{address}/\">{name}</a><br>");
    }
    page.push_str("</body>\n</html>\n");
    Ok(sent(headers, html_kind(headers), page))
}

const HEAD: &str =
    "<!DOCTYPE html>\n<html>\n<head><meta name=\"pypi:repository-version\" content=\"1.1\">\n";

/// A project's page.
struct Page<'a> {
    target: &'a Target,
    name: &'a str,
    units: &'a [Listed],
}

/// What is said of one file.
struct Line<'a> {
    filename: &'a str,
    address: String,
    digest: Option<&'a str>,
    size: Option<u64>,
    metadata: Value,
    /// What the wheel says of itself, if that can be had alone (PEP 658).
    own: Option<&'a UnitFile>,
    created: i64,
}

impl<'a> Page<'a> {
    fn lines(&self) -> impl Iterator<Item = Line<'a>> {
        let base = encoded(&self.target.base_path);
        self.units.iter().map(move |unit| {
            let own_path = format!("{}.metadata", unit.path);
            let file = |path: &str| unit.files.iter().find(|file: &&UnitFile| file.path == path);
            let bytes = file(&unit.path);
            Line {
                filename: unit.path.rsplit('/').next().unwrap_or_default(),
                address: format!("/pulp/content/{base}/{}", encoded(&unit.path)),
                digest: bytes.and_then(|file| file.digest.as_deref()),
                size: bytes.and_then(|file| file.size),
                metadata: serde_json::from_str(&unit.metadata).unwrap_or_default(),
                own: file(&own_path),
                created: unit.created,
            }
        })
    }

    fn json(&self) -> Value {
        let mut versions = BTreeSet::new();
        let files: Vec<Value> = self
            .lines()
            .map(|line| {
                versions.extend(line.text("version"));
                line.json()
            })
            .collect();
        json!({"meta": {"api-version": "1.1"}, "name": self.name, "files": files, "versions": versions})
    }

    fn html(&self) -> String {
        let name = escaped(self.name);
        let mut page = format!(
            "{HEAD}<title>Links for {name}</title></head>\n<body>\n<h1>Links for {name}</h1>\n"
        );
        for line in self.lines() {
            page.push_str(&line.html());
        }
        page.push_str("</body>\n</html>\n");
        page
    }
}

impl Line<'_> {
    fn text(&self, field: &str) -> Option<String> {
        let text = self.metadata.get(field)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Why it was yanked; yes without a reason is an empty text.
    fn yanked(&self) -> Option<Value> {
        let reason = self.text("yanked_reason");
        match self.metadata.get("yanked") {
            Some(Value::Bool(true)) => Some(reason.map_or(Value::Bool(true), Value::String)),
            Some(Value::String(text)) => Some(text.clone().into()),
            _ => None,
        }
    }

    fn json(&self) -> Value {
        let mut file = json!({
            "filename": self.filename,
            "url": self.address,
            "hashes": self.digest.map_or_else(|| json!({}), |digest| json!({"sha256": digest})),
            "upload-time": self.text("upload_time").unwrap_or_else(|| super::time(self.created)),
        });
        if let Some(size) = self.size {
            file["size"] = size.into();
        }
        if let Some(text) = self.text("requires_python") {
            file["requires-python"] = text.into();
        }
        if let Some(own) = self.own {
            let hashes = own.digest.as_ref().map(|digest| json!({"sha256": digest}));
            for name in ["core-metadata", "data-dist-info-metadata"] {
                file[name] = hashes.clone().unwrap_or(Value::Bool(true));
            }
        }
        if let Some(yanked) = self.yanked() {
            file["yanked"] = yanked;
        }
        file
    }

    fn html(&self) -> String {
        let digest = self.digest.map(|digest| format!("#sha256={digest}")).unwrap_or_default();
        let mut attributes = format!("href=\"{}{digest}\"", escaped(&self.address));
        let mut add = |name: &str, value: &str| {
            // Writing to a string succeeds.
            let _ = write!(attributes, " {name}=\"{}\"", escaped(value));
        };
        if let Some(text) = self.text("requires_python") {
            add("data-requires-python", &text);
        }
        if let Some(own) = self.own {
            let digest = own.digest.as_ref().map(|digest| format!("sha256={digest}"));
            for name in ["data-core-metadata", "data-dist-info-metadata"] {
                add(name, digest.as_deref().unwrap_or("true"));
            }
        }
        if let Some(yanked) = self.yanked() {
            add("data-yanked", yanked.as_str().unwrap_or_default());
        }
        format!("<a {attributes}>{}</a><br>\n", escaped(self.filename))
    }
}

/// What is known of a project, as the index of the Python community answers it.
async fn project(
    state: &State,
    target: &Target,
    name: &str,
    version: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let normal = normalised(name);
    let units = units(state, target, &normal).await?;
    let page = Page { target, name: &normal, units: &units };
    let mut releases: Map<String, Value> = Map::new();
    let mut newest: Option<(i64, Value)> = None;
    for (line, unit) in page.lines().zip(&units) {
        let own = line.text("version").unwrap_or_default();
        let mut url = line.json();
        url["packagetype"] = line.metadata.get("packagetype").cloned().unwrap_or_default();
        url["digests"] = url["hashes"].take();
        url["url"] = format!("{}{}", state.origin(), line.address).into();
        url["requires_python"] = line.text("requires_python").into();
        url["yanked"] = line.yanked().is_some().into();
        url["upload_time_iso_8601"] = url["upload-time"].take();
        if let Value::Object(fields) = &mut url {
            fields.retain(|name, _| !name.contains('-') && name != "hashes");
        }
        let is_wanted = version.is_none_or(|wanted| wanted == own);
        if is_wanted && newest.as_ref().is_none_or(|(id, _)| *id < unit.id) {
            newest = Some((unit.id, line.metadata));
        }
        let release = releases.entry(own).or_insert_with(|| json!([]));
        if let Value::Array(files) = release {
            files.push(url);
        }
    }
    let (_, info) = newest.ok_or_else(Refusal::not_found)?;
    let own = info.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
    let urls = releases.get(&own).cloned().unwrap_or_default();
    let mut body = json!({"info": info, "last_serial": 0, "urls": urls});
    if version.is_none() {
        body["releases"] = releases.into();
    }
    Ok(sent(headers, "application/json", body.to_string()))
}

/// An answer with its entity tag, unless the client has it.
fn sent(headers: &HeaderMap, kind: &'static str, body: String) -> Response {
    let hash = digest(&SHA256, body.as_bytes());
    let tag: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|seen| seen.to_str().ok());
    let is_known = seen.is_some_and(|seen| {
        seen.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    });
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => body.into_response(),
    };
    let lines = response.headers_mut();
    if !is_known {
        lines.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    lines.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=600, public"));
    lines.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        lines.insert(header::ETAG, tag);
    }
    response
}

/// How much a client wants a media type, by its own kind or a wider one.
fn weight(headers: &HeaderMap, kind: &str) -> f64 {
    let accepted =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    let mut found = (0, 0.0);
    for part in accepted.split(',') {
        let mut words = part.split(';').map(str::trim);
        let range = words.next().unwrap_or_default();
        let closeness = match range {
            range if range == kind => 3,
            "*/*" => 1,
            range => match range.strip_suffix("/*") {
                Some(family) if kind.split('/').next() == Some(family) => 2,
                _ => 0,
            },
        };
        let quality = words.find_map(|word| word.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
        if closeness > found.0 {
            found = (closeness, quality.unwrap_or(0.0));
        }
    }
    found.1
}

/// Whether JSON is wanted more than HTML.
fn wants_json(headers: &HeaderMap) -> bool {
    weight(headers, JSON) > weight(headers, HTML).max(weight(headers, "text/html"))
}

fn html_kind(headers: &HeaderMap) -> &'static str {
    if weight(headers, HTML) > weight(headers, "text/html") {
        HTML
    } else {
        "text/html; charset=utf-8"
    }
}

/// Takes a file as twine sends it.
async fn upload(
    Extract(state): Shared,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (target, rest) = target(&state, path.trim_end_matches('/').to_owned()).await?;
    if !matches!(rest.trim_matches('/'), "legacy" | "simple") {
        return Err(Refusal::not_found());
    }
    let id = target.distribution;
    let held = state.store.read(move |tx| {
        let found = distribution::required(tx, id)?;
        let repository = found.repository.filter(|_| found.version.is_none());
        let name = repository.map(|id| repository::by_id(tx, id)).transpose()?.flatten();
        Ok::<_, Refusal>(
            name.filter(|_| found.settings.0.get("allow_uploads") != Some(&json!(false))),
        )
    });
    let into = held.await?.ok_or_else(|| {
        Refusal::detail(
            StatusCode::FORBIDDEN,
            "This index takes no uploads: it serves no repository.",
        )
    })?;
    let form = Form::read(&state.artifacts, request).await?;
    let (artifact, filename) =
        form.file.ok_or_else(|| Refusal::field("content", "No file was submitted."))?;
    let path = path_of(&filename)?;
    if !tutti_content::path::is_relative(&path) {
        return Err(Refusal::field("content", "Not a name of a file."));
    }
    let (asked, there) = (path.clone(), target.clone());
    let taken = state.store.read(move |tx| serve::file(tx, &there, &asked)).await?;
    if taken.is_some_and(|file| file.digest.as_ref() != Some(&artifact.digest)) {
        let text = format!("File already exists: {filename} has other bytes here.");
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, text));
    }
    let metadata = metadata_of(&form.fields, &path);
    let expected = form.fields.text("sha256_digest")?.filter(|text| !text.is_empty());
    let new = New::uploaded(path, metadata, &artifact, expected, into.id);
    let flow = work::begin(&state, move |tx| content::start(tx, new.clone())).await?;
    let ended = tokio::time::timeout(PATIENCE, tutti_flow::ended(&state.store, flow)).await;
    match ended.map_err(|_| {
        Refusal::detail(StatusCode::GATEWAY_TIMEOUT, "The upload is stored; it waits for its turn.")
    })?? {
        flow if flow.state == FlowState::Succeeded => Ok(answer(StatusCode::CREATED, &json!({}))),
        flow => Err(Refusal::invalid(flow.error.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (filename, expected) in [
            ("Foo_Bar-1.0-py3-none-any.whl", Some("foo-bar/Foo_Bar-1.0-py3-none-any.whl")),
            ("a.b-c-2.0.tar.gz", Some("a-b-c/a.b-c-2.0.tar.gz")),
            ("dir/x-1.zip", Some("x/x-1.zip")),
            ("x.whl", None),
            ("x-1.exe", None),
            ("-1.zip", None),
        ] {
            assert_eq!(path_of(filename).ok().as_deref(), expected, "{filename}");
        }
    }

    #[test]
    fn what_a_client_accepts() {
        let pip = format!("{JSON}, {HTML};q=0.1, text/html;q=0.01");
        for (accept, expected) in [
            (pip.as_str(), true),
            ("text/html", false),
            ("*/*", false),
            (JSON, true),
            ("text/html;q=0.5, application/*", false),
            (HTML, false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_json(&headers), expected, "{accept}");
        }
        assert!(!wants_json(&HeaderMap::new()));
    }
}
