//! Syncs, and files that are fetched when they are asked for: what the content store does with a remote.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tutti_content::download::{Credentials, Source, SourceSettings};
use tutti_content::fetch::Offer;
use tutti_content::pipeline::{Counts, Error as PipelineError, Failure, Progress};
use tutti_content::publication::{self, NewPublication};
use tutti_content::remote::{self, Policy, Remote};
use tutti_content::serve::Served;
use tutti_content::{SyncOutcome, SyncRequest, fetch, repository, sync};
use tutti_flow::TaskContext;
use tutti_store::Tx;

use super::refusal::Refusal;
use super::work::{Done, Effort, counted};
use super::{hrefs, repositories};
use crate::http::sentence;

/// How often a task says how far it is.
const TOLD: Duration = Duration::from_secs(1);

/// What was left out, as far as the task's result names it.
const NAMED_MAX: usize = 100;

/// A remote as it is fetched from.
pub(super) fn source(remote: &Remote) -> Source {
    let settings = &remote.settings.0;
    let text = |name: &str| settings.get(name).and_then(Value::as_str).map(str::to_owned);
    let whole = |name: &str| settings.get(name).and_then(Value::as_u64);
    let milliseconds = |name: &str| {
        let time = settings.get(name).and_then(Value::as_f64).map(Duration::try_from_secs_f64);
        time.and_then(Result::ok).map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    let usual = SourceSettings::default();
    let connect = milliseconds("connect_timeout").or_else(|| milliseconds("sock_connect_timeout"));
    let headers = settings.get("headers").and_then(Value::as_array).into_iter().flatten();
    let headers = headers.filter_map(Value::as_object).flatten();
    let secret =
        |name: &str| remote.credentials.0.get(name).and_then(Value::as_str).map(str::to_owned);
    Source {
        id: remote.id,
        url: remote.url.clone(),
        policy: Policy::parse(&remote.policy).unwrap_or_default(),
        settings: SourceSettings {
            concurrency: whole("download_concurrency")
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(usual.concurrency)
                .max(1),
            retries: whole("max_retries")
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(usual.retries),
            total_timeout_ms: milliseconds("total_timeout"),
            connect_timeout_ms: connect.unwrap_or(usual.connect_timeout_ms),
            read_timeout_ms: milliseconds("sock_read_timeout").unwrap_or(usual.read_timeout_ms),
            rate_limit: whole("rate_limit")
                .and_then(|number| u32::try_from(number).ok())
                .filter(|limit| *limit > 0),
            headers: headers
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            ca_certificates: text("ca_cert"),
            tls_validation: settings.get("tls_validation").and_then(Value::as_bool).unwrap_or(true),
            proxy_url: text("proxy_url"),
            ..usual
        },
        credentials: Credentials {
            username: secret("username"),
            password: secret("password"),
            client_certificate: text("client_cert"),
            client_key: secret("client_key"),
            proxy_username: secret("proxy_username"),
            proxy_password: secret("proxy_password"),
            ..Credentials::default()
        },
        content: super::remotes::content_settings(remote),
    }
}

/// Where a file can be fetched, with how.
pub(super) fn offers(tx: &mut Tx<'_>, file: &Served) -> Result<Vec<(Source, Offer)>, Refusal> {
    let Some(unit) = file.unit else { return Ok(Vec::new()) };
    let mut offers = Vec::new();
    for offer in fetch::offers(tx, unit, &file.path)? {
        if let Some(remote) = remote::by_id(tx, offer.remote)? {
            offers.push((source(&remote), offer));
        }
    }
    Ok(offers)
}

/// Syncs a repository; what was half done when it is cancelled, nobody sees.
pub(super) async fn run(
    effort: &Effort,
    context: &TaskContext,
    id: i64,
    remote: i64,
    (mirror, optimize): (bool, bool),
) -> Result<Done, Refusal> {
    let (found, source) = effort
        .store
        .read(move |tx| {
            let found = repository::by_id(tx, id)?.ok_or_else(Refusal::not_found)?;
            Ok::<_, Refusal>((found, source(&remote::required(tx, remote)?)))
        })
        .await?;
    let manifest = repositories::manifest(&found);
    let request = SyncRequest {
        repository: found.name.clone(),
        source,
        mirror,
        optimize,
        complete: (mirror && found.content_type == "file").then(|| publishing(manifest)),
    };
    let (progress, cancellation) = (Progress::default(), CancellationToken::new());
    let running = sync(&effort.store, &effort.artifacts, request, &progress, &cancellation);
    let mut running = Box::pin(running);
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = tell(context, &progress) => Err(PipelineError::Cancelled),
        () = context.cancelled() => {
            cancellation.cancel();
            running.await
        }
    };
    let outcome = outcome.map_err(|error| refusal(&error))?;
    follow(effort, id, outcome, mirror).await
}

/// What the sync is refused for. What the machine is at fault for may be over the next time.
fn refusal(error: &PipelineError) -> Refusal {
    let text = sentence(error);
    match error {
        PipelineError::Content(inner) if matches!(**inner, tutti_content::Error::Store(_)) => {
            Refusal::detail(axum::http::StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        _ => Refusal::invalid(text),
    }
}

/// Publishes what is mirrored in the transaction that makes it visible, with the manifest of its source.
fn publishing(manifest: Option<String>) -> tutti_content::sync::Complete {
    Arc::new(move |tx, completed| {
        let Some(version) = completed.version else { return Ok(()) };
        let new = NewPublication {
            repository: completed.repository.id,
            version: version.number,
            content_type: completed.repository.content_type.clone(),
            settings: json!({"manifest": manifest}),
        };
        let document =
            |one: &tutti_content::sync::Document| (one.path.clone(), one.artifact.clone());
        let documents: Vec<_> = completed.documents.iter().map(document).collect();
        publication::create(tx, &new, &documents, completed.now).map(drop)
    })
}

/// Says again and again how far it is; never ends.
async fn tell(context: &TaskContext, progress: &Progress) {
    let mut counts = progress.watch();
    loop {
        tokio::time::sleep(TOLD).await;
        // Whoever counts is there as long as this is.
        if counts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let so_far = *counts.borrow_and_update();
        // How far it is, is only for people.
        let _ = context.report(json!({"progress": reports(&so_far, "running")})).await;
    }
}

fn reports(counts: &Counts, state: &str) -> Vec<Value> {
    let mut reports = vec![
        counted(
            "Downloading Metadata Files",
            "sync.downloading.metadata",
            state,
            None,
            counts.metadata,
        ),
        counted("Parsing Metadata", "sync.parsing.metadata", state, counts.total, counts.declared),
        counted(
            "Downloading Artifacts",
            "sync.downloading.artifacts",
            state,
            None,
            counts.downloaded,
        ),
        counted("Associating Content", "associating.content", state, None, counts.added),
        counted("Un-Associating Content", "unassociating.content", state, None, counts.removed),
    ];
    if counts.failed > 0 {
        reports.push(counted("Left out", "sync.left-out", state, None, counts.failed));
    }
    reports
}

/// What follows from a sync.
async fn follow(
    effort: &Effort,
    id: i64,
    outcome: SyncOutcome,
    mirror: bool,
) -> Result<Done, Refusal> {
    let mut done = match &outcome.version {
        Some(version) => {
            let mut done = effort.follow(id, version.number).await?;
            if mirror {
                done.created.extend(published(effort, id, version.number).await?);
            }
            done
        }
        None => Done::default(),
    };
    done.progress = match outcome.was_skipped {
        true => vec![counted(
            "Skipping Sync (no change from previous sync)",
            "sync.was_skipped",
            "completed",
            Some(1),
            1,
        )],
        false => reports(&outcome.counts, "completed"),
    };
    if outcome.failed > 0 {
        let named = |failure: &Failure| json!({"name": failure.name, "reason": failure.reason});
        let failures: Vec<Value> = outcome.failures.iter().take(NAMED_MAX).map(named).collect();
        done.result = Some(json!({"left_out": outcome.failed, "failures": failures}));
    }
    Ok(done)
}

/// Addresses of what is published of a version.
async fn published(effort: &Effort, id: i64, number: i64) -> Result<Vec<String>, Refusal> {
    let filter = publication::Filter {
        content_types: vec!["file".to_owned()],
        repository: Some(id),
        version: Some(number),
    };
    let window = tutti_content::Window { limit: 1, offset: 0 };
    let page = effort.store.read(move |tx| publication::list(tx, &filter, window)).await?;
    let href = |one: &publication::Publication| {
        hrefs::object(super::plugin::Noun::Publication, &one.content_type, one.id)
    };
    Ok(page.rows.iter().map(href).collect())
}
