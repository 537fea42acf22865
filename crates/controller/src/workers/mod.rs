//! Workers elsewhere: they take tasks of flows over HTTP, under a lease each.
//!
//! The rules are the engine's ([`tutti_flow::claim`]); here is only how they cross HTTP. A worker needs no session: each call
//! names the claim, and one that has ended is refused with `409` and code `claim-lost`.

mod api;

use std::time::Duration;

use tutti_flow::Outcome;
use tutti_flow::claim::{Claim, Claimant, Worker};
use tutti_model::api::{ClaimInfo, ClaimRequest, Undo, WorkerInfo};
use uuid::Uuid;

use crate::Error;

pub(crate) use api::routes;

/// The longest name of a worker, a handler or a label, bytes.
const NAME: usize = 100;

/// Handlers and labels a worker may name.
const NAMES: usize = 1000;

/// The shortest and the longest lease.
const LEASE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(10));

/// A lease asked for, within what there is.
fn lease(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).clamp(LEASE.0, LEASE.1)
}

/// A worker by its name and what it says of itself.
fn claimant(name: String, request: &ClaimRequest) -> Result<Claimant, Error> {
    let lists = [&request.handlers, &request.labels];
    if lists.iter().any(|list| list.len() > NAMES) {
        return Err(Error::Invalid(format!("a worker has at most {NAMES} handlers and labels")));
    }
    let texts = lists.into_iter().flatten().chain([&name]);
    for text in texts {
        if text.is_empty() || text.len() > NAME || text.chars().any(char::is_control) {
            return Err(Error::Invalid(format!(
                "{text:?} is no name of a worker, handler or label: it has 1 to {NAME} characters"
            )));
        }
    }
    if Uuid::try_parse(&name).is_ok() {
        // Workers that have flows are called so.
        return Err(Error::Invalid(format!("a worker cannot be called {name}, which is a UUID")));
    }
    let set = |list: &[String]| list.iter().cloned().collect();
    Ok(Claimant { name, handlers: set(&request.handlers), labels: set(&request.labels) })
}

/// A claim as the API shows it at a time.
fn show(claim: Claim, now: i64) -> ClaimInfo {
    let idempotency_key = claim.idempotency_key();
    let undo = claim.undo.map(|outcome| match outcome {
        Outcome::Succeeded(output) => {
            Undo { outcome: "succeeded".into(), output, ..Undo::default() }
        }
        Outcome::Failed(error) => Undo { outcome: "failed".into(), error, ..Undo::default() },
        Outcome::Unknown => Undo { outcome: "unknown".into(), ..Undo::default() },
    });
    ClaimInfo {
        id: claim.id.to_string(),
        flow: claim.flow.to_string(),
        task: claim.task.to_string(),
        name: claim.name,
        input: claim.input,
        undo,
        attempt: claim.attempt,
        epoch: claim.epoch,
        idempotency_key,
        lease_ms: left(claim.lease_until, now),
        time_left_ms: claim.deadline.map(|at| left(at, now)),
        trace: claim.trace,
    }
}

/// Milliseconds until a time.
fn left(at: i64, now: i64) -> u64 {
    u64::try_from(at.saturating_sub(now) / 1000).unwrap_or_default()
}

fn show_worker(worker: Worker) -> WorkerInfo {
    WorkerInfo {
        name: worker.name,
        remote: worker.remote,
        handlers: worker.handlers.0,
        labels: worker.labels.0,
        flows: worker.flows,
        claims: worker.claims,
    }
}
