//! Cleaning up and looking after: `/pulp/api/v3/orphans/cleanup/`, `/pulp/api/v3/repair/`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_content::repair::{self, Report, Scope};
use tutti_content::{Error as ContentError, orphan};
use tutti_flow::{Access, TaskContext};

use super::fields::Fields;
use super::hrefs::Address;
use super::plugin::Noun;
use super::refusal::Refusal;
use super::work::{self, Done, Effort, Start, Work, counted};
use crate::state::{Shared, State};
use crate::{applications, clock};

/// What nothing holds is kept so long unless told otherwise, minutes (Pulp).
const PROTECTION: u64 = 1440;

/// The longest that can be asked for, minutes.
const PROTECTION_MAX: u64 = 4_294_967_295;

/// What is forgotten in one transaction.
const AT_ONCE: u32 = 1_000;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/orphans/cleanup/", post(cleanup))
        .route("/pulp/api/v3/repair/", post(begin_repair))
}

/// Which orphans go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cleanup {
    /// Those that nobody looked for since, UTC microseconds.
    before: i64,
    /// Of these units; none: of all.
    units: Option<Vec<i64>>,
    /// Only counts them.
    dry_run: bool,
}

async fn cleanup(Extract(state): Shared, fields: Fields) -> Result<Response, Refusal> {
    let minutes = fields.number("orphan_protection_time")?.unwrap_or(PROTECTION);
    if minutes > PROTECTION_MAX {
        let text = format!("Ensure this value is less than or equal to {PROTECTION_MAX}.");
        return Err(Refusal::field("orphan_protection_time", text));
    }
    let protection = i64::try_from(minutes * 60_000_000).unwrap_or(i64::MAX / 2);
    let id = |address: Address| match address {
        Address::Object(Noun::Content, _, id) => Ok(id),
        _ => Err(Refusal::field("content_hrefs", "Not the address of a unit of content.")),
    };
    let units = fields.addresses("content_hrefs")?;
    let units: Option<Vec<i64>> =
        units.map(|units| units.into_iter().map(id).collect::<Result<_, _>>()).transpose()?;
    let dry_run = fields.flag("dry_run")?.unwrap_or(false);
    work::start(&state, move |_| {
        Ok(Start {
            title: "Remove content that nothing holds".to_owned(),
            resources: vec![("orphans".to_owned(), Access::Exclusive)],
            work: Work::Cleanup(Cleanup {
                before: clock::now() - protection,
                units: units.clone(),
                dry_run,
            }),
        })
    })
    .await
}

/// Forgets orphans, or counts them.
pub(super) async fn clean(effort: &Effort, cleanup: Cleanup) -> Result<Done, Refusal> {
    let (before, dry_run) = (cleanup.before, cleanup.dry_run);
    let mut units = 0;
    match (cleanup.units, dry_run) {
        (None, true) => {
            let counts = effort.store.read(move |tx| orphan::count(tx, before)).await?;
            units = counts.values().sum();
        }
        (None, false) => loop {
            let some = effort.store.write(move |tx| orphan::forget_units(tx, before, AT_ONCE));
            match some.await? {
                0 => break,
                count => units += count as u64,
            }
        },
        (Some(_), true) => {
            return Err(Refusal::invalid("A dry run counts all content, not chosen units."));
        }
        (Some(chosen), false) => {
            for some in chosen.chunks(AT_ONCE as usize) {
                let some = some.to_vec();
                let forgotten =
                    effort.store.write(move |tx| orphan::forget_chosen(tx, before, &some));
                units += forgotten.await? as u64;
            }
        }
    }
    let artifacts = clean_artifacts(effort, before, dry_run).await?;
    let done = Done::default()
        .counted("Clean up orphan Content", "clean-up.content", units)
        .counted("Clean up orphan Artifacts", "clean-up.artifacts", artifacts);
    Ok(Done {
        result: Some(json!({"content": units, "artifacts": artifacts, "dry_run": dry_run})),
        ..done
    })
}

async fn clean_artifacts(effort: &Effort, before: i64, dry_run: bool) -> Result<u64, Refusal> {
    let (mut count, mut after) = (0, String::new());
    loop {
        let from = after.clone();
        let forget = move |tx: &mut tutti_store::Tx<'_>| {
            let old: BTreeSet<String> = orphan::stored(tx, before, &from, AT_ONCE)?;
            let kept = applications::artifacts(tx)?;
            let gone = match dry_run {
                true => orphan::artifacts(tx, &old, &kept)?,
                false => orphan::forget_artifacts(tx, &old, &kept)?,
            };
            Ok::<_, crate::Error>((old.last().cloned(), gone))
        };
        let (last, gone) = match dry_run {
            true => effort.store.read(forget).await?,
            false => effort.store.write(forget).await?,
        };
        count += gone.len() as u64;
        if !dry_run {
            for digest in gone {
                // What is too young goes with a later clean-up of the directory.
                effort.artifacts.remove_old(&digest).await?;
            }
        }
        match last {
            Some(last) => after = last,
            None => return Ok(count),
        }
    }
}

async fn begin_repair(Extract(state): Shared, fields: Fields) -> Result<Response, Refusal> {
    let verify = fields.flag("verify_checksums")?.unwrap_or(true);
    work::start(&state, move |_| {
        Ok(Start {
            title: "Repair what is stored".to_owned(),
            resources: vec![("orphans".to_owned(), Access::Shared)],
            work: Work::Repair { version: None, verify },
        })
    })
    .await
}

/// Reads what is stored again.
pub(super) async fn repair(
    effort: &Effort,
    context: &TaskContext,
    version: Option<(i64, i64)>,
    verify: bool,
) -> Result<Done, Refusal> {
    let scope =
        version.map_or(Scope::All, |(repository, number)| Scope::Version(repository, number));
    let progress = |report: Report| {
        let context = context.clone();
        async move {
            // How far it is, is only for people.
            let _ = context.report(json!({"progress": reports(&report, "running")})).await;
            !context.is_cancelled()
        }
    };
    let report = repair::repair(&effort.store, &effort.artifacts, scope, verify, progress).await?;
    Ok(Done { progress: reports(&report, "completed"), ..Done::default() })
}

fn reports(report: &Report, state: &str) -> Vec<serde_json::Value> {
    [
        ("Identify missing files", "repair.missing", report.missing),
        ("Identify corrupted files", "repair.corrupted", report.corrupted),
        (
            "Files that are fetched again when they are asked for",
            "repair.repaired",
            report.fetchable,
        ),
    ]
    .into_iter()
    .map(|(message, code, done)| counted(message, code, state, None, done))
    .collect()
}

/// Removes files that can be fetched again.
pub(super) async fn reclaim(effort: &Effort, repositories: &[i64]) -> Result<Done, Refusal> {
    let count = repair::reclaim(&effort.store, &effort.artifacts, repositories).await;
    let count = count.map_err(|error: ContentError| Refusal::from(error))?;
    Ok(Done::default().counted("Reclaim disk space", "reclaim-space.artifact", count))
}
