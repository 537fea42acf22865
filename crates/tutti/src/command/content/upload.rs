//! `content upload`: files into a repository.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tutti_client::encode;

use super::rest::{Repository, V3};
use super::task::{self, Begun};
use super::{Action, ContentType, Session};
use crate::failure::{Failure, Outcome};
use crate::output::{Format, progress};

#[derive(Args, Debug)]
pub(super) struct Upload {
    /// Name of the repository; made if it is not there
    #[arg(value_name = "NAME")]
    name: String,
    /// Files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What a new repository holds [default: python for wheels, else file]
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<ContentType>,
    /// Directory of the repository to put them into (file)
    #[arg(long, value_name = "PATH")]
    into: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    digest: String,
}

impl Action for Upload {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let missing = self.files.iter().find(|file| !file.is_file());
        if let Some(missing) = missing {
            return Err(Failure::new(format!("{} is no file", missing.display())));
        }
        let repository = self.repository(session).await?;
        let content_type = repository.content_type()?;
        for file in &self.files {
            self.put(session, &repository, content_type, file).await?;
        }
        super::serve::ensure(session, &repository).await?;
        let after = session.rest.repository(&self.name).await?;
        let served = session.rest.own_distribution(&after).await?;
        let answer = json!({"name": after.name, "version": after.newest(), "files": self.files.len(), "url": served.base_url});
        session.output.print(Format::Tabular, &answer, || {
            format!(
                "{:?} is at version {}, served at {}\n",
                after.name,
                after.newest(),
                served.base_url
            )
        })
    }
}

impl Upload {
    async fn repository(&self, session: &Session<'_>) -> Outcome<Repository> {
        let found: Option<Repository> =
            session.rest.find(&format!("{V3}repositories/"), &self.name).await?;
        if let Some(found) = found {
            let kind = found.content_type()?;
            return match self.content_type {
                Some(wanted) if wanted != kind => Err(Failure::new(format!(
                    "{:?} holds {}, not {}",
                    self.name,
                    kind.name(),
                    wanted.name()
                ))),
                _ => Ok(found),
            };
        }
        let content_type = self.content_type.unwrap_or_else(|| type_of(&self.files));
        session.rest.post(&content_type.path("repositories"), &json!({"name": self.name})).await
    }

    async fn put(
        &self,
        session: &Session<'_>,
        repository: &Repository,
        content_type: ContentType,
        file: &Path,
    ) -> Outcome {
        let name = file.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Failure::new(format!("{} has no name in UTF-8", file.display())))?;
        let path = match self.into.as_deref().map(|into| into.trim_matches('/')) {
            Some(into) if !into.is_empty() && content_type == ContentType::File => {
                format!("{into}/{name}")
            }
            _ => name.to_owned(),
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let sent = progress::transfer(name, size);
        let stored: Stored = session.rest.client.post_file("/v1/artifacts", file, sent).await?;
        let found: Vec<Value> =
            session.rest.list(&format!("{V3}artifacts/?sha256={}", encode(&stored.digest))).await?;
        let artifact = found.first().map(|one| one["pulp_href"].clone());
        let artifact = artifact
            .ok_or_else(|| Failure::new(format!("{path} was removed while it was uploaded")))?;
        let wish = json!({"relative_path": path, "artifact": artifact, "repository": repository.pulp_href});
        let begun: Begun = session.rest.post(&content_type.path("content"), &wish).await?;
        task::ended(session, &begun).await.map(drop)
    }
}

/// What files are most likely of.
fn type_of(files: &[PathBuf]) -> ContentType {
    let is_package = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "whl");
    if files.iter().all(is_package) { ContentType::Python } else { ContentType::File }
}
