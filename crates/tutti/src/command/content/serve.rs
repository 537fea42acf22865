//! `content promote`, `rollback`, `remove`, `clean`, `repair`: what is served, and what is kept.

use clap::Args;
use serde_json::{Value, json};

use super::rest::{self, Distribution, Repository, V3, Version};
use super::task::{self, Begun};
use super::{Action, Session};
use crate::arguments::GoDuration;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

#[derive(Args, Debug)]
pub(super) struct Promote {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
    /// Number of the version [default: the newest, whichever it is]
    #[arg(value_name = "VERSION")]
    version: Option<i64>,
    /// Path to serve it below [default: the repository's name]
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
}

impl Action for Promote {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        if let Some(number) = self.version {
            session.rest.version(&repository, number).await?;
        }
        let path = self.to.as_deref().unwrap_or(&repository.name);
        point(session, &repository, path, self.version).await
    }
}

#[derive(Args, Debug)]
pub(super) struct Rollback {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
    /// Number of the version [default: the one before what is served]
    #[arg(value_name = "VERSION")]
    version: Option<i64>,
}

impl Action for Rollback {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        let number = match self.version {
            Some(number) => session.rest.version(&repository, number).await?.number,
            None => before(session, &repository).await?,
        };
        point(session, &repository, &repository.name, Some(number)).await
    }
}

/// The newest version that is older than the one served under the repository's name, and not the empty one it began with.
async fn before(session: &Session<'_>, repository: &Repository) -> Outcome<i64> {
    let served = session.rest.own_distribution(repository).await?;
    let now =
        served.repository_version.as_deref().map_or_else(|| repository.newest(), rest::number_of);
    let versions: Vec<Version> =
        session.rest.list(&format!("{}versions/", repository.pulp_href)).await?;
    let earlier =
        versions.iter().map(|one| one.number).filter(|number| (1..now).contains(number)).max();
    earlier
        .ok_or_else(|| Failure::new(format!("{:?} has no version before {now}", repository.name)))
}

/// Serves a version, or the newest, below a path.
async fn point(
    session: &Session<'_>,
    repository: &Repository,
    path: &str,
    version: Option<i64>,
) -> Outcome {
    let served = set(session, repository, path, version).await?;
    let shown = version.unwrap_or_else(|| repository.newest());
    let answer = json!({"name": repository.name, "version": shown, "follows_newest": version.is_none(), "url": served.base_url});
    session.output.print(Format::Tabular, &answer, || match version {
        Some(number) => {
            format!("Version {number} of {:?} is served at {}\n", repository.name, served.base_url)
        }
        None => format!(
            "The newest version of {:?}, now {shown}, is served at {}\n",
            repository.name, served.base_url
        ),
    })
}

/// Makes or changes what is served below a path.
async fn set(
    session: &Session<'_>,
    repository: &Repository,
    path: &str,
    version: Option<i64>,
) -> Outcome<Distribution> {
    let list = repository.content_type()?.path("distributions");
    let name = path.replace('/', "-");
    let mut wish = rest::served(repository, version);
    let begun: Begun = match session.rest.find::<Distribution>(&list, &name).await? {
        Some(found) => session.rest.patch(&found.pulp_href, &wish).await?,
        None => {
            wish["name"] = name.as_str().into();
            wish["base_path"] = path.into();
            session.rest.post(&list, &wish).await?
        }
    };
    task::ended(session, &begun).await?;
    let made = session.rest.find(&list, &name).await?;
    made.ok_or_else(|| Failure::new(format!("what serves {path:?} was removed meanwhile")))
}

/// Serves the repository under its own name unless something does.
pub(super) async fn ensure(session: &Session<'_>, repository: &Repository) -> Outcome {
    let list = repository.content_type()?.path("distributions");
    if session.rest.find::<Distribution>(&list, &repository.name).await?.is_none() {
        set(session, repository, &repository.name, None).await?;
    }
    Ok(())
}

#[derive(Args, Debug)]
pub(super) struct Remove {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
}

impl Action for Remove {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        let served = session.rest.distributions(&repository).await?;
        let gone: Vec<&str> = served.iter().map(|one| one.pulp_href.as_str()).collect();
        let gone = gone
            .into_iter()
            .chain([repository.pulp_href.as_str()])
            .chain(repository.remote.as_deref());
        for href in gone {
            let begun: Begun = session.rest.delete(href).await?;
            task::ended(session, &begun).await?;
        }
        let answer = json!({"name": repository.name, "removed": true});
        session.output.print(Format::Tabular, &answer, || {
            format!(
                "Removed {:?}; 'tutti content clean' frees its space once nobody needs it.\n",
                repository.name
            )
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Clean {
    /// Only what nobody looked for in this time
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    unused: GoDuration,
}

impl Action for Clean {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let minutes = self.unused.0.as_secs() / 60;
        let wish = json!({"orphan_protection_time": minutes});
        let begun: Begun = session.rest.post(&format!("{V3}orphans/cleanup/"), &wish).await?;
        let task = task::ended(session, &begun).await?;
        let (units, files) = (task.done("clean-up.content"), task.done("clean-up.artifacts"));
        session.output.print(Format::Tabular, &json!({"units": units, "files": files}), || {
            format!("Removed {units} units and {files} files that no version holds.\n")
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Repair {
    /// Name of a repository [default: everything that is stored]
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Action for Repair {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let path = match &self.name {
            None => format!("{V3}repair/"),
            Some(name) => {
                let repository = session.rest.repository(name).await?;
                format!("{}repair/", repository.version(repository.newest()))
            }
        };
        let begun: Begun = session.rest.post(&path, &json!({"verify_checksums": true})).await?;
        let task = task::ended(session, &begun).await?;
        let answer: Value = json!({"damaged": task.done("repair.corrupted"), "repaired": task.done("repair.repaired")});
        session.output.print(Format::Tabular, &answer, || {
            format!(
                "{} damaged or missing, {} of them repaired.\n",
                answer["damaged"], answer["repaired"]
            )
        })
    }
}
