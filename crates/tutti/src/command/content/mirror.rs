//! `content mirror`: a remote, a repository and a distribution of one name, synced.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::rest::{Distribution, Repository, V3};
use super::task::{self, Begun};
use super::{Action, ContentType, Session};
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// Names of what was left out that are told one by one.
const TOLD_MAX: usize = 20;

#[derive(Args, Debug)]
pub(super) struct Mirror {
    /// Where to mirror from; or the name of a mirror that is there
    #[arg(value_name = "URL|NAME")]
    what: String,
    /// What is there [default: by the URL]
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<ContentType>,
    /// Name of the mirror, and the path it is served below [default: by the URL]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only this project, as in 'flask>=3'; may be given several times (python)
    #[arg(long, value_name = "REQUIREMENT")]
    only: Vec<String>,
    /// Without this project or these versions; may be given several times (python)
    #[arg(long, value_name = "REQUIREMENT")]
    except: Vec<String>,
    /// Only the newest releases of each project (python)
    #[arg(long, value_name = "NUMBER")]
    newest: Option<u32>,
    /// Fetch all now, or each file when it is first asked for, keeping it or not
    #[arg(long, value_name = "POLICY")]
    policy: Option<Policy>,
    /// Keep what the remote has no longer
    #[arg(long)]
    additive: bool,
    /// Look at everything, even if the remote says that nothing changed
    #[arg(long)]
    full: bool,
}

/// When files are fetched.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// All of them, now
    Immediate,
    /// When they are asked for
    OnDemand,
    /// Whenever they are asked for, without keeping them
    Streamed,
}

impl Action for Mirror {
    async fn run(self, session: &Session<'_>) -> Outcome {
        let is_url = self.what.contains("://");
        let name = match (&self.name, is_url) {
            (Some(name), _) => name.clone(),
            (None, true) => name_of(&self.what)?,
            (None, false) => self.what.clone(),
        };
        let (repository, remote) = match is_url {
            true => self.made(session, &name).await?,
            false => self.known(session, &name).await?,
        };
        self.sync(session, &repository, &remote).await.inspect_err(|_| {
            if repository.newest() == 0 {
                session.context.tell(format!(
                    "{name:?} is there, and empty: 'tutti content mirror {name}' tries again, 'tutti content remove {name}' \
                     removes it"
                ));
            }
        })
    }
}

impl Mirror {
    /// The repository and the address of the remote of a mirror that is there, with the settings that are given.
    async fn known(&self, session: &Session<'_>, name: &str) -> Outcome<(Repository, String)> {
        let repository = session.rest.repository(name).await?;
        let remote = repository.remote.clone().ok_or_else(|| {
            Failure::new(format!("{name:?} has no remote: give the URL to mirror it from"))
        })?;
        let changes = self.settings();
        if !changes.is_empty() {
            let changed: Value = session.rest.patch(&remote, &Value::Object(changes)).await?;
            ended_if_begun(session, changed).await?;
        }
        Ok((repository, remote))
    }

    /// The repository and the address of the remote, made or changed.
    async fn made(&self, session: &Session<'_>, name: &str) -> Outcome<(Repository, String)> {
        let content_type = self.content_type.or_else(|| type_of(&self.what)).ok_or_else(|| {
            Failure::usage(format!("say with --type what is at {}: file or python", self.what))
        })?;
        let rest = &session.rest;
        let mut wish = self.settings();
        wish.insert("url".into(), self.what.as_str().into());
        let remotes = content_type.path("remotes");
        let remote = match rest.find::<Value>(&remotes, name).await? {
            Some(found) => {
                let href = href(&found)?;
                let begun: Value = rest.patch(&href, &Value::Object(wish)).await?;
                ended_if_begun(session, begun).await?;
                href
            }
            None => {
                wish.insert("name".into(), name.into());
                href(&rest.post::<Value>(&remotes, &Value::Object(wish)).await?)?
            }
        };
        let found: Option<Repository> = rest.find(&format!("{V3}repositories/"), name).await?;
        let repository = match found {
            Some(found) if found.content_type()? != content_type => {
                let kind = found.content_type()?.name();
                return Err(Failure::new(format!(
                    "{name:?} is a repository of type {kind}: choose another --name"
                )));
            }
            Some(found) => {
                let begun: Value = rest.patch(&found.pulp_href, &json!({"remote": remote})).await?;
                ended_if_begun(session, begun).await?;
                found
            }
            None => {
                let wish = json!({"name": name, "remote": remote});
                rest.post(&content_type.path("repositories"), &wish).await?
            }
        };
        super::serve::ensure(session, &repository).await?;
        Ok((repository, remote))
    }

    /// What is said of the remote.
    fn settings(&self) -> Map<String, Value> {
        let mut settings = Map::new();
        let mut set = |name: &str, value: Value| settings.insert(name.to_owned(), value);
        if !self.only.is_empty() {
            set("includes", json!(self.only));
        }
        if !self.except.is_empty() {
            set("excludes", json!(self.except));
        }
        if let Some(newest) = self.newest {
            set("keep_latest_packages", json!(newest));
        }
        if let Some(policy) = self.policy {
            let word = match policy {
                Policy::Immediate => "immediate",
                Policy::OnDemand => "on_demand",
                Policy::Streamed => "streamed",
            };
            set("policy", json!(word));
        }
        settings
    }

    async fn sync(&self, session: &Session<'_>, repository: &Repository, remote: &str) -> Outcome {
        let mut wish = json!({"remote": remote, "mirror": !self.additive});
        if repository.content_type()? == ContentType::File {
            wish["optimize"] = json!(!self.full);
        }
        let begun: Begun =
            session.rest.post(&format!("{}sync/", repository.pulp_href), &wish).await?;
        let task = task::ended(session, &begun).await?;
        let after = session.rest.repository(&repository.name).await?;
        let served = session.rest.distributions(&after).await?;
        let left_out =
            task.result.as_ref().and_then(|result| result["left_out"].as_u64()).unwrap_or_default();
        tell_left_out(session, left_out, task.result.as_ref());
        let is_new = after.newest() != repository.newest();
        let (added, removed, _) = match is_new {
            true => session.rest.version(&after, after.newest()).await?.counts(),
            false => (0, 0, 0),
        };
        let downloaded = task.done("sync.downloading.artifacts");
        let answer = json!({
            "name": after.name, "version": after.newest(), "is_new": is_new, "added": added,
            "removed": removed, "downloaded": downloaded, "left_out": left_out,
            "url": served.first().map(|one| &one.base_url),
        });
        session.output.print(Format::Tabular, &answer, || {
            let mut text = match is_new {
                false => format!("Nothing new: {:?} stays at version {}.\n", after.name, after.newest()),
                true => format!(
                    "{:?} is at version {}: {added} added, {removed} removed, {downloaded} files fetched.\n",
                    after.name,
                    after.newest()
                ),
            };
            text.extend(served.first().map(|one| how_to_use(&after, one)));
            text
        })
    }
}

/// Whoever changes something may get a task, or the thing itself.
async fn ended_if_begun(session: &Session<'_>, answer: Value) -> Outcome {
    if answer.get("task").is_some() {
        task::ended(session, &serde_json::from_value(answer)?).await?;
    }
    Ok(())
}

fn tell_left_out(session: &Session<'_>, left_out: u64, result: Option<&Value>) {
    if left_out == 0 {
        return;
    }
    session.context.tell(format!("WARNING {left_out} left out, and as they were before:"));
    let failures = result.and_then(|result| result["failures"].as_array()).into_iter().flatten();
    for failure in failures.take(TOLD_MAX) {
        let (name, reason) = (failure["name"].as_str(), failure["reason"].as_str());
        session.context.tell(format!("  {}: {}", name.unwrap_or("?"), reason.unwrap_or("?")));
    }
}

fn how_to_use(repository: &Repository, served: &Distribution) -> String {
    match repository.content_type() {
        Ok(ContentType::Python) => {
            format!("Use it: pip install --index-url {}simple/ PACKAGE\n", served.base_url)
        }
        _ => format!("Served at {}\n", served.base_url),
    }
}

fn href(value: &Value) -> Outcome<String> {
    let href = value["pulp_href"].as_str().map(str::to_owned);
    href.ok_or_else(|| Failure::new("the answer has no address"))
}

/// What a URL is most likely of.
fn type_of(url: &str) -> Option<ContentType> {
    let path = url.trim_end_matches('/');
    if path.ends_with("PULP_MANIFEST") {
        return Some(ContentType::File);
    }
    let is_index = path.ends_with("/simple")
        || path.ends_with("//pypi.org")
        || path.ends_with("//pypi.python.org");
    is_index.then_some(ContentType::Python)
}

/// A name made of a URL: its last word that says something, or its host.
fn name_of(url: &str) -> Outcome<String> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let mut words = rest.split(['/', '?', '#']).filter(|word| !word.is_empty());
    let host = words.next().unwrap_or_default().split(':').next().unwrap_or_default();
    let last = words.rfind(|word| !["simple", "PULP_MANIFEST", "pypi", "root"].contains(word));
    let name: String = match last {
        Some(last) => last.into(),
        None => host.trim_start_matches("www.").split('.').next().unwrap_or_default().into(),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(name);
    }
    Err(Failure::usage(format!("no name can be made of {url}: give one with --name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_name_and_a_type() {
        for (url, name, content_type) in [
            ("https://pypi.org/simple/", "pypi", Some(ContentType::Python)),
            ("https://example.org/team/wheels/simple", "wheels", Some(ContentType::Python)),
            ("http://127.0.0.1:8080/files/PULP_MANIFEST", "files", Some(ContentType::File)),
            ("http://user:word@www.example.org/", "example", None),
            ("file:///srv/mirror/PULP_MANIFEST", "mirror", Some(ContentType::File)),
        ] {
            assert_eq!(name_of(url).unwrap(), name, "{url}");
            assert_eq!(type_of(url), content_type, "{url}");
        }
        assert!(name_of("https:///").is_err());
    }
}
