//! Offers: attempts at tasks whose flow's owner lacks a handler or a label. A row for each, until it came to something.

use std::time::Duration;

use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use crate::{
    FailureClass, OFFERS, Result,
    attempt::UNWANTED,
    change::{self, News},
    failure::{self, Failed, LOST},
    graph::{Known, Left, Offer, Return},
    policy::{Trouble, micros},
};

/// Offers set aside in one transaction.
const ORPHANS_MAX: usize = 100;

sql! {
    /// A repetition of what is offered already leaves it as it is.
    pub(crate) ADD = "INSERT INTO flow_offer (flow, number, attempt, epoch, name, labels, input, undo, time_limit, heartbeat,
        cancel_limit, offered, priority, cancelled)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, priority, FALSE FROM flow WHERE id = $1
        ON CONFLICT (flow, number) DO NOTHING";

    pub(crate) WITHDRAW = "DELETE FROM flow_offer WHERE flow = $1 AND number = $2 AND claim IS NULL
        RETURNING attempt, undo IS NOT NULL";

    /// Whoever has claimed it shall stop, in the time there is for that.
    pub(crate) CANCEL = "UPDATE flow_offer SET cancelled = TRUE,
        deadline = CASE WHEN deadline < $3 + cancel_limit THEN deadline ELSE coalesce($3 + cancel_limit, deadline) END,
        lease_until = CASE WHEN $3 + cancel_limit < lease_until THEN $3 + cancel_limit ELSE lease_until END
        WHERE flow = $1 AND number = $2 AND NOT cancelled";

    pub(crate) FORGET = "DELETE FROM flow_offer WHERE flow = $1";

    pub(crate) LAPSED = "DELETE FROM flow_offer WHERE lease_until < $1
        RETURNING flow, number, attempt, time_limit, coalesce(deadline < $1, FALSE), undo IS NOT NULL, worker,
        CASE WHEN cancelled THEN cancel_limit END";

    pub(crate) LEFT_BY = "DELETE FROM flow_offer WHERE worker = $1 RETURNING flow, number, attempt, undo IS NOT NULL";

    /// Offers that nobody here could ever take: they name no labels, which come and go with machines, and no worker has the
    /// handler.
    pub(crate) ORPHANS = "SELECT flow, number, name FROM flow_offer WHERE claim IS NULL AND labels = '[]'
        AND name NOT IN (SELECT handler.value FROM flow_worker AS worker, json_each(worker.handlers) AS handler)
        LIMIT $1";

    /// Whether a worker with these handlers and labels finds anything.
    pub(crate) ANY = "SELECT EXISTS (SELECT 1 FROM flow_offer WHERE claim IS NULL
        AND name IN (SELECT value FROM json_each($1)) AND NOT EXISTS (
            SELECT 1 FROM json_each(flow_offer.labels) AS label
            WHERE label.value NOT IN (SELECT value FROM json_each($2))))";
}

row! {
    /// A claim nobody was heard of in time.
    struct Lapsed {
        flow: Uuid, number: usize, attempt: u32, limit: Option<i64>, late: bool, undoing: bool, worker: Option<String>,
        unwanted: Option<i64>,
    }
}

/// Offers attempts of a flow under an epoch.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    (flow, epoch): (Uuid, i64),
    offers: &[Offer],
    now: i64,
) -> Result<()> {
    for offer in offers {
        let (number, attempt) = (offer.number, offer.attempt);
        let undo: Option<Json<&Left>> = offer.undo.as_ref().map(Json);
        let timeouts = offer.timeouts;
        let limit = match (timeouts.attempt, timeouts.total) {
            (Some(attempt), Some(total)) => Some(attempt.min(total)),
            (attempt, total) => attempt.or(total),
        };
        let limits =
            (limit.map(micros), timeouts.heartbeat.map(micros), timeouts.cancel.map(micros));
        let labels = Json(&offer.labels);
        let what = (&offer.name, labels, &offer.input, undo);
        tx.exec(
            ADD,
            (
                flow, number, attempt, epoch, what.0, what.1, what.2, what.3, limits.0, limits.1,
                limits.2, now,
            ),
        )?;
        tx.ring(OFFERS);
    }
    Ok(())
}

/// Takes back what nobody has claimed; with `true`, whoever has claimed it is told to stop.
pub(crate) fn withdraw(
    tx: &mut Tx<'_>,
    flow: Uuid,
    tasks: &[(usize, bool)],
    now: i64,
) -> Result<()> {
    let mut news = Vec::new();
    for (number, stop) in tasks {
        let withdrawn: Option<(u32, bool)> = tx.maybe(WITHDRAW, (flow, number))?;
        if let Some((attempt, _)) = withdrawn {
            news.push(News::Returned(*number, attempt, Return::Withdrawn));
        } else if *stop {
            // Leases are by the database's clock.
            let clock = tx.now()?;
            tx.exec(CANCEL, (flow, number, clock))?;
            tx.ring(OFFERS);
        }
    }
    if news.is_empty() { Ok(()) } else { change::tell(tx, flow, news, now) }
}

/// Forgets the offers of a flow that was given up: whoever has claimed one finds out.
pub(crate) fn forget(tx: &mut Tx<'_>, flow: Uuid) -> Result<()> {
    tx.exec(FORGET, (flow,))?;
    tx.ring(OFFERS);
    Ok(())
}

/// Tells flows what was claimed and not heard of any more.
pub(crate) fn lapse(tx: &mut Tx<'_>) -> Result<()> {
    let now = tx.now()?;
    for lapsed in tx.all::<Lapsed>(LAPSED, (now,))? {
        let Lapsed { flow, number, attempt, limit, late, undoing, worker, unwanted } = lapsed;
        let (class, message, what) = if late {
            let how = if unwanted.is_some() { UNWANTED } else { "it took longer than" };
            let limit = unwanted.or(limit).unwrap_or_default();
            let message = format!("{how} {:?}", Duration::from_micros(limit.unsigned_abs()));
            let what = Return::Ended(Err(Trouble::late(message.clone())));
            (FailureClass::Timeout, message, what)
        } else {
            tracing::warn!(%flow, number, attempt, "whoever ran a task is gone");
            (FailureClass::Lost, LOST.into(), Return::Lapsed)
        };
        let failed = Failed { number, undoing, attempt, class, message };
        failure::keep(tx, flow, &[failed], worker.as_deref(), now)?;
        change::tell(tx, flow, vec![News::Returned(number, attempt, what)], now)?;
    }
    Ok(())
}

/// Tells flows what was claimed by a worker that left, or died.
pub(crate) fn give_back(tx: &mut Tx<'_>, worker: Uuid, died: bool) -> Result<()> {
    let now = tx.now()?;
    let worker = worker.to_string();
    let left: Vec<(Uuid, usize, u32, bool)> = tx.all(LEFT_BY, (&worker,))?;
    for (flow, number, attempt, undoing) in left {
        if died {
            let class = FailureClass::Lost;
            let failed = Failed { number, undoing, attempt, class, message: LOST.into() };
            failure::keep(tx, flow, &[failed], Some(&worker), now)?;
        }
        let what = if died { Return::Lapsed } else { Return::GivenBack };
        change::tell(tx, flow, vec![News::Returned(number, attempt, what)], now)?;
    }
    Ok(())
}

/// Whether there is something to claim, and whether there is something nobody can.
pub(crate) fn look(tx: &mut Tx<'_>, known: &Known) -> Result<(bool, bool)> {
    let any = tx.one(ANY, (Json(&known.handlers), Json(&known.labels)))?;
    let orphan: Option<(Uuid, usize, String)> = tx.maybe(ORPHANS, (1,))?;
    Ok((any, orphan.is_some()))
}

/// Sets aside the flows of which no worker knows the handler of a task.
pub(crate) fn refuse_orphans(tx: &mut Tx<'_>) -> Result<()> {
    let now = tx.now()?;
    let orphans: Vec<(Uuid, usize, String)> = tx.all(ORPHANS, (ORPHANS_MAX,))?;
    for (flow, number, name) in orphans {
        let withdrawn: Option<(u32, bool)> = tx.maybe(WITHDRAW, (flow, number))?;
        let Some((attempt, undoing)) = withdrawn else { continue };
        let trouble = Trouble::NoHandler(name);
        let (class, message) = (trouble.class(), trouble.message());
        let failed = Failed { number, undoing, attempt, class, message };
        failure::keep(tx, flow, &[failed], None, now)?;
        let what = Return::Ended(Err(trouble));
        change::tell(tx, flow, vec![News::Returned(number, attempt, what)], now)?;
    }
    Ok(())
}
