//! Keeping time: what must happen at a time although nobody calls.
//!
//! Forced removals have deadlines, kept in the rows they concern, so that a restart forgets none;
//! secrets come due; what is old is forgotten. One task does it all and sleeps in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tutti_store::Tx;

use crate::relations::{self, Touched};
use crate::state::State;
use crate::{Error, artifacts, clock, idempotency, operations, secrets, sequence, units};

/// How often it looks, whatever it knows of deadlines.
const TICK: Duration = Duration::from_secs(5);

/// How often old records are forgotten.
const PRUNING: Duration = Duration::from_hours(1);

/// Flows, operations, events and past statuses are kept this long, microseconds: 14 days (Juju).
const KEPT: i64 = 14 * 24 * 3600 * 1_000_000;

/// An upload in parts is given up when none has come for so long, microseconds.
const UPLOADS_KEPT: i64 = 7 * 24 * 3600 * 1_000_000;

/// Flows kept whatever their age.
const FLOWS_KEPT: u32 = 1000;

/// Keeps time until the controller stops.
pub(crate) async fn keep(state: Arc<State>) {
    // From the beginning: what came due while no controller ran wakes its owner, too.
    let mut secrets_until = 0;
    let mut pruned: Option<Instant> = None;
    loop {
        let now = clock::now();
        let result = look(&state, secrets_until, now).await;
        let wait = match result {
            Ok(next) => {
                secrets_until = now;
                next.map_or(TICK, |at| until(at, clock::now()).min(TICK))
            }
            Err(error) => {
                tracing::error!(error = %crate::http::sentence(&error), "cannot keep deadlines");
                TICK
            }
        };
        if pruned.is_none_or(|at| at.elapsed() > PRUNING) {
            pruned = Some(Instant::now());
            if let Err(error) = prune(&state, clock::now()).await {
                tracing::warn!(error = %crate::http::sentence(&error), "cannot forget what is old");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = state.deadlines.notified() => {}
            () = state.stopping.cancelled() => return,
        }
    }
}

/// Time from `now` to `at`.
fn until(at: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(at - now).unwrap_or(0))
}

/// Does what is due; answers when the next removal is.
async fn look(state: &State, since: i64, now: i64) -> Result<Option<i64>, Error> {
    let (due, next) = state
        .read(move |tx| {
            let next = next_removal(tx)?;
            let mut woken = Touched::new();
            secrets::wake_due(tx, since, now, &mut woken)?;
            let removals = next.is_some_and(|at| at <= now);
            Ok((removals || !woken.is_empty(), next))
        })
        .await?;
    if !due {
        return Ok(next);
    }
    state
        .write(move |tx| {
            let mut touched = Touched::new();
            relations::force_due(tx, now, &mut touched)?;
            units::remove_overdue(tx, now, &mut touched)?;
            secrets::wake_due(tx, since, now, &mut touched)?;
            sequence::touch(tx, touched.iter().map(String::as_str))?;
            next_removal(tx)
        })
        .await
}

/// When the next forced removal is due.
fn next_removal(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    let of_units = units::next_overdue(tx)?;
    let of_relations = relations::next_due(tx)?;
    Ok(of_units.into_iter().chain(of_relations).min())
}

/// Forgets what nobody will ask for.
async fn prune(state: &State, now: i64) -> Result<(), Error> {
    let before = now - KEPT;
    state.store.outbox_prune(before).await?;
    state.write(move |tx| units::forget_statuses(tx, before)).await?;
    state.write(move |tx| operations::forget(tx, before)).await?;
    state.write(move |tx| idempotency::prune(tx, now)).await?;
    while state.write(move |tx| Ok(tutti_flow::prune(tx, before, FLOWS_KEPT)?)).await? > 0 {}
    state.write(|tx| Ok(tutti_flow::prune_signals(tx)?)).await?;
    state.uploads.remove_old(&state.store, now - UPLOADS_KEPT).await?;
    artifacts::remove_orphans(state).await
}
