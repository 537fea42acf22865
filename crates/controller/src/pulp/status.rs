//! What this server is: `/pulp/api/v3/status/`, and lists of what it has none of.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::query::Query;
use super::refusal::{Refusal, answer};
use super::time;
use crate::clock;
use crate::state::{Shared, State};

/// Versions of Pulp's components whose ways these are.
pub(super) const VERSIONS: [(&str, &str); 3] =
    [("core", "3.106.0"), ("file", "3.106.0"), ("python", "3.36.0")];

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/status/", get(status))
        .route("/pulp/api/v3/workers/", get(workers))
        .route("/pulp/api/v3/task-groups/", get(none))
        .route("/pulp/api/v3/contentguards/", get(none))
}

async fn status(Extract(state): Shared) -> Response {
    let component = |(name, version): &(&str, &str)| {
        json!({
            "component": name,
            "version": version,
            "package": "tutti",
            "module": name,
            "domain_compatible": false,
        })
    };
    let data = state.options.data.clone();
    let storage = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&data).ok());
    let storage = storage.await.ok().flatten().map(|disk| {
        let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
        json!({"total": total, "used": total - disk.f_bfree * disk.f_frsize, "free": free})
    });
    let app = || json!([{"name": state.uuid, "last_heartbeat": time(clock::now()), "versions": versions()}]);
    let body = json!({
        "versions": VERSIONS.iter().map(component).collect::<Vec<_>>(),
        "online_workers": app(),
        "online_api_apps": app(),
        "online_content_apps": app(),
        "database_connection": {"connected": true},
        "redis_connection": {"connected": false},
        "storage": storage,
        "content_settings": {"content_origin": state.origin(), "content_path_prefix": "/pulp/content/"},
        "domain_enabled": false,
    });
    answer(StatusCode::OK, &body)
}

fn versions() -> Value {
    VERSIONS
        .iter()
        .map(|(name, version)| ((*name).to_owned(), Value::from(*version)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The one process that does everything.
async fn workers(Extract(state): Shared, mut query: Query) -> Result<Response, Refusal> {
    let name = query.take("name");
    let is_here = name.is_none_or(|name| name == state.uuid);
    let row = json!({
        "pulp_href": format!("{}workers/{}/", super::hrefs::V3, state.uuid),
        "pulp_created": time(state.around.started),
        "pulp_last_updated": time(clock::now()),
        "name": state.uuid,
        "last_heartbeat": time(clock::now()),
        "versions": versions(),
        "current_task": null,
    });
    let rows = if is_here && query.window().offset == 0 { vec![row] } else { Vec::new() };
    Ok(answer(StatusCode::OK, &query.page("", u64::from(is_here), rows)))
}

async fn none(query: Query) -> Response {
    answer(StatusCode::OK, &query.page("", 0, Vec::new()))
}
