//! Forgetting flows that ended long ago, and signals that nobody can wait for any more.
//!
//! Flows are looked at in the order in which they ended, a few at a time, without writing; what may go is deleted by its ids, in
//! transactions of its own: whoever writes meanwhile waits for one of those at most. A flow of very many tasks goes in parts.
//! From the first of them on it is `forgotten`: nobody can make anything of what is left.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tutti_store::{Json, Store, Tx, row, sql};
use uuid::Uuid;

use crate::{Error, FlowState, Result, policy::micros, sync::missing};

/// Flows looked at and forgotten in one transaction, and tasks forgotten in it, so that others are not held up.
const FLOWS_MAX: u32 = 200;
const TASKS_MAX: i64 = 2_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What may be forgotten: a parent that has not ended may ask what became of its child, and a failed flow that is the newest about
/// a resource, or did not arrive there, still explains the state the resource is in.
macro_rules! explains_nothing {
    () => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM flow AS above WHERE above.id = flow.parent AND above.finished IS NULL) \
             AND (state IN ('succeeded', 'superseded') OR NOT EXISTS ( \
             SELECT 1 FROM flow_resource AS own WHERE own.flow = flow.id AND ( \
             (flow.converge OR flow.generation IS NOT NULL) AND ",
            missing!(),
            " OR NOT EXISTS (SELECT 1 FROM flow_resource AS newer \
             WHERE newer.resource = own.resource AND newer.ticket > own.ticket))))"
        )
    };
}

sql! {
    pub(crate) OLD = concat!("SELECT id, tasks, finished, TRUE FROM flow WHERE finished < $1 AND state <> 'stuck'
        AND ticket <= (SELECT last FROM flow_ticket WHERE id = 1) - $2 AND (forgotten OR ", explains_nothing!(),
        ") ORDER BY finished, id LIMIT $3");

    /// Flows from a time and id on in the order in which they ended, and whether they may be forgotten: those that ended before the
    /// time that `$4` has for their state, and of those for which it has one all up to `$5`.
    pub(crate) ENDED = concat!("SELECT id, tasks, finished, forgotten
        OR coalesce(before IS NOT NULL AND (finished < before OR finished <= CAST($5 AS BIGINT)), FALSE) AND ",
        explains_nothing!(), "
        FROM (SELECT flow.*, (SELECT CAST(value AS BIGINT) FROM json_each($4) WHERE key = flow.state) AS before FROM flow
            WHERE finished >= $1 AND (finished > $1 OR id > $2) ORDER BY finished, id LIMIT $3) AS flow
        ORDER BY finished, id");

    /// Those of these that may still be forgotten.
    pub(crate) STILL_OLD = concat!("SELECT id, tasks, finished, TRUE FROM flow WHERE id IN (SELECT value FROM json_each($1))
        AND finished IS NOT NULL AND (forgotten OR ", explains_nothing!(), ")");

    /// Flows of some kinds, in the states that somebody names.
    pub(crate) PURGED = concat!("SELECT id, tasks, finished, TRUE FROM flow WHERE kind IN (SELECT value FROM json_each($1))
        AND state IN (SELECT value FROM json_each($2)) AND finished < $3 AND ", explains_nothing!(),
        " ORDER BY finished, id LIMIT $4");
    pub(crate) ONE = "SELECT finished FROM flow WHERE id = $1";

    pub(crate) ENDED_COUNT = "SELECT count(*) FROM flow WHERE finished IS NOT NULL";
    pub(crate) ENDED_NTH = "SELECT finished FROM flow WHERE finished IS NOT NULL ORDER BY finished LIMIT 1 OFFSET $1";

    pub(crate) TASKS = "DELETE FROM flow_task WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) RESOURCES = "DELETE FROM flow_resource WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) INBOX = "DELETE FROM flow_inbox WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) LOG = "DELETE FROM flow_log WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) FAILURES = "DELETE FROM flow_failure WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) FLOWS = "DELETE FROM flow WHERE id IN (SELECT value FROM json_each($1))";

    pub(crate) LAST_TASKS = "DELETE FROM flow_task WHERE flow = $1 AND number >= $2";
    pub(crate) LAST_LINES = "DELETE FROM flow_log WHERE flow = $1 AND number >= $2";
    pub(crate) LAST_FAILURES = "DELETE FROM flow_failure WHERE flow = $1 AND number >= $2";
    pub(crate) SHORTER = "UPDATE flow SET tasks = $2, forgotten = TRUE WHERE id = $1";

    // A task that has not succeeded may wait for it again when its flow is retried.
    pub(crate) SIGNALS = "DELETE FROM flow_signal WHERE value = 9223372036854775807 AND key NOT IN (
        SELECT wait_key FROM flow_task WHERE wait_key IS NOT NULL AND state <> 'succeeded')";
}

/// A place among the flows in the order in which they ended.
type At = (i64, Uuid);

row! {
    #[derive(Clone)]
    struct Old { id: Uuid, tasks: i64, finished: i64, forget: bool }
}

/// How long flows are kept that have ended. Whatever it says, a flow is kept as long as it explains why a resource is not in sync,
/// and as long as the one that submitted it has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    ages: Vec<(FlowState, Option<Duration>)>,
    flows_max: Option<u64>,
}

impl Default for Retention {
    /// Those that succeeded or were superseded for a week, others for 30 days, and those that are parked or stuck for ever: they
    /// wait for somebody.
    fn default() -> Self {
        let age = |state: FlowState| match state {
            FlowState::Succeeded | FlowState::Superseded => Some(7 * DAY),
            FlowState::Parked | FlowState::Stuck => None,
            _ => Some(30 * DAY),
        };
        let ended = FlowState::ALL.iter().filter(|state| state.is_ended());
        Self { ages: ended.map(|state| (*state, age(*state))).collect(), flows_max: None }
    }
}

impl Retention {
    /// How long flows are kept that ended in a state, by the database's clock; for ever if it is `None`. A state in which no flow
    /// ends has no age.
    #[must_use]
    pub fn age(mut self, state: FlowState, age: Option<Duration>) -> Self {
        for (_, kept) in self.ages.iter_mut().filter(|(one, _)| *one == state) {
            *kept = age;
        }
        self
    }

    /// How many flows that have ended are kept at most: of more, those that ended first are forgotten, however young. Those that
    /// are kept for ever count, and stay.
    #[must_use]
    pub fn flows_max(mut self, max: u64) -> Self {
        self.flows_max = Some(max);
        self
    }

    /// For each state in which flows are not kept for ever, until when they must have ended to be forgotten.
    fn before(&self, now: i64) -> BTreeMap<&'static str, i64> {
        let ages = self.ages.iter();
        let before = |age| now.saturating_sub(micros(age));
        ages.filter_map(|(state, age)| Some((state.as_str(), before((*age)?)))).collect()
    }
}

/// Forgets all flows that need not be kept any more; answers how many. What else is written meanwhile goes on between its
/// transactions.
///
/// # Errors
/// Storage errors: what was forgotten before stays so.
pub async fn forget(store: &Store, retention: &Retention) -> Result<u64> {
    let max = retention.flows_max;
    let excess = store.read(move |tx| excess(tx, max)).await?;
    let mut forgotten = 0;
    let mut after = Some((i64::MIN, Uuid::nil()));
    while let Some(from) = after {
        let kept = retention.clone();
        let (mut old, next) = store.read(move |tx| look(tx, &kept, excess, from)).await?;
        while !old.is_empty() {
            let these = old.clone();
            let forget = move |tx: &mut Tx<'_>| {
                let still = still_old(tx, &these)?;
                forget_these(tx, still)
            };
            let (gone, left) = store.write(forget).await?;
            forgotten += gone;
            old = left;
        }
        after = next;
    }
    Ok(forgotten)
}

/// Until when flows ended that are more than are kept.
fn excess(tx: &mut Tx<'_>, max: Option<u64>) -> Result<Option<i64>> {
    let Some(max) = max else { return Ok(None) };
    let count: i64 = tx.one(ENDED_COUNT, ())?;
    let more = count.saturating_sub(i64::try_from(max).unwrap_or(i64::MAX));
    if more <= 0 { Ok(None) } else { Ok(tx.maybe(ENDED_NTH, (more - 1,))?) }
}

/// Looks at some flows; answers those that may be forgotten, and from where on to look for more.
fn look(
    tx: &mut Tx<'_>,
    retention: &Retention,
    excess: Option<i64>,
    (finished, id): At,
) -> Result<(Vec<Old>, Option<At>)> {
    let now = tx.now()?;
    let parameters = (finished, id, FLOWS_MAX, Json(retention.before(now)), excess);
    let looked_at: Vec<Old> = tx.all(ENDED, parameters)?;
    let full = looked_at.len() == FLOWS_MAX as usize;
    let last = looked_at.last().map(|old| (old.finished, old.id));
    // Those behind are all too young.
    let youngest = retention.before(now).into_values().max().max(excess);
    let next =
        last.filter(|(finished, _)| full && youngest.is_some_and(|young| *finished <= young));
    Ok((looked_at.into_iter().filter(|old| old.forget).collect(), next))
}

/// Those of these that nobody has made anything of since they were looked at, in their order.
fn still_old(tx: &mut Tx<'_>, old: &[Old]) -> Result<Vec<Old>> {
    let ids: Vec<Uuid> = old.iter().map(|one| one.id).collect();
    let found: Vec<Old> = tx.all(STILL_OLD, (Json(ids),))?;
    let mut found: HashMap<Uuid, Old> = found.into_iter().map(|one| (one.id, one)).collect();
    let still = old
        .iter()
        .filter_map(|one| found.remove(&one.id).filter(|found| found.finished == one.finished));
    Ok(still.collect())
}

/// Forgets as many of these as fit into a transaction; answers how many, and what is left.
fn forget_these(tx: &mut Tx<'_>, mut old: Vec<Old>) -> Result<(u64, Vec<Old>)> {
    let mut room = TASKS_MAX;
    let fits = |one: &&Old| {
        room = room.saturating_sub(one.tasks);
        room >= 0
    };
    let whole: Vec<Uuid> = old.iter().take_while(fits).map(|one| one.id).collect();
    if let (true, Some(Old { id, tasks, .. })) = (whole.is_empty(), old.first()) {
        let left = tasks.saturating_sub(TASKS_MAX);
        for sql in [LAST_TASKS, LAST_LINES, LAST_FAILURES, SHORTER] {
            tx.exec(sql, (id, left))?;
        }
        return Ok((0, old));
    }
    forget_whole(tx, &whole)?;
    Ok((whole.len() as u64, old.split_off(whole.len())))
}

fn forget_whole(tx: &mut Tx<'_>, flows: &[Uuid]) -> Result<()> {
    if !flows.is_empty() {
        for sql in [TASKS, RESOURCES, INBOX, LOG, FAILURES, FLOWS] {
            tx.exec(sql, (Json(flows),))?;
        }
    }
    Ok(())
}

/// Forgets at once what is left of a flow: its parent was retried, and submits it anew.
pub(crate) fn forget_rest(tx: &mut Tx<'_>, flow: Uuid) -> Result<()> {
    forget_whole(tx, &[flow])
}

/// Forgets one batch of flows that ended before `older_than` (microseconds since 1970), sparing the newest `keep` and what
/// still explains a failed resource; answers how many, one of very many tasks for each part of it. Call it until it answers 0,
/// each in a transaction of its own. It looks for them while it may hold up others: [`forget`] does not.
///
/// # Errors
/// Storage errors.
pub fn prune(tx: &mut Tx<'_>, older_than: i64, keep: u32) -> Result<usize> {
    let old: Vec<Old> = tx.all(OLD, (older_than, keep, FLOWS_MAX))?;
    let (gone, left) = forget_these(tx, old)?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX).max(usize::from(!left.is_empty())))
}

/// Forgets one batch of flows of these kinds that ended in one of these states before `older_than` (microseconds since 1970); answers
/// how many. What still explains a failed resource stays. Call it until it answers 0, each in a transaction of its own.
///
/// # Errors
/// Storage errors.
pub fn purge(
    tx: &mut Tx<'_>,
    kinds: &[String],
    states: &[FlowState],
    older_than: i64,
) -> Result<usize> {
    let old: Vec<Old> = tx.all(PURGED, (Json(kinds), Json(states), older_than, FLOWS_MAX))?;
    let (gone, left) = forget_these(tx, old)?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX).max(usize::from(!left.is_empty())))
}

/// Forgets one flow that has ended, whatever it explains.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::NotEnded`]; storage errors.
pub fn forget_flow(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let finished: Option<Option<i64>> = tx.maybe(ONE, (id,))?;
    match finished {
        Some(Some(_)) => forget_whole(tx, &[id]),
        Some(None) => Err(Error::NotEnded { id }),
        None => Err(Error::NoFlow { id }),
    }
}

/// Forgets the signals of the greatest value (`i64::MAX`: the last there can be) that no task waits for, not even if its flow
/// is retried; answers how many. Whoever waits for such a key later waits for ever: signal what is gone for good, and submit
/// flows about it in the same transaction or before.
///
/// # Errors
/// Storage errors.
pub fn prune_signals(tx: &mut Tx<'_>) -> Result<usize> {
    Ok(usize::try_from(tx.exec(SIGNALS, ())?).unwrap_or(usize::MAX))
}
