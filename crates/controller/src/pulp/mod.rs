//! Content over HTTP in Pulp's ways: its REST API and its content app, so that its clients work.
//!
//! What changes content is a flow (`work`): the answer is 202 with its address as a task, and `tasks` shows those flows as
//! Pulp's tasks. Cheap changes are flows as well, whose task is one transaction; a request waits a moment for its flow, so
//! that a client that looks at once sees it completed. Repositories, remotes, labels and uploads are made at once, as Pulp does.
//!
//! - `plugin`: content types as Pulp names them; `hrefs`: addresses; `query` and `fields`: what a request says; `refusal`: what it
//!   is refused with; `document`: the table of operations that clients read;
//! - `repositories`, `versions`, `remotes`, `publications`, `distributions`, `content`, `artifacts`, `uploads`, `tasks`,
//!   `orphans`, `status`: a noun each; `sync`: what is done with remotes;
//! - `served`: what is below `/pulp/content/`; `index`: Python's index below `/pypi/`; `wheel`: what wheels say.
//!
//! Nothing here asks who it is: the listeners are for this machine alone. Credentials that a client sends are not looked at.

mod artifacts;
mod content;
mod distributions;
mod document;
mod fields;
mod hrefs;
mod index;
mod orphans;
mod plugin;
mod publications;
mod query;
mod refusal;
mod remotes;
mod repositories;
mod served;
mod status;
mod sync;
mod tasks;
mod uploads;
mod versions;
mod wheel;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use serde::Deserialize;
use serde_json::{Value, json};
use tutti_content::repository::Labels;

use crate::state::State;
use fields::Fields;
use plugin::{Noun, Plugin};
use refusal::Refusal;

pub(crate) use work::{Change, Effort};

/// Everything below `/pulp/` and `/pypi/`.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .merge(artifacts::routes())
        .merge(content::routes())
        .merge(distributions::routes())
        .merge(document::routes())
        .merge(index::routes())
        .merge(orphans::routes())
        .merge(publications::routes())
        .merge(remotes::routes())
        .merge(repositories::routes())
        .merge(served::routes())
        .merge(status::routes())
        .merge(tasks::routes())
        .merge(uploads::routes())
        .merge(versions::routes())
        // Uploads have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

/// The variable words of a path.
#[derive(Clone, Debug, Deserialize)]
struct Words {
    plugin: String,
    kind: String,
    #[serde(default)]
    id: String,
}

/// What a path is about.
#[derive(Clone, Copy, Debug)]
struct Of {
    plugin: &'static Plugin,
    id: i64,
}

impl Words {
    fn plugin(&self, noun: Noun) -> Result<&'static Plugin, Refusal> {
        Plugin::at(noun, &self.plugin, &self.kind).ok_or_else(Refusal::not_found)
    }

    fn of(&self, noun: Noun) -> Result<Of, Refusal> {
        let plugin = self.plugin(noun)?;
        let id = hrefs::id(&self.id).ok_or_else(Refusal::not_found)?;
        Ok(Of { plugin, id })
    }
}

/// A time as Pulp shows it.
fn time(microseconds: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A time as clients write it: RFC 3339, or a day.
fn time_of(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_microsecond())
}

/// Puts a label on, or takes it off; answers what is said about it.
fn label(labels: &mut Labels, fields: &Fields, is_set: bool) -> Result<Value, Refusal> {
    let key = fields.required("key")?;
    let value = match is_set {
        true => {
            let value = fields.text("value")?.unwrap_or_default();
            query::labels(&json!({key.clone(): value}))?;
            labels.insert(key.clone(), value.clone());
            value
        }
        false => labels.remove(&key).unwrap_or_default(),
    };
    Ok(json!({"key": key, "value": value}))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_read_back() {
        assert_eq!(super::time(1_786_442_400_123_456), "2026-08-11T10:00:00.123456Z");
        for text in [
            "2026-08-11T10:00:00.123456Z",
            "2026-08-11T12:00:00.123456+02:00",
            "2026-08-11T10:00:00.123456",
        ] {
            assert_eq!(super::time_of(text), Some(1_786_442_400_123_456), "{text}");
        }
        assert_eq!(super::time_of("2001-01-01"), Some(978_307_200_000_000));
        assert_eq!(super::time_of("yesterday"), None);
    }
}
