//! The content type `python`: distributions of Python projects, from an index as PyPI's.
//!
//! Metadata comes in two layers: which projects there are, and a page for each of them that lists its files. Pages are read as
//! JSON (PEP 691, 700) or HTML (PEP 503), many at the same time and beside the downloads. A page that has not changed is
//! not read; one that fails leaves its project as it was.
//!
//! - this file: the two layers;
//! - [`index`]: what pages say, in both forms; `html`: links of a page;
//! - [`distribution`]: what a file's name says;
//! - [`selection`]: which projects and files are wanted.
//!
//! A unit is a file; its path is `PROJECT/FILENAME`. The metadata that installers read first (PEP 658) is its second file,
//! `PROJECT/FILENAME.metadata`. A file that is yanked becomes another unit: what a version says of it never changes.

pub mod distribution;
mod html;
pub mod index;
pub mod selection;

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use self::{
    distribution::{Distribution, normalised},
    index::File,
    selection::Selection,
};
use crate::{
    digest::Expected,
    download::{Page, Request, Validators},
    path,
    pipeline::{
        Ask, Declared, DeclaredFile, Error, Failure, Origin, Output, Place, Stage, Stages,
        documents,
    },
    sync::{Plan, Start},
};

/// The name of the content type.
pub const CONTENT_TYPE: &str = "python";

/// The largest list of projects that is read.
const PROJECTS_BYTES_MAX: u64 = 512 << 20;

/// The largest page of a project that is read.
const PAGE_BYTES_MAX: u64 = 128 << 20;

/// Of so many projects it is remembered what their pages were.
const REMEMBERED_MAX: usize = 50_000;

const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// What is remembered of a sync: what the server called each page, by project.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    pages: std::collections::BTreeMap<String, Validators>,
}

/// Finds out which projects there are.
///
/// # Errors
/// [`Error::Other`] if its selection cannot be understood; [`Error::Download`] if the list of projects cannot be fetched.
pub async fn plan(start: Start) -> Result<Option<Plan>, Error> {
    let selection =
        Selection::of(&start.source.content).map_err(|bad| Error::Other(Box::new(bad)))?;
    let root = index_of(start.origin.client.url().as_str());
    let origin = start.origin;
    let projects: Vec<String> = match selection.named() {
        Some(projects) => projects,
        None => {
            let found = projects(&origin, &root).await?;
            start.progress.count(|counts| counts.metadata += 1);
            found.into_iter().filter(|project| selection.wants_project(project)).collect()
        }
    };
    let mut memory = Memory::deserialize(&start.memory).unwrap_or_default();
    memory.pages.retain(|project, _| projects.binary_search(project).is_ok());
    let remembered = Plan::remember(&memory);
    let is_remembered = projects.len() <= REMEMBERED_MAX;
    let total = projects.len() as u64;
    tracing::debug!(total, "projects");
    let list = Stage::new("projects", move |_, _, output: Output<String>| async move {
        for project in projects {
            output.send(project).await?;
        }
        Ok(())
    });
    let (into, known) = (Arc::clone(&remembered), memory.pages);
    let (from, selection) = (Arc::clone(&origin), Arc::new(selection));
    let pages = documents(
        "pages",
        &origin,
        move |project: &String| Ask {
            name: project.clone(),
            urls: vec![page_of(&root, project)],
            accept: Some(ACCEPT),
            known: known.get(project).cloned().unwrap_or_default(),
            most: PAGE_BYTES_MAX,
            place: Place::Below(project.clone()),
        },
        move |context, project, page| {
            let files = index::files(&page.content_type, &page.bytes)?;
            let (declared, failures) = declare(&from, &selection, &project, &page, files);
            for failure in failures {
                // One too many ends the run at the next.
                let _ = context.leave_out(failure);
            }
            if is_remembered && !page.validators.is_empty() {
                remember(&into, &project, &page.validators);
            }
            Ok(declared)
        },
    );
    let stages = Stages::standard(origin.client.concurrency() * 2);
    let first = list.then(pages);
    Ok(Some(Plan { first, stages, memory: remembered, documents: Vec::new() }))
}

/// All projects of an index, in order.
async fn projects(origin: &Origin, root: &str) -> Result<Vec<String>, Error> {
    let (urls, expected) = ([page_at(root)], Expected::default());
    let request = Request {
        accept: Some(ACCEPT),
        most: PROJECTS_BYTES_MAX,
        ..Request::new(&urls, &expected)
    };
    let Some(page) = origin.client.page(&request).await? else { return Ok(Vec::new()) };
    let names = index::projects(&page.content_type, &page.bytes);
    let names = names.map_err(|why| Error::Other(format!("the list of projects: {why}").into()))?;
    let mut projects: Vec<String> = names.iter().map(|name| normalised(name)).collect();
    projects.retain(|project| path::is_relative(project) && !project.contains('/'));
    projects.sort_unstable();
    projects.dedup();
    Ok(projects)
}

fn remember(memory: &Mutex<Value>, project: &str, validators: &Validators) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Value::Object(pages)) = memory.get_mut("pages") {
        let validators = serde_json::to_value(validators).unwrap_or_default();
        pages.insert(project.to_owned(), validators);
    }
}

/// Units of a page, and what of it cannot be had.
fn declare(
    origin: &Arc<Origin>,
    selection: &Selection,
    project: &str,
    page: &Page,
    files: Vec<File>,
) -> (Vec<Declared>, Vec<Failure>) {
    let (mut declared, mut failures) = (Vec::new(), Vec::new());
    let base = Url::parse(&page.url).ok();
    let found = files.into_iter().filter_map(|file| {
        // What has no version that can be compared, no installer takes.
        let distribution = Distribution::of(project, &file.filename)?;
        Some((file, distribution))
    });
    for (file, distribution) in selection.selected(project, found.collect()) {
        let path = format!("{project}/{}", file.filename);
        if !path::is_relative(&path) || file.filename.contains('/') {
            failures.push(Failure::nowhere(&path, "no file may have that name"));
            continue;
        }
        match base.as_ref().and_then(|base| base.join(&file.url).ok()) {
            Some(mut url) => {
                url.set_fragment(None);
                declared.push(unit(origin, &path, &url, &file, &distribution));
            }
            None => failures.push(Failure::at(&path, format!("{:?} is no address", file.url))),
        }
    }
    (declared, failures)
}

fn unit(
    origin: &Arc<Origin>,
    path: &str,
    url: &Url,
    file: &File,
    distribution: &Distribution,
) -> Declared {
    let expected = Expected { digests: file.digests.clone(), size: file.size };
    let mut files = vec![DeclaredFile::new(path, url.to_string(), expected)];
    if let Some(digests) = &file.core_metadata {
        let mut url = url.clone();
        let own = format!("{}.metadata", url.path());
        url.set_path(&own);
        let expected = Expected { digests: digests.clone(), size: None };
        files.push(DeclaredFile::new(&format!("{path}.metadata"), url.into(), expected));
    }
    let mut unit = Declared::new(origin, CONTENT_TYPE, path, files);
    if file.yanked.is_some() {
        unit.identity = unit.identity.map(|digest| format!("{digest} yanked"));
    }
    unit.metadata = metadata(file, distribution).to_string();
    unit
}

/// Under the names of Pulp's API.
fn metadata(file: &File, distribution: &Distribution) -> Value {
    let mut metadata = Map::new();
    let mut put = |name: &str, value: Value| drop(metadata.insert(name.to_owned(), value));
    put("name", distribution.name.clone().into());
    put("version", distribution.version_text.clone().into());
    put("filename", file.filename.clone().into());
    put("packagetype", distribution.kind.name().into());
    put("requires_python", file.requires_python.clone().unwrap_or_default().into());
    put("hashes", json!(file.digests));
    if let Some(size) = file.size {
        put("size", size.into());
    }
    if let Some(time) = &file.upload_time {
        put("upload_time", time.clone().into());
    }
    if let Some(reason) = &file.yanked {
        put("yanked", true.into());
        put("yanked_reason", reason.clone().into());
    }
    metadata.into()
}

/// Where the index begins: a url may name it, or the site that has one below `simple/`.
fn index_of(url: &str) -> String {
    let url = url.trim_end_matches('/');
    if url.ends_with("/simple") { format!("{url}/") } else { format!("{url}/simple/") }
}

fn page_of(root: &str, project: &str) -> String {
    page_at(&format!("{root}{project}/"))
}

/// A directory of files has its page in a file.
fn page_at(url: &str) -> String {
    if url.starts_with("file:") { format!("{url}index.html") } else { url.to_owned() }
}
