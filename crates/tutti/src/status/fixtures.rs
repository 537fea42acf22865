//! Status documents for tests: those of jubilant's own unit tests (Apache-2.0).

use tutti_model::api::Status;

/// The names of all documents.
pub(super) const NAMES: [&str; 5] =
    ["minimal", "snappass", "database_webapp", "status_errors", "subordinates"];

/// A document as text.
pub(super) fn text(name: &str) -> &'static str {
    match name {
        "minimal" => include_str!("../../tests/fixtures/status/minimal.json"),
        "snappass" => include_str!("../../tests/fixtures/status/snappass.json"),
        "database_webapp" => include_str!("../../tests/fixtures/status/database_webapp.json"),
        "status_errors" => include_str!("../../tests/fixtures/status/status_errors.json"),
        "subordinates" => include_str!("../../tests/fixtures/status/subordinates.json"),
        other => panic!("no document {other:?}"),
    }
}

/// A document.
pub(super) fn status(name: &str) -> Status {
    serde_json::from_str(text(name)).unwrap()
}
