//! Pulp's REST API as these commands use it: things found by name, lists page by page, refusals as sentences.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tutti_client::{Client, Error, encode};

use super::ContentType;
use crate::failure::{Failure, Outcome};

/// What every address begins with.
pub(super) const V3: &str = "/pulp/api/v3/";

/// Things read at once from a list; the server gives no more.
const PAGE: usize = 1000;

/// The API of one controller.
pub(super) struct Rest {
    pub(super) client: Client,
}

#[derive(Deserialize)]
struct Page<T> {
    next: Option<String>,
    results: Vec<T>,
}

/// A repository.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) pulp_href: String,
    pub(super) name: String,
    pub(super) latest_version_href: String,
    pub(super) remote: Option<String>,
}

impl Repository {
    pub(super) fn content_type(&self) -> Outcome<ContentType> {
        ContentType::of_href(&self.pulp_href).ok_or_else(|| {
            Failure::new(format!("{:?} holds charms: see 'tutti catalogue'", self.name))
        })
    }

    /// The number of its newest version.
    pub(super) fn newest(&self) -> i64 {
        number_of(&self.latest_version_href)
    }

    pub(super) fn version(&self, number: i64) -> String {
        format!("{}versions/{number}/", self.pulp_href)
    }
}

/// The number in the address of a version.
pub(super) fn number_of(version: &str) -> i64 {
    version
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// What serves something.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Distribution {
    pub(super) pulp_href: String,
    pub(super) name: String,
    pub(super) base_path: String,
    pub(super) base_url: String,
    pub(super) repository: Option<String>,
    pub(super) repository_version: Option<String>,
}

impl Distribution {
    /// Whether it serves the repository, whichever version.
    pub(super) fn serves(&self, repository: &Repository) -> bool {
        let of_version = |version: &String| version.starts_with(&repository.pulp_href);
        self.repository.as_ref() == Some(&repository.pulp_href)
            || self.repository_version.as_ref().is_some_and(of_version)
    }
}

/// A version.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Version {
    pub(super) number: i64,
    pub(super) pulp_created: String,
    content_summary: Summary,
}

#[derive(Clone, Debug, Deserialize)]
struct Summary {
    added: Value,
    removed: Value,
    present: Value,
}

impl Version {
    /// Units added, removed and held.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let sum = |counts: &Value| {
            let counts = counts.as_object().into_iter().flat_map(|types| types.values());
            counts.filter_map(|one| one["count"].as_u64()).sum()
        };
        let summary = &self.content_summary;
        (sum(&summary.added), sum(&summary.removed), sum(&summary.present))
    }
}

impl Rest {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.client.get(path).await.map_err(refusal)
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.client.post(path, body).await.map_err(refusal)
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Outcome<T> {
        self.client.patch(path, body).await.map_err(refusal)
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.client.delete(path).await.map_err(refusal)
    }

    /// Everything of a list; `path` may have a query.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Outcome<Vec<T>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        loop {
            let at = format!("{path}{separator}limit={PAGE}&offset={}", all.len());
            let page: Page<T> = self.get(&at).await?;
            let is_last = page.next.is_none() || page.results.is_empty();
            all.extend(page.results);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The thing of a name in a list.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        list: &str,
        name: &str,
    ) -> Outcome<Option<T>> {
        let page: Page<T> =
            self.get(&format!("{list}?name={}&limit=1&offset=0", encode(name))).await?;
        Ok(page.results.into_iter().next())
    }

    /// The repository of a name.
    pub(super) async fn repository(&self, name: &str) -> Outcome<Repository> {
        let found = self.find(&format!("{V3}repositories/"), name).await?;
        found.ok_or_else(|| {
            Failure::new(format!(
                "there is no repository {name:?}: 'tutti content list' shows those there are"
            ))
        })
    }

    /// What serves a repository, that of its own name first.
    pub(super) async fn distributions(
        &self,
        repository: &Repository,
    ) -> Outcome<Vec<Distribution>> {
        let path = repository.content_type()?.path("distributions");
        let mut found: Vec<Distribution> = self.list(&path).await?;
        found.retain(|one| one.serves(repository));
        found.sort_by_key(|one| (one.name != repository.name, one.name.clone()));
        Ok(found)
    }

    /// What serves a repository under its own name.
    pub(super) async fn own_distribution(&self, repository: &Repository) -> Outcome<Distribution> {
        let path = repository.content_type()?.path("distributions");
        let found: Option<Distribution> = self.find(&path, &repository.name).await?;
        found.ok_or_else(|| {
            let name = &repository.name;
            Failure::new(format!(
                "nothing serves {name:?} under its name: 'tutti content promote {name}' does"
            ))
        })
    }

    /// The version of a number, checked to exist.
    pub(super) async fn version(&self, repository: &Repository, number: i64) -> Outcome<Version> {
        self.client.get(&repository.version(number)).await.map_err(|error| match error.problem() {
            Some(problem) if problem.status == 404 => {
                Failure::new(format!("{:?} has no version {number}", repository.name))
            }
            _ => refusal(error),
        })
    }
}

/// A refusal in Pulp's shapes as a sentence: a text for each field, or for the whole.
fn refusal(error: Error) -> Failure {
    let Some(problem) = error.problem() else { return error.into() };
    let Ok(body) = serde_json::from_slice::<Value>(&problem.body) else { return error.into() };
    match said(&body) {
        Some(text) => Failure::new(text),
        None => error.into(),
    }
}

fn said(body: &Value) -> Option<String> {
    let texts = |value: &Value| -> Option<String> {
        let texts: Vec<&str> = match value {
            Value::String(text) => vec![text],
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        Some(texts.join(" "))
    };
    match body {
        Value::Array(_) => texts(body),
        Value::Object(fields) => {
            let of_field = |(name, value): (&String, &Value)| {
                let text = texts(value)?;
                Some(if ["detail", "errors"].contains(&name.as_str()) {
                    text
                } else {
                    format!("{name}: {text}")
                })
            };
            let all: Vec<String> = fields.iter().filter_map(of_field).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        _ => None,
    }
}

/// A body that changes what serves something.
pub(super) fn served(repository: &Repository, version: Option<i64>) -> Value {
    match version {
        Some(number) => {
            json!({"repository": null, "publication": null, "repository_version": repository.version(number)})
        }
        None => {
            json!({"repository": repository.pulp_href, "publication": null, "repository_version": null})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sentences() {
        for (body, text) in [
            (
                json!({"name": ["This field must be unique."]}),
                Some("name: This field must be unique."),
            ),
            (json!(["Not now.", "Later."]), Some("Not now. Later.")),
            (json!({"detail": "Not found."}), Some("Not found.")),
            (json!({"errors": ["Invalid Filter: 'x'"]}), Some("Invalid Filter: 'x'")),
            (json!({"status": 500}), None),
            (json!(1), None),
        ] {
            assert_eq!(said(&body).as_deref(), text, "{body}");
        }
    }

    #[test]
    fn versions_are_numbered_by_their_addresses() {
        assert_eq!(number_of("/pulp/api/v3/repositories/file/file/x/versions/12/"), 12);
        assert_eq!(number_of("odd"), 0);
    }
}
