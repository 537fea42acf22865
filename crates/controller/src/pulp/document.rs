//! The table of operations, and the document that clients read it from: `/pulp/api/v3/docs/api.json`.
//!
//! pulp-glue asks the document what there is: an operation's method and path, every parameter it may send, what a body may
//! be, and what comes back. Schemas are open: values are checked where they are used.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::hrefs::V3;
use super::plugin::{Noun, PLUGINS, Plugin};
use super::refusal::answer;
use super::status::VERSIONS;
use crate::state::State;

/// Parameters of every list.
const PAGE: &[&str] = &["limit", "offset", "ordering", "q", "fields", "exclude_fields"];

/// Parameters of lists of what has a name.
const NAMED: &[&str] = &[
    "name",
    "name__in",
    "name__contains",
    "name__icontains",
    "name__iexact",
    "name__startswith",
    "name__istartswith",
    "pulp_label_select",
    "pulp_href__in",
    "prn__in",
    "pulp_id__in",
    "pulp_type",
    "pulp_type__in",
];

const REPOSITORIES: &[&str] =
    &["remote", "retain_repo_versions", "with_content", "latest_with_content"];

const VERSION_LIST: &[&str] = &["number", "number__gte", "number__lte", "content", "content__in"];

const PUBLICATIONS: &[&str] =
    &["repository", "repository_version", "content", "content__in", "checkpoint", "pulp_type__in"];

const DISTRIBUTIONS: &[&str] = &[
    "base_path",
    "base_path__in",
    "base_path__contains",
    "base_path__icontains",
    "repository",
    "publication",
    "with_content",
];

const CONTENT: &[&str] = &[
    "repository_version",
    "repository_version_added",
    "repository_version_removed",
    "sha256",
    "relative_path",
    "name",
    "pulp_href__in",
    "prn__in",
    "pulp_id__in",
    "pulp_label_select",
    "pulp_type__in",
];

const ARTIFACTS: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

const TASKS: &[&str] = &[
    "name",
    "name__in",
    "name__contains",
    "name__ne",
    "state",
    "state__in",
    "state__ne",
    "task_group",
    "parent_task",
    "child_tasks",
    "worker",
    "created_resources",
    "reserved_resources",
    "reserved_resources__in",
    "exclusive_resources",
    "exclusive_resources__in",
    "shared_resources",
    "shared_resources__in",
    "logging_cid",
    "logging_cid__contains",
    "pulp_href__in",
    "unblocked_at__isnull",
];

/// Times that tasks are found by.
const TIMES: &[&str] = &["pulp_created", "started_at", "finished_at", "unblocked_at"];

const WORKERS: &[&str] = &[
    "name",
    "name__in",
    "name__contains",
    "name__icontains",
    "missing",
    "online",
    "last_heartbeat__gt",
    "last_heartbeat__lt",
];

/// What a body may be.
#[derive(Clone, Copy)]
enum Body {
    None,
    Json,
    Form,
}

/// One operation.
struct Operation {
    id: String,
    method: &'static str,
    /// Below [`V3`], or beginning with the parameter that is an address.
    path: String,
    query: Vec<String>,
    body: Body,
    codes: &'static [&'static str],
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/docs/api.json", get(async || answer(StatusCode::OK, &document())))
}

/// The document.
fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let path = match operation.path.starts_with('{') {
            true => operation.path.clone(),
            false => format!("{V3}{}", operation.path),
        };
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[operation.method] = described(&operation);
    }
    let versions: Map<String, Value> =
        VERSIONS.iter().map(|(name, version)| ((*name).to_owned(), (*version).into())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tutti, content in Pulp's ways",
            "version": "v3",
            "x-pulp-app-versions": versions,
            "x-pulp-domain-enabled": false,
        },
        "paths": paths,
        "components": {"securitySchemes": {"basicAuth": {"type": "http", "scheme": "basic"}}},
    })
}

fn described(operation: &Operation) -> Value {
    let parameter = |name: &String| match name.as_str() {
        "Content-Range" => json!({"name": name, "in": "header", "schema": {}}),
        // pulp-glue looks for the type of these.
        name if name.ends_with("content__in") => {
            json!({"name": name, "in": "query", "schema": {"type": "array", "items": {"type": "string"}}})
        }
        name => json!({"name": name, "in": "query", "schema": {}}),
    };
    let mut parameters: Vec<Value> = operation.query.iter().map(parameter).collect();
    if let Some((href, _)) = operation.path.strip_prefix('{').and_then(|path| path.split_once('}'))
    {
        parameters.push(
            json!({"name": href, "in": "path", "required": true, "schema": {"type": "string"}}),
        );
    }
    let content = json!({"application/json": {"schema": {}}});
    let response = |code: &&str| {
        let body = match *code {
            "204" => json!({"description": ""}),
            _ => json!({"description": "", "content": content}),
        };
        ((*code).to_owned(), body)
    };
    let mut described = json!({
        "operationId": operation.id,
        "security": [{"basicAuth": []}],
        "parameters": parameters,
        "responses": operation.codes.iter().map(response).collect::<Map<_, _>>(),
    });
    let body = match operation.body {
        Body::None => return described,
        Body::Json => content,
        Body::Form => json!({
            "multipart/form-data": {"schema": {}},
            "application/x-www-form-urlencoded": {"schema": {}},
        }),
    };
    described["requestBody"] = json!({"required": true, "content": body});
    described
}

/// Every operation there is.
fn operations() -> Vec<Operation> {
    let mut table = Table(Vec::new());
    for noun in Noun::ALL {
        table.list(noun.plural(), &format!("{}/", noun.plural()), &list_of(noun));
        for plugin in &PLUGINS {
            of_plugin(&mut table, noun, plugin);
        }
    }
    table.list("repository_versions", "repository_versions/", VERSION_LIST);
    table.list("contentguards", "contentguards/", NAMED);
    table.list("workers", "workers/", WORKERS);
    table.read("workers", "worker_href");
    table.list("task_groups", "task-groups/", &[]);
    table.read("task_groups", "task_group_href");
    let times = TIMES.iter().flat_map(|time| {
        ["", "__gt", "__gte", "__lt", "__lte"]
            .into_iter()
            .map(move |bound| format!("{time}{bound}"))
    });
    let times: Vec<String> = times.collect();
    let filters: Vec<&str> =
        TASKS.iter().copied().chain(times.iter().map(String::as_str)).collect();
    table.list("tasks", "tasks/", &filters);
    table.read("tasks", "task_href");
    table.add("tasks_cancel", "patch", "{task_href}", Body::Json, &["200"]);
    table.add("tasks_delete", "delete", "{task_href}", Body::None, &["204"]);
    table.add("tasks_purge", "post", "tasks/purge/", Body::Json, &["202"]);
    table.list("artifacts", "artifacts/", ARTIFACTS);
    table.read("artifacts", "artifact_href");
    table.add("artifacts_create", "post", "artifacts/", Body::Form, &["201"]);
    table.add("artifacts_delete", "delete", "{artifact_href}", Body::None, &["204"]);
    table.list("uploads", "uploads/", &[]);
    table.read("uploads", "upload_href");
    table.add("uploads_create", "post", "uploads/", Body::Json, &["201"]);
    table.add("uploads_update", "put", "{upload_href}", Body::Form, &["200"]);
    table.parameters(&["Content-Range"]);
    table.add("uploads_delete", "delete", "{upload_href}", Body::None, &["204"]);
    table.add("uploads_commit", "post", "{upload_href}commit/", Body::Json, &["202"]);
    table.add("orphans_cleanup_cleanup", "post", "orphans/cleanup/", Body::Json, &["202"]);
    table.add("repair_post", "post", "repair/", Body::Json, &["202"]);
    table.add(
        "repositories_reclaim_space_reclaim",
        "post",
        "repositories/reclaim_space/",
        Body::Json,
        &["202"],
    );
    table.add("status_read", "get", "status/", Body::None, &["200"]);
    table.0
}

fn list_of(noun: Noun) -> Vec<&'static str> {
    let (first, own): (&[&str], &[&str]) = match noun {
        Noun::Repository => (NAMED, REPOSITORIES),
        Noun::Remote => (NAMED, &[]),
        Noun::Publication => (&[], PUBLICATIONS),
        Noun::Distribution => (NAMED, DISTRIBUTIONS),
        Noun::Content => (&[], CONTENT),
    };
    first.iter().chain(own).copied().collect()
}

/// The operations of a noun of a content type.
fn of_plugin(table: &mut Table, noun: Noun, plugin: &Plugin) {
    let kind = plugin.kind(noun);
    let group = format!("{}_{}_{kind}", noun.plural(), plugin.name);
    let path = format!("{}/{}/{kind}/", noun.plural(), plugin.name);
    let href = plugin.parameter(noun);
    table.list(&group, &path, &list_of(noun));
    table.read(&group, &href);
    let (body, codes): (_, &[_]) = match noun {
        Noun::Content => (Body::Form, &["202"]),
        Noun::Repository | Noun::Remote => (Body::Json, &["201"]),
        Noun::Publication | Noun::Distribution => (Body::Json, &["202"]),
    };
    table.add(&format!("{group}_create"), "post", &path, body, codes);
    let at = format!("{{{href}}}");
    if matches!(noun, Noun::Repository | Noun::Remote | Noun::Distribution) {
        let changed = &["200", "202"];
        table.add(&format!("{group}_partial_update"), "patch", &at, Body::Json, changed);
        table.add(&format!("{group}_update"), "put", &at, Body::Json, changed);
    }
    if noun != Noun::Publication {
        for word in ["set_label", "unset_label"] {
            let path = format!("{at}{word}/");
            table.add(&format!("{group}_{word}"), "post", &path, Body::Json, &["201"]);
        }
    }
    match noun {
        Noun::Content => {}
        Noun::Publication => {
            table.add(&format!("{group}_delete"), "delete", &at, Body::None, &["204"])
        }
        _ => table.add(&format!("{group}_delete"), "delete", &at, Body::None, &["202"]),
    }
    if noun != Noun::Repository {
        return;
    }
    for word in ["sync", "modify"] {
        table.add(
            &format!("{group}_{word}"),
            "post",
            &format!("{at}{word}/"),
            Body::Json,
            &["202"],
        );
    }
    let version = format!("{0}_{0}_repository_version_href", plugin.name);
    table.list(&format!("{group}_versions"), &format!("{at}versions/"), VERSION_LIST);
    table.read(&format!("{group}_versions"), &version);
    let at = format!("{{{version}}}");
    table.add(&format!("{group}_versions_delete"), "delete", &at, Body::None, &["202"]);
    table.add(
        &format!("{group}_versions_repair"),
        "post",
        &format!("{at}repair/"),
        Body::Json,
        &["202"],
    );
}

/// The table while it is filled.
struct Table(Vec<Operation>);

impl Table {
    fn add(
        &mut self,
        id: &str,
        method: &'static str,
        path: &str,
        body: Body,
        codes: &'static [&'static str],
    ) {
        let (id, path) = (id.to_owned(), path.to_owned());
        self.0.push(Operation { id, method, path, query: Vec::new(), body, codes });
    }

    /// Parameters of the operation that was added last.
    fn parameters(&mut self, names: &[&str]) {
        if let Some(last) = self.0.last_mut() {
            last.query.extend(names.iter().map(|name| (*name).to_owned()));
        }
    }

    fn list(&mut self, group: &str, path: &str, filters: &[&str]) {
        self.add(&format!("{group}_list"), "get", path, Body::None, &["200"]);
        self.parameters(PAGE);
        self.parameters(filters);
    }

    fn read(&mut self, group: &str, href: &str) {
        self.add(&format!("{group}_read"), "get", &format!("{{{href}}}"), Body::None, &["200"]);
        self.parameters(&["fields", "exclude_fields"]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_is_there_once() {
        let operations = operations();
        let ids: BTreeSet<&str> = operations.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), operations.len());
        for id in [
            "repositories_file_file_sync",
            "repositories_python_python_versions_repair",
            "distributions_python_pypi_partial_update",
            "content_python_packages_create",
            "content_file_files_set_label",
        ] {
            assert!(ids.contains(id), "{id}");
        }
        let document = document();
        let update = &document["paths"]["{upload_href}"]["put"];
        assert_eq!(update["parameters"][0]["in"], "header");
        let read = &document["paths"]["{python_python_package_content_href}"]["get"];
        assert_eq!(read["operationId"], "content_python_packages_read");
    }
}
