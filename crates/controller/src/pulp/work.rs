//! What changes content, as flows of one task each.
//!
//! A request checks what can be checked and submits the flow in one transaction; the task checks again, since others may have
//! been before it. What is one short transaction is a [`Change`]; what takes as long as it takes is an [`Effort`]. Both answer
//! [`Done`], which `tasks` shows.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_content::modify::{self, Modification, Removal};
use tutti_content::repository::{self, removal};
use tutti_content::upload::Uploads;
use tutti_content::{Artifacts, publication, remote};
use tutti_flow::{Access, Failure, NewFlow, NewTask, Retry, Task, TaskContext, TxError, TxTask};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use super::fields::Fields;
use super::plugin::Noun;
use super::refusal::{Refusal, answer};
use super::{
    content, distributions, hrefs, orphans, publications, remotes, repositories, sync, uploads,
};
use crate::state::State;
use crate::{clock, flows};

/// How long a request waits for its flow: most end in this time, and a client that looks at once need not look again.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Work {
    ChangeRepository {
        id: i64,
        fields: Fields,
    },
    ChangeRemote {
        id: i64,
        fields: Fields,
    },
    CreateDistribution {
        content_type: String,
        fields: Fields,
    },
    ChangeDistribution {
        id: i64,
        fields: Fields,
    },
    DropDistribution {
        id: i64,
    },
    Purge {
        states: Vec<tutti_flow::FlowState>,
        before: i64,
    },
    DropRepository {
        id: i64,
    },
    DropRemote {
        id: i64,
    },
    DropVersion {
        repository: i64,
        number: i64,
    },
    Sync {
        repository: i64,
        remote: i64,
        mirror: bool,
        optimize: bool,
    },
    /// Nothing named to be removed: everything is.
    Modify {
        repository: i64,
        add: Vec<i64>,
        remove: Option<Vec<i64>>,
        base: Option<i64>,
        overwrite: bool,
    },
    Publish {
        repository: i64,
        version: i64,
        manifest: Option<String>,
    },
    CreateContent(content::New),
    Commit {
        upload: i64,
        digest: String,
    },
    Cleanup(orphans::Cleanup),
    Repair {
        version: Option<(i64, i64)>,
        verify: bool,
    },
    Reclaim {
        repositories: Vec<i64>,
    },
}

/// Every kind of flow there is here.
pub(super) const KINDS: &[&str] = &[
    "content.change-repository",
    "content.change-remote",
    "content.create-distribution",
    "content.change-distribution",
    "content.drop-distribution",
    "content.purge",
    "content.drop-repository",
    "content.drop-remote",
    "content.drop-version",
    "content.sync",
    "content.modify",
    "content.publish",
    "content.create",
    "content.commit",
    "content.cleanup",
    "content.repair",
    "content.reclaim",
];

impl Work {
    fn kind(&self) -> &'static str {
        let number = match self {
            Self::ChangeRepository { .. } => 0,
            Self::ChangeRemote { .. } => 1,
            Self::CreateDistribution { .. } => 2,
            Self::ChangeDistribution { .. } => 3,
            Self::DropDistribution { .. } => 4,
            Self::Purge { .. } => 5,
            Self::DropRepository { .. } => 6,
            Self::DropRemote { .. } => 7,
            Self::DropVersion { .. } => 8,
            Self::Sync { .. } => 9,
            Self::Modify { .. } => 10,
            Self::Publish { .. } => 11,
            Self::CreateContent(_) => 12,
            Self::Commit { .. } => 13,
            Self::Cleanup(_) => 14,
            Self::Repair { .. } => 15,
            Self::Reclaim { .. } => 16,
        };
        KINDS.get(number).copied().unwrap_or_default()
    }

    /// Whether it is one short transaction.
    fn is_short(&self) -> bool {
        matches!(
            self,
            Self::ChangeRepository { .. }
                | Self::ChangeRemote { .. }
                | Self::CreateDistribution { .. }
                | Self::ChangeDistribution { .. }
                | Self::DropDistribution { .. }
        )
    }
}

/// A flow to begin.
pub(super) struct Start {
    /// One sentence.
    pub(super) title: String,
    /// What it is about.
    pub(super) resources: Vec<(String, Access)>,
    /// What is to be done.
    pub(super) work: Work,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Addresses of what was made.
    pub(super) created: Vec<String>,
    /// What was made or changed, as it is shown.
    pub(super) result: Option<Value>,
    /// What was counted.
    pub(super) progress: Vec<Value>,
}

impl Done {
    /// Something was made.
    pub(super) fn created(href: String, result: Option<Value>) -> Self {
        Self { created: vec![href], result, ..Self::default() }
    }

    /// Something was changed.
    pub(super) fn changed(result: Value) -> Self {
        Self { result: Some(result), ..Self::default() }
    }

    /// Something was counted.
    pub(super) fn counted(self, message: &str, code: &str, done: u64) -> Self {
        let mut progress = self.progress;
        progress.push(counted(message, code, "completed", Some(done), done));
        Self { progress, ..self }
    }
}

/// A count as Pulp shows it.
pub(super) fn counted(
    message: &str,
    code: &str,
    state: &str,
    total: Option<u64>,
    done: u64,
) -> Value {
    json!({"message": message, "code": code, "state": state, "total": total, "done": done, "suffix": null})
}

/// Submits a flow in the transaction that checks it, waits a moment for it, and answers with its address.
pub(super) async fn start(
    state: &State,
    check: impl Fn(&mut Tx<'_>) -> Result<Start, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let id = begin(state, check).await?;
    // Ended or not: the address is the answer.
    let _ = tokio::time::timeout(PATIENCE, tutti_flow::ended(&state.store, id)).await;
    Ok(answer(StatusCode::ACCEPTED, &json!({"task": hrefs::task(id)})))
}

/// Submits a flow in the transaction that checks it.
pub(super) async fn begin(
    state: &State,
    check: impl Fn(&mut Tx<'_>) -> Result<Start, Refusal> + Send + 'static,
) -> Result<Uuid, Refusal> {
    let queue_max = state.options.queue_max;
    let flows_max = state.options.flows_max;
    let submitted = state.store.write(move |tx| {
        let start = check(tx)?;
        let id = submit(tx, start)?;
        flows::check_room(tx, id, queue_max, flows_max)?;
        Ok::<_, Refusal>(id)
    });
    submitted.await
}

fn submit(tx: &mut Tx<'_>, start: Start) -> Result<Uuid, Refusal> {
    let Start { title, resources, work } = start;
    let task = match work.is_short() {
        true => NewTask::of_tx::<Change>(),
        false => NewTask::of::<Effort>(),
    };
    let kind = work.kind().to_owned();
    let input = serde_json::to_value(work)
        .map_err(|source| crate::Error::Stored { what: "task", source })?;
    let new = NewFlow {
        id: Uuid::now_v7(),
        kind,
        title: title.clone(),
        resources,
        tasks: vec![NewTask { title, input, ..task }],
        ..NewFlow::default()
    };
    Ok(tutti_flow::submit(tx, new, clock::now())?.id)
}

/// What is one short transaction.
#[derive(Debug)]
pub(crate) struct Change {
    /// Where content is served: `http://host:port`.
    pub(crate) origin: Arc<str>,
}

impl TxTask for Change {
    const NAME: &'static str = "content.change";
    type Input = Work;
    type Output = Value;

    fn execute(&self, tx: &mut Tx<'_>, _: &TaskContext, work: Work) -> Result<Value, TxError> {
        let done = match work {
            Work::ChangeRepository { id, fields } => {
                repositories::apply(tx, id, &fields).map(Done::changed)
            }
            Work::ChangeRemote { id, fields } => remotes::apply(tx, id, &fields).map(Done::changed),
            Work::CreateDistribution { content_type, fields } => {
                distributions::make(tx, &content_type, &fields, &self.origin)
            }
            Work::ChangeDistribution { id, fields } => {
                distributions::apply(tx, id, &fields, &self.origin).map(Done::changed)
            }
            Work::DropDistribution { id } => tutti_content::distribution::drop(tx, id)
                .map(|()| Done::default())
                .map_err(Into::into),
            _ => Err(Refusal::invalid("This is no change of one transaction.")),
        };
        Ok(output(done).map_err(|refusal| failure(&refusal))?)
    }
}

/// What takes as long as it takes.
#[derive(Debug)]
pub(crate) struct Effort {
    pub(crate) store: Store,
    pub(crate) artifacts: Artifacts,
    pub(crate) uploads: Uploads,
}

impl Task for Effort {
    const NAME: &'static str = "content.work";
    /// Whoever waits wants to know; only what the machine refuses is tried again.
    const RETRY: Retry = Retry::times(5);
    type Input = Work;
    type Output = Value;

    async fn execute(&self, context: TaskContext, work: Work) -> Result<Value, Failure> {
        // A sync ends its own way.
        let ends_itself = matches!(work, Work::Sync { .. });
        let done = tokio::select! {
            done = Box::pin(self.run(&context, work)) => done,
            () = context.cancelled(), if !ends_itself => {
                return Err(Failure::Terminal("it was cancelled, or the controller stopped".into()));
            }
        };
        output(done).map_err(|refusal| failure(&refusal))
    }
}

impl Effort {
    async fn run(&self, context: &TaskContext, work: Work) -> Result<Done, Refusal> {
        match work {
            Work::DropRepository { id } => self.drop_repository(id).await,
            Work::DropRemote { id } => self.drop_remote(id).await,
            Work::DropVersion { repository, number } => {
                removal::delete(&self.store, repository, number).await?;
                Ok(Done::default())
            }
            Work::Sync { repository, remote, mirror, optimize } => {
                sync::run(self, context, repository, remote, (mirror, optimize)).await
            }
            Work::Modify { repository, add, remove, base, overwrite } => {
                let remove = remove.map_or(Removal::All, Removal::Units);
                self.modify(repository, Modification { add, remove, base, overwrite }).await
            }
            Work::Publish { repository, version, manifest } => {
                self.publish(repository, version, manifest.as_deref()).await
            }
            Work::CreateContent(new) => content::make(self, new).await,
            Work::Commit { upload, digest } => uploads::commit(self, upload, &digest).await,
            Work::Cleanup(cleanup) => orphans::clean(self, cleanup).await,
            Work::Purge { states, before } => self.purge(&states, before).await,
            Work::Repair { version, verify } => {
                orphans::repair(self, context, version, verify).await
            }
            Work::Reclaim { repositories } => orphans::reclaim(self, &repositories).await,
            _ => Err(Refusal::invalid("This is one short transaction.")),
        }
    }

    /// Changes what a repository holds, and what follows from a new version.
    pub(super) async fn modify(
        &self,
        repository: i64,
        modification: Modification,
    ) -> Result<Done, Refusal> {
        let made = modify::modify(&self.store, repository, modification, clock::now()).await?;
        match made {
            Some(version) => self.follow(repository, version.number).await,
            None => Ok(Done::default()),
        }
    }

    /// Publishes a new version if its repository wants that, and deletes versions it no longer keeps.
    pub(super) async fn follow(&self, id: i64, number: i64) -> Result<Done, Refusal> {
        let found = self.store.read(move |tx| repository::by_id(tx, id)).await?;
        let found = found.ok_or_else(Refusal::not_found)?;
        let href = hrefs::version(&found.content_type, id, number);
        let mut done = Done::created(href, None);
        if found.settings.0.get("autopublish") == Some(&json!(true)) {
            let manifest = repositories::manifest(&found);
            done.created.extend(self.publish(id, number, manifest.as_deref()).await?.created);
        }
        removal::retain(&self.store, id).await?;
        Ok(done)
    }

    async fn publish(
        &self,
        id: i64,
        version: i64,
        manifest: Option<&str>,
    ) -> Result<Done, Refusal> {
        let found = self.store.read(move |tx| {
            let found = repository::by_id(tx, id)?.ok_or_else(Refusal::not_found)?;
            repository::version::required(tx, &found, version)?;
            Ok::<_, Refusal>(found)
        });
        let content_type = found.await?.content_type;
        let settings = match content_type.as_str() {
            "file" => json!({"manifest": manifest}),
            _ => json!({}),
        };
        let new = publication::NewPublication { repository: id, version, content_type, settings };
        let made =
            publication::publish(&self.store, &self.artifacts, new, manifest, clock::now()).await?;
        let href = hrefs::object(Noun::Publication, &made.content_type, made.id);
        let id = made.id;
        let shown = self.store.read(move |tx| publications::by_id(tx, id)).await?;
        Ok(Done::created(href, Some(shown)))
    }

    async fn drop_repository(&self, id: i64) -> Result<Done, Refusal> {
        while self.store.write(move |tx| removal::drop_content(tx, id)).await? {}
        self.store.write(move |tx| repository::drop(tx, id)).await?;
        Ok(Done::default())
    }

    async fn drop_remote(&self, id: i64) -> Result<Done, Refusal> {
        while self.store.write(move |tx| remote::forget_offers(tx, id)).await? {}
        self.store.write(move |tx| remote::drop(tx, id)).await?;
        Ok(Done::default())
    }

    async fn purge(&self, states: &[tutti_flow::FlowState], before: i64) -> Result<Done, Refusal> {
        let kinds: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
        let mut count = 0;
        loop {
            let (kinds, states) = (kinds.clone(), states.to_vec());
            let purged = self.store.write(move |tx| tutti_flow::purge(tx, &kinds, &states, before));
            match purged.await? {
                0 => break,
                some => count += some as u64,
            }
        }
        Ok(Done::default().counted("Purged task objects", "purge.tasks", count))
    }
}

fn output(done: Result<Done, Refusal>) -> Result<Value, Refusal> {
    let stored = |source| crate::Error::Stored { what: "answer of a task", source };
    Ok(serde_json::to_value(done?).map_err(stored)?)
}

/// What the server itself is at fault for may be over the next time.
fn failure(refusal: &Refusal) -> Failure {
    match refusal.status.is_server_error() {
        true => Failure::Retryable(refusal.text()),
        false => Failure::Terminal(refusal.text()),
    }
}
