//! A sync: what a source declares becomes the next version of a repository.
//!
//! In *mirror* mode the version holds what the source declares and nothing else, but for what [failed](crate::pipeline::Failure);
//! otherwise it holds what the last version does, too. What the source said is remembered: if everything is as it was, a
//! sync ends with the question. A sync that dies, fails or is cancelled leaves no version, and units and bytes that the next
//! one finds.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tutti_store::{Store, Tx, sql};

use crate::{
    Artifact, Artifacts, Error,
    download::{Policy, Source, shown},
    file,
    pipeline::{self, Context, Counts, Declared, Failure, Origin, Progress, Stage, Stages},
    python,
    repository::{self, Draft, Member, Repository, Version},
};

/// Members looked at in one transaction when what is gone is removed.
const MEMBERS_AT_ONCE: u32 = 500;

sql! {
    MISSING = "SELECT count(*) FROM (SELECT f.digest FROM repository_content c JOIN unit_artifact f ON f.unit = c.unit \
               LEFT JOIN artifact a ON a.digest = f.digest \
               WHERE c.repository = $1 AND c.removed IS NULL AND a.digest IS NULL LIMIT 1) AS missing";
}

/// What is to be synced.
#[derive(Clone)]
pub struct SyncRequest {
    /// Name of the repository.
    pub repository: String,
    /// The remote.
    pub source: Source,
    /// Whether what the source does not declare is removed.
    pub mirror: bool,
    /// Whether a source that says nothing new is not read again.
    pub optimize: bool,
    /// Done in the transaction that makes the version visible.
    pub complete: Option<Complete>,
}

/// Runs in the transaction that makes the version visible, so a publication of it appears with it.
pub type Complete = Arc<dyn Fn(&mut Tx<'_>, &Completed<'_>) -> Result<(), Error> + Send + Sync>;

/// What a completed sync has made.
#[derive(Debug)]
pub struct Completed<'a> {
    /// As it was before.
    pub repository: &'a Repository,
    /// None: the newest holds all that there is.
    pub version: Option<&'a Version>,
    /// The source's own metadata.
    pub documents: &'a [Document],
    /// UTC microseconds.
    pub now: i64,
}

/// A document of the source's metadata, stored byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it is, relative to the repository.
    pub path: String,
    /// Its bytes; they have no row yet.
    pub artifact: Artifact,
}

/// What came of a sync.
#[derive(Clone, Debug)]
pub struct SyncOutcome {
    /// The version that was made; none if the newest holds all that there is.
    pub version: Option<Version>,
    /// Whether the source said that everything is as it was, and was not read.
    pub was_skipped: bool,
    /// Counts.
    pub counts: Counts,
    /// What was left out; of very many only the first.
    pub failures: Vec<Failure>,
    /// How many were left out.
    pub failed: usize,
}

/// What a content type begins with.
#[derive(Debug)]
pub struct Start {
    /// The source.
    pub origin: Arc<Origin>,
    /// The same, with what its content type was told.
    pub source: Source,
    /// Where bytes go.
    pub artifacts: Artifacts,
    /// What it remembered of the last sync; null if that says nothing about this one.
    pub memory: Value,
    /// Whether what is not declared is removed.
    pub mirror: bool,
    /// Counts.
    pub progress: Progress,
}

/// What a content type does in a sync.
#[derive(Debug)]
pub struct Plan {
    /// Declares units.
    pub first: Stage<(), Declared>,
    /// What becomes of them.
    pub stages: Stages,
    /// What to remember of this sync; stages may add to it.
    pub memory: Arc<Mutex<Value>>,
    /// The source's metadata, to be published as it is.
    pub documents: Vec<Document>,
}

impl Plan {
    /// Something to remember.
    #[must_use]
    pub fn remember(memory: &impl Serialize) -> Arc<Mutex<Value>> {
        Arc::new(Mutex::new(serde_json::to_value(memory).unwrap_or_default()))
    }
}

/// What a repository keeps of its last sync: it says something about the next only if that is of the same kind.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct LastSync {
    remote: i64,
    url: String,
    policy: Policy,
    content: Value,
    mirror: bool,
    version: i64,
    memory: Value,
}

/// Syncs a repository of one of the content types that are known here.
///
/// # Errors
/// [`pipeline::Error::Content`] if there is no such repository, or none that can be synced; else as [`sync_with`].
pub async fn sync(
    store: &Store,
    artifacts: &Artifacts,
    request: SyncRequest,
    progress: &Progress,
    cancellation: &CancellationToken,
) -> Result<SyncOutcome, pipeline::Error> {
    let name = request.repository.clone();
    let repository = store.read(move |tx| repository::required(tx, &name)).await?;
    let content_type = repository.content_type.clone();
    let syncing = Syncing { store, artifacts, progress, cancellation, repository, request };
    match content_type.as_str() {
        file::CONTENT_TYPE => syncing.run(file::plan).await,
        python::CONTENT_TYPE => syncing.run(python::plan).await,
        _ => Err(Error::NoSync(content_type).into()),
    }
}

/// Syncs a repository of a content type of one's own.
///
/// # Errors
/// What `plan` answers; the first error of a stage; [`pipeline::Error::Cancelled`]. There is no new version then.
pub async fn sync_with<Planning>(
    store: &Store,
    artifacts: &Artifacts,
    request: SyncRequest,
    progress: &Progress,
    cancellation: &CancellationToken,
    plan: impl FnOnce(Start) -> Planning,
) -> Result<SyncOutcome, pipeline::Error>
where
    Planning: Future<Output = Result<Option<Plan>, pipeline::Error>>,
{
    let name = request.repository.clone();
    let repository = store.read(move |tx| repository::required(tx, &name)).await?;
    Syncing { store, artifacts, progress, cancellation, repository, request }.run(plan).await
}

struct Syncing<'a> {
    store: &'a Store,
    artifacts: &'a Artifacts,
    progress: &'a Progress,
    cancellation: &'a CancellationToken,
    repository: Repository,
    request: SyncRequest,
}

impl Syncing<'_> {
    async fn run<Planning>(
        self,
        plan: impl FnOnce(Start) -> Planning,
    ) -> Result<SyncOutcome, pipeline::Error>
    where
        Planning: Future<Output = Result<Option<Plan>, pipeline::Error>>,
    {
        let planned = self.planned(plan);
        let planned = tokio::select! {
            biased;
            () = self.cancellation.cancelled() => return Err(pipeline::Error::Cancelled),
            planned = planned => planned?,
        };
        let Some(plan) = planned else {
            let counts = self.progress.counts();
            let (version, failures) = (None, Vec::new());
            return Ok(SyncOutcome { version, was_skipped: true, counts, failures, failed: 0 });
        };
        let now = self.store.read(|tx| tx.now()).await?;
        let draft = Draft::begin(self.store, &self.repository, now).await?;
        match self.make(draft.clone(), plan).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                // The failure is the news; what stays behind is seen by nobody, and cleared by the next draft.
                if let Err(left) = draft.abandon(self.store).await {
                    tracing::debug!(repository = self.repository.name, %left, "draft left behind");
                }
                Err(error)
            }
        }
    }

    async fn planned<Planning>(
        &self,
        plan: impl FnOnce(Start) -> Planning,
    ) -> Result<Option<Plan>, pipeline::Error>
    where
        Planning: Future<Output = Result<Option<Plan>, pipeline::Error>>,
    {
        let start = Start {
            origin: Origin::new(&self.request.source).await?,
            source: self.request.source.clone(),
            artifacts: self.artifacts.clone(),
            memory: self.memory().await?,
            mirror: self.request.mirror,
            progress: self.progress.clone(),
        };
        plan(start).await
    }

    /// What the last sync remembered, if this one would come to the same.
    async fn memory(&self) -> Result<Value, pipeline::Error> {
        let last = LastSync::deserialize(&self.repository.last_sync.0).unwrap_or_default();
        let same = LastSync { memory: last.memory.clone(), ..self.last_sync(&self.repository) };
        if !self.request.optimize || last != same {
            return Ok(Value::Null);
        }
        if self.request.source.policy == Policy::Immediate {
            let id = self.repository.id;
            let missing: i64 = self.store.read(move |tx| tx.one(MISSING, (id,))).await?;
            if missing > 0 {
                return Ok(Value::Null);
            }
        }
        Ok(last.memory)
    }

    fn last_sync(&self, repository: &Repository) -> LastSync {
        let source = &self.request.source;
        LastSync {
            remote: source.id,
            url: shown(&source.url),
            policy: source.policy,
            content: source.content.clone(),
            mirror: self.request.mirror,
            version: repository.version,
            memory: Value::Null,
        }
    }

    async fn make(&self, draft: Draft, plan: Plan) -> Result<SyncOutcome, pipeline::Error> {
        let (store, artifacts) = (self.store, self.artifacts);
        let context = Context::new(store, artifacts, draft, self.progress, self.cancellation);
        let Plan { first, stages, memory, documents } = plan;
        pipeline::run(context.clone(), stages.behind(first)).await?;
        if self.request.mirror {
            self.remove_the_rest(&context).await?;
        }
        let (failures, failed) = context.failed();
        let memory = memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let memory = (failed == 0).then_some(memory);
        let version = self.complete(&context, memory, documents).await?;
        let counts = self.progress.counts();
        Ok(SyncOutcome { version, was_skipped: false, counts, failures, failed })
    }

    /// Removes what the source does not declare any more.
    async fn remove_the_rest(&self, context: &Context) -> Result<(), pipeline::Error> {
        let mut after = String::new();
        loop {
            if self.cancellation.is_cancelled() {
                return Err(pipeline::Error::Cancelled);
            }
            let (draft, from) = (context.draft().clone(), after.clone());
            let members =
                self.store.read(move |tx| draft.content(tx, &from, MEMBERS_AT_ONCE)).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after.clone_from(&last.path);
            let is_gone = |member: &Member| !context.is_wanted(member.unit, &member.path);
            let gone: Arc<[Member]> = members.into_iter().filter(is_gone).collect();
            if gone.is_empty() {
                continue;
            }
            let (draft, count) = (context.draft().clone(), gone.len() as u64);
            self.store.write(move |tx| draft.remove(tx, &gone)).await?;
            self.progress.count(|counts| counts.removed += count);
        }
    }

    /// Makes the version visible.
    async fn complete(
        &self,
        context: &Context,
        memory: Option<Value>,
        documents: Vec<Document>,
    ) -> Result<Option<Version>, pipeline::Error> {
        let (draft, repository) = (context.draft().clone(), self.repository.clone());
        let complete = self.request.complete.clone();
        let last = memory.map(|memory| LastSync { memory, ..self.last_sync(&repository) });
        let cancellation = self.cancellation.clone();
        let completed = move |tx: &mut Tx<'_>| {
            if cancellation.is_cancelled() {
                return Err(pipeline::Error::Cancelled);
            }
            let now = tx.now()?;
            let version = draft.complete(tx, None, now)?;
            let number = version.as_ref().map_or(repository.version, |version| version.number);
            let seen = last.as_ref().map(serde_json::to_value).and_then(Result::ok);
            let mut seen = seen.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            if let Some(version) = seen.get_mut("version") {
                *version = number.into();
            }
            repository::synced(tx, repository.id, &seen)?;
            if let Some(complete) = &complete {
                let (repository, version) = (&repository, version.as_ref());
                complete(tx, &Completed { repository, version, documents: &documents, now })?;
            }
            Ok(version)
        };
        self.store.write(completed).await
    }
}

impl std::fmt::Debug for SyncRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repository, source, mirror, optimize, .. } = self;
        f.debug_struct("SyncRequest")
            .field("repository", repository)
            .field("source", source)
            .field("mirror", mirror)
            .field("optimize", optimize)
            .finish_non_exhaustive()
    }
}
