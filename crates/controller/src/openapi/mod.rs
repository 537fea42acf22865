//! The API as an OpenAPI document, made from the types of requests and answers.
//!
//! [`routes`] is the table of everything under `/v1`; [`document`] makes the document of it. A copy
//! is committed as `docs/openapi.json`, so that a change of the API shows in a review.

mod document;
mod routes;

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};

use crate::state::State;

/// `GET /v1/openapi.json`.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/openapi.json", get(async || Json(document::document())))
}

/// The document as JSON, one line per value, as it is committed.
#[must_use]
pub fn openapi() -> String {
    let mut text = serde_json::to_string_pretty(&document::document())
        .expect("a document of strings and maps is JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn the_committed_document_is_the_present_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("TUTTI_WRITE_OPENAPI").is_some() {
            std::fs::write(path, super::openapi()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == super::openapi(),
            "docs/openapi.json is outdated: run this test with TUTTI_WRITE_OPENAPI=1 and commit it"
        );
    }

    #[test]
    fn every_route_of_the_router_is_in_it() {
        // What a router prints of itself names every path it serves.
        let printed = format!("{:?}", crate::http::routes());
        let served: BTreeSet<&str> =
            printed.split('"').filter(|text| text.starts_with("/v1")).collect();
        let document = super::document::document();
        let described: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        assert!(served.len() > 50, "the router does not print its paths any more: {printed}");
        assert_eq!(served, described);
    }
}
