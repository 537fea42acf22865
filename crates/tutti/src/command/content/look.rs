//! `content list`, `versions`, `show`, `diff`: what is there.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tutti_client::encode;

use super::rest::{Distribution, Repository, Version};
use super::unit::{Unit, bytes};
use super::{Action, ContentType, Session};
use crate::failure::Outcome;
use crate::output::Format;
use crate::output::table::Table;

#[derive(Args, Debug)]
pub(super) struct List {}

/// A repository as it is listed.
#[derive(Serialize)]
struct Listed {
    name: String,
    #[serde(rename = "type")]
    content_type: &'static str,
    version: i64,
    units: u64,
    served: Vec<Served>,
}

#[derive(Serialize)]
struct Served {
    url: String,
    /// None: the newest, whichever it is.
    version: Option<i64>,
}

impl Action for List {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let mut listed = Vec::new();
        for content_type in ContentType::ALL {
            let repositories: Vec<Repository> =
                session.rest.list(&content_type.path("repositories")).await?;
            let served: Vec<Distribution> =
                session.rest.list(&content_type.path("distributions")).await?;
            for one in repositories {
                let version = session.rest.version(&one, one.newest()).await?;
                listed.push(Listed {
                    content_type: content_type.name(),
                    version: version.number,
                    units: version.counts().2,
                    served: served
                        .iter()
                        .filter(|served| served.serves(&one))
                        .map(served_as)
                        .collect(),
                    name: one.name,
                });
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        if listed.is_empty() && session.output.form(Format::Tabular) == Format::Tabular {
            session
                .context
                .tell("There is no content yet: 'tutti content mirror URL' fetches some.");
            return Ok(());
        }
        session.output.print(Format::Tabular, &listed, || {
            let mut table =
                Table::new(["Name", "Type", "Version", "Units", "Served at"]).right(2).right(3);
            for one in &listed {
                let served = one.served.iter().map(|served| match served.version {
                    Some(number) => format!("{} (version {number})", served.url),
                    None => served.url.clone(),
                });
                table.row([
                    one.name.as_str().into(),
                    one.content_type.into(),
                    one.version.to_string().into(),
                    one.units.to_string().into(),
                    served.collect::<Vec<_>>().join(", ").into(),
                ]);
            }
            table.render()
        })
    }
}

fn served_as(distribution: &Distribution) -> Served {
    let version = distribution.repository_version.as_deref().map(super::rest::number_of);
    Served { url: distribution.base_url.clone(), version }
}

#[derive(Args, Debug)]
pub(super) struct Versions {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Serialize)]
struct ListedVersion {
    version: i64,
    created: String,
    added: u64,
    removed: u64,
    units: u64,
    served: Vec<String>,
}

impl Action for Versions {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        let path = format!("{}versions/", repository.pulp_href);
        let versions: Vec<Version> = session.rest.list(&path).await?;
        let served = session.rest.distributions(&repository).await?;
        let number_of = |one: &Distribution| {
            one.repository_version
                .as_deref()
                .map_or_else(|| repository.newest(), super::rest::number_of)
        };
        let mut listed: Vec<ListedVersion> = versions
            .iter()
            .map(|one| {
                let (added, removed, units) = one.counts();
                let here = served.iter().filter(|served| number_of(served) == one.number);
                let served = here.map(|served| served.base_path.clone()).collect();
                let created = one.pulp_created.clone();
                ListedVersion { version: one.number, created, added, removed, units, served }
            })
            .collect();
        listed.sort_by_key(|one| -one.version);
        session.output.print(Format::Tabular, &listed, || {
            let mut table =
                Table::new(["Version", "Made", "Added", "Removed", "Units", "Served below"]);
            for column in [0, 2, 3, 4] {
                table = table.right(column);
            }
            for one in &listed {
                table.row([
                    one.version.to_string().into(),
                    seconds(&one.created).into(),
                    one.added.to_string().into(),
                    one.removed.to_string().into(),
                    one.units.to_string().into(),
                    one.served.join(", ").into(),
                ]);
            }
            table.render()
        })
    }
}

/// A time without the parts of a second.
fn seconds(time: &str) -> String {
    time.split('.').next().unwrap_or_default().replace('T', " ")
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
    /// Number of the version [default: the newest]
    #[arg(value_name = "VERSION")]
    version: Option<i64>,
}

impl Action for Show {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        let number = self.version.unwrap_or_else(|| repository.newest());
        let units = units(session, &repository, number).await?;
        session.output.print(Format::Tabular, &units, || {
            let mut table = Table::new(["Path", "Version", "Size", "SHA-256"]).right(2);
            for one in &units {
                table.row([
                    one.path.as_str().into(),
                    one.version.as_deref().unwrap_or_default().into(),
                    one.size.map(bytes).unwrap_or_default().into(),
                    one.sha256.as_deref().unwrap_or_default().into(),
                ]);
            }
            table.render()
        })
    }
}

/// What a version holds.
async fn units(session: &Session<'_>, repository: &Repository, number: i64) -> Outcome<Vec<Unit>> {
    session.rest.version(repository, number).await?;
    let list = repository.content_type()?.path("content");
    let path = format!("{list}?repository_version={}", encode(&repository.version(number)));
    let all: Vec<Value> = session.rest.list(&path).await?;
    Ok(all.iter().map(Unit::read).collect())
}

#[derive(Args, Debug)]
pub(super) struct Diff {
    /// Name of the repository
    #[arg(value_name = "NAME")]
    name: String,
    /// Number of the version to compare with
    #[arg(value_name = "VERSION")]
    from: i64,
    /// Number of the version to compare [default: the newest]
    #[arg(value_name = "VERSION")]
    to: Option<i64>,
}

#[derive(Serialize)]
struct Difference {
    added: Vec<Unit>,
    removed: Vec<Unit>,
    changed: Vec<Changed>,
}

#[derive(Serialize)]
struct Changed {
    from: Unit,
    to: Unit,
}

impl Action for Diff {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let repository = session.rest.repository(&self.name).await?;
        let to = self.to.unwrap_or_else(|| repository.newest());
        let difference = compare(
            units(session, &repository, self.from).await?,
            units(session, &repository, to).await?,
        );
        session.output.print(Format::Tabular, &difference, || {
            let lines = difference.removed.iter().map(|one| ("-", one));
            let lines = lines.chain(difference.added.iter().map(|one| ("+", one)));
            let lines = lines.chain(difference.changed.iter().map(|one| ("~", &one.to)));
            let mut lines: Vec<_> = lines.map(|(sign, one)| (one.path.as_str(), sign)).collect();
            lines.sort_unstable();
            lines.into_iter().map(|(path, sign)| format!("{sign} {path}\n")).collect()
        })
    }
}

/// What differs, by path.
fn compare(from: Vec<Unit>, to: Vec<Unit>) -> Difference {
    let mut before: BTreeMap<String, Unit> =
        from.into_iter().map(|one| (one.path.clone(), one)).collect();
    let mut difference = Difference { added: Vec::new(), removed: Vec::new(), changed: Vec::new() };
    for one in to {
        match before.remove(&one.path) {
            None => difference.added.push(one),
            Some(same) if same.href == one.href => {}
            Some(other) => difference.changed.push(Changed { from: other, to: one }),
        }
    }
    difference.removed.extend(before.into_values());
    difference
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rest::V3;
    use super::*;

    #[test]
    fn versions_differ_by_path() {
        let unit =
            |path: &str, href: &str| Unit::read(&json!({"relative_path": path, "pulp_href": href}));
        let difference = compare(
            vec![unit("a", "1"), unit("b", "2"), unit("c", "3")],
            vec![unit("a", "1"), unit("b", "4"), unit("d", "5")],
        );
        let paths = |units: &[Unit]| units.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
        assert_eq!(
            (paths(&difference.added), paths(&difference.removed)),
            (vec!["d".into()], vec!["c".into()])
        );
        assert_eq!(difference.changed.len(), 1);
        assert_eq!(difference.changed[0].to.path, "b");
    }

    #[test]
    fn the_lists_of_types_have_their_addresses() {
        assert_eq!(ContentType::File.path("content"), format!("{V3}content/file/files/"));
        assert_eq!(
            ContentType::Python.path("distributions"),
            format!("{V3}distributions/python/pypi/")
        );
        assert_eq!(
            ContentType::of_href("/pulp/api/v3/repositories/python/python/x/"),
            Some(ContentType::Python)
        );
        assert_eq!(ContentType::of_href("/pulp/api/v3/repositories/charm/charm/x/"), None);
    }
}
