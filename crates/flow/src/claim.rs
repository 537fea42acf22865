//! Work for workers that have no flows: attempts at tasks, claimed under a lease.
//!
//! A task whose flow's owner lacks its handler or a label is offered. A worker, in this process, in another one or behind
//! HTTP, [`claim`]s what it can do, [`beat`]s while it runs, and [`finish`]es. Whoever is not heard of loses the claim: the task is
//! offered again as its next attempt, and what the former claimant says is refused with [`Error::ClaimLost`]. Everything here is
//! by the database's clock.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use crate::{
    Error, Failure, Outcome, Result,
    change::{self, News},
    failure::{self, Failed},
    graph::{Left, Return},
    offer,
    policy::{Trouble, micros},
    report::{self, Said},
    task::{OUTPUT_MAX, too_large},
    task_id,
};

/// Claims of one call, at most.
const CLAIMS_MAX: usize = 100;

sql! {
    pub(crate) ADVERTISE = "INSERT INTO flow_worker (id, instance, lease_until, started, handlers, labels, name)
        VALUES ($1, $1, $2, $3, $4, $5, $6) ON CONFLICT (name) WHERE name IS NOT NULL DO UPDATE
        SET lease_until = excluded.lease_until, handlers = excluded.handlers, labels = excluded.labels";

    pub(crate) OPEN = "SELECT flow, number FROM flow_offer WHERE claim IS NULL
        AND name IN (SELECT value FROM json_each($1)) AND NOT EXISTS (
            SELECT 1 FROM json_each(flow_offer.labels) AS label
            WHERE label.value NOT IN (SELECT value FROM json_each($2)))
        ORDER BY priority DESC, offered LIMIT $3";

    /// `$3` is the claim, `$4` whose, `$5` now and `$6` the lease.
    pub(crate) CLAIM = "UPDATE flow_offer SET claim = $3, worker = $4, claimed = $5, deadline = CAST($5 AS BIGINT) + time_limit,
        lease_until = CASE WHEN time_limit < $6 THEN $5 + time_limit ELSE $5 + CAST($6 AS BIGINT) END
        WHERE flow = $1 AND number = $2 AND claim IS NULL
        RETURNING claim, flow, number, attempt, epoch, name, input, undo, heartbeat, cancel_limit, claimed, lease_until, deadline,
        (SELECT trace FROM flow WHERE flow.id = flow_offer.flow),
        (SELECT reported FROM flow_task AS task WHERE task.flow = flow_offer.flow AND task.number = flow_offer.number)";

    pub(crate) SHOW = "UPDATE flow_task SET state = CASE state WHEN 'offered' THEN 'running' ELSE state END,
        started = coalesce(started, $3) WHERE flow = $1 AND number = $2";

    pub(crate) BEAT = "UPDATE flow_offer SET lease_until = CASE
        WHEN deadline < CAST($2 AS BIGINT) + CAST($3 AS BIGINT) THEN deadline
        ELSE CAST($2 AS BIGINT) + CAST($3 AS BIGINT) END
        WHERE claim = $1 AND lease_until >= $2 RETURNING lease_until, cancelled";

    pub(crate) STANDING = "SELECT lease_until, cancelled FROM flow_offer WHERE claim = $1";

    pub(crate) TASK_OF = "SELECT flow, number, name FROM flow_offer WHERE claim = $1";

    pub(crate) WORKERS = "SELECT coalesce(name, id), name IS NOT NULL, handlers, labels,
        (SELECT count(*) FROM flow WHERE flow.worker = flow_worker.id),
        (SELECT count(*) FROM flow_offer WHERE flow_offer.worker = coalesce(flow_worker.name, flow_worker.id))
        FROM flow_worker ORDER BY 1";

    pub(crate) END = "DELETE FROM flow_offer WHERE claim = $1
        RETURNING flow, number, attempt, undo IS NOT NULL, worker,
        coalesce((SELECT ending = 'cancelled' AND NOT reverting FROM flow WHERE flow.id = flow_offer.flow), FALSE)";
}

/// A worker that claims tasks, as it advertises itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimant {
    /// What it is called.
    pub name: String,
    /// The names of the tasks it has handlers for.
    pub handlers: BTreeSet<String>,
    /// What else it has, such as `gpu`.
    pub labels: BTreeSet<String>,
}

/// An attempt at a task, somebody's until the lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Names this claim; another attempt at the task has another one.
    pub id: Uuid,
    /// The flow.
    pub flow: Uuid,
    /// The task.
    pub task: Uuid,
    /// The name of its handler.
    pub name: String,
    /// Which attempt this is, from 1; of this direction.
    pub attempt: u32,
    /// The flow's. Together with the attempt it grows with each attempt at the task: a backend that remembers the greatest pair
    /// it saw can refuse whoever lost the claim without knowing.
    pub epoch: i64,
    /// What the task is given.
    pub input: Value,
    /// What came of it, if it shall be undone.
    pub undo: Option<Outcome<Value>>,
    /// Until when it is the claimant's, unless that [`beat`]s; microseconds since 1970, UTC.
    pub lease_until: i64,
    /// When the attempt's time is over, if it has a limit.
    pub deadline: Option<i64>,
    /// For what the flow was submitted; see [`Trace`](crate::Trace).
    pub trace: Option<String>,
    /// What an attempt before this one [reported](report()) last.
    pub reported: Option<Value>,
    pub(crate) number: usize,
    pub(crate) left: Option<Left>,
    pub(crate) claimed: i64,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) cancel_limit: Option<Duration>,
}

impl Claim {
    /// The same for every attempt of the task in one direction: a backend can tell a repetition by it.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        crate::task::idempotency_key(self.task, self.undo.is_some())
    }
}

row! {
    /// How a claim stands.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Standing {
        /// Until when it is the claimant's; microseconds since 1970, UTC.
        pub lease_until: i64,
        /// The flow was cancelled: stop soon, and say how it ended.
        pub cancelled: bool,
    }

    /// A worker that has been heard of, with flows or without.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Worker {
        /// Its name, or the id of one that has flows.
        pub name: String,
        /// Whether it advertised itself by name.
        pub remote: bool,
        /// The names of the tasks it has handlers for.
        pub handlers: Json<Vec<String>>,
        /// What else it has.
        pub labels: Json<Vec<String>>,
        /// Flows it has now.
        pub flows: i64,
        /// Tasks it has claimed.
        pub claims: i64,
    }

    struct Raw {
        id: Uuid, flow: Uuid, number: usize, attempt: u32, epoch: i64, name: String, input: Json<Value>,
        undo: Option<Json<Left>>, heartbeat: Option<i64>, cancel_limit: Option<i64>, claimed: i64, lease_until: i64,
        deadline: Option<i64>, trace: Option<String>, reported: Option<Json<Value>>,
    }
}

/// Says which tasks a worker can do, for so long: what no worker can is refused, unless it names labels.
///
/// # Errors
/// Storage errors.
pub fn advertise(tx: &mut Tx<'_>, worker: &Claimant, lasts: Duration) -> Result<()> {
    let now = tx.now()?;
    let (handlers, labels) = (Json(&worker.handlers), Json(&worker.labels));
    let until = now.saturating_add(micros(lasts));
    tx.exec(ADVERTISE, (Uuid::now_v7(), until, now, handlers, labels, &worker.name))?;
    Ok(())
}

/// Whether a worker would get anything.
///
/// # Errors
/// Storage errors.
pub fn any(tx: &mut Tx<'_>, worker: &Claimant) -> Result<bool> {
    Ok(tx.one(offer::ANY, (Json(&worker.handlers), Json(&worker.labels)))?)
}

/// Every worker whose lease lasts.
///
/// # Errors
/// Storage errors.
pub fn workers(tx: &mut Tx<'_>) -> Result<Vec<Worker>> {
    Ok(tx.all(WORKERS, ())?)
}

/// Gives up to `max` tasks to a worker that has their handlers and labels, the longest offered first, for the time of a lease.
/// [`OFFERS`](crate::OFFERS) rings when there is something new.
///
/// # Errors
/// Storage errors.
pub fn claim(
    tx: &mut Tx<'_>,
    worker: &Claimant,
    max: usize,
    lease: Duration,
) -> Result<Vec<Claim>> {
    offer::lapse(tx)?;
    let (handlers, labels) = (Json(&worker.handlers), Json(&worker.labels));
    let open: Vec<(Uuid, i64)> = tx.all(OPEN, (handlers, labels, max.min(CLAIMS_MAX)))?;
    let (now, lease) = (tx.now()?, micros(lease));
    let mut claims = Vec::with_capacity(open.len());
    for (flow, number) in open {
        let id = Uuid::now_v7();
        let raw: Result<Option<Raw>, _> =
            tx.maybe(CLAIM, (flow, number, id, &worker.name, now, lease));
        let claim = raw.map_err(Error::from).and_then(|raw| raw.map(Raw::claim).transpose());
        match claim {
            Ok(None) => {}
            Ok(Some(claim)) => {
                tx.exec(SHOW, (flow, number, now))?;
                claims.push(claim);
            }
            // It would be the first that everybody finds, for ever.
            Err(error) if error.is_unreadable() => {
                let message = format!("its offer cannot be read: {}", error.with_causes());
                end(tx, id, Return::Ended(Err(Trouble::Failed(Failure::Terminal(message)))))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

/// Says that a claimant is alive: the lease begins anew.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn beat(tx: &mut Tx<'_>, claim: Uuid, lease: Duration) -> Result<Standing> {
    let now = tx.now()?;
    tx.maybe(BEAT, (claim, now, micros(lease)))?.ok_or(Error::ClaimLost { claim })
}

/// How a claim stands, without saying that anybody is alive.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn standing(tx: &mut Tx<'_>, claim: Uuid) -> Result<Standing> {
    tx.maybe(STANDING, (claim,))?.ok_or(Error::ClaimLost { claim })
}

/// Shows how far a task is, from 0 to 1.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn progress(tx: &mut Tx<'_>, claim: Uuid, fraction: f64) -> Result<()> {
    say(tx, claim, &Said::Progress(fraction))
}

/// Tells the next attempt how far this one is: it is given that as [`Claim::reported`]. At most 64 KiB of JSON.
///
/// # Errors
/// [`Error::ClaimLost`]; [`Error::TooLong`]; storage errors.
pub fn report(tx: &mut Tx<'_>, claim: Uuid, so_far: Value) -> Result<()> {
    say(tx, claim, &Said::Report(so_far))
}

/// Keeps a line for whoever looks at the task: of a task the newest 1,000, of a line the first 4 KiB.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn log(tx: &mut Tx<'_>, claim: Uuid, line: &str) -> Result<()> {
    say(tx, claim, &Said::Line(line.to_owned()))
}

pub(crate) fn say(tx: &mut Tx<'_>, claim: Uuid, said: &Said) -> Result<()> {
    let (flow, number, _) = task_of(tx, claim)?;
    report::say(tx, (flow, number), said)
}

/// Ends an attempt. The flow goes on, at its owner if it has one. A result of more than 1 MiB counts as a terminal failure.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn finish(tx: &mut Tx<'_>, claim: Uuid, result: Result<Value, Failure>) -> Result<()> {
    let output = match result.map(|output| output.to_string()) {
        Ok(output) if output.len() > OUTPUT_MAX => {
            let (_, _, name) = task_of(tx, claim)?;
            Err(Trouble::refused(too_large(&name, output.len(), OUTPUT_MAX)))
        }
        output => output.map_err(Trouble::Failed),
    };
    end(tx, claim, Return::Ended(output))
}

/// Gives a task back unfinished, such as by a worker about to stop; it is offered again at once.
///
/// # Errors
/// [`Error::ClaimLost`]; storage errors.
pub fn give_back(tx: &mut Tx<'_>, claim: Uuid) -> Result<()> {
    end(tx, claim, Return::GivenBack)
}

pub(crate) fn end(tx: &mut Tx<'_>, claim: Uuid, what: Return) -> Result<()> {
    let ended: Option<(Uuid, usize, u32, bool, Option<String>, bool)> = tx.maybe(END, (claim,))?;
    let (flow, number, attempt, undoing, worker, cancelled) =
        ended.ok_or(Error::ClaimLost { claim })?;
    let now = tx.now()?;
    if let Return::Ended(Err(trouble)) = &what
        && trouble.was_made()
    {
        let class = trouble.class_in(cancelled);
        let failed = Failed { number, undoing, attempt, class, message: trouble.message() };
        failure::keep(tx, flow, &[failed], worker.as_deref(), now)?;
    }
    change::tell(tx, flow, vec![News::Returned(number, attempt, what)], now)
}

fn task_of(tx: &mut Tx<'_>, claim: Uuid) -> Result<(Uuid, usize, String)> {
    tx.maybe(TASK_OF, (claim,))?.ok_or(Error::ClaimLost { claim })
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}

impl Raw {
    fn claim(self) -> Result<Claim> {
        let left = self.undo.map(|Json(left)| left);
        let undo = match &left {
            None => None,
            Some(Left::Unknown) => Some(Outcome::Unknown),
            Some(Left::Failure(message)) => Some(Outcome::Failed(message.clone())),
            Some(Left::Output(output)) => {
                let unreadable = |error| Error::Stored {
                    id: self.flow,
                    reason: format!("the output of task {} is not JSON: {error}", self.number),
                };
                Some(Outcome::Succeeded(serde_json::from_str(output).map_err(unreadable)?))
            }
        };
        Ok(Claim {
            id: self.id,
            flow: self.flow,
            task: task_id(self.flow, self.number),
            name: self.name,
            attempt: self.attempt,
            epoch: self.epoch,
            input: self.input.0,
            undo,
            lease_until: self.lease_until,
            deadline: self.deadline,
            trace: self.trace,
            reported: self.reported.map(|Json(report)| report),
            number: self.number,
            left,
            claimed: self.claimed,
            heartbeat: self.heartbeat.map(duration),
            cancel_limit: self.cancel_limit.map(duration),
        })
    }
}
