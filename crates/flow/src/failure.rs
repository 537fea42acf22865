//! What failed: of each task the newest few attempts that did, with why and at which worker. A task's row has only the last
//! error, and loses it when the next attempt succeeds.

use tutti_store::{ToValue as _, Tx, Value, sql};
use uuid::Uuid;

use crate::{FailureClass, Result};

/// Failures kept of one task in one direction.
pub(crate) const KEPT_MAX: i64 = 10;

/// What is said of an attempt of whose worker nobody has heard.
pub(crate) const LOST: &str = "its worker was lost before it ended";

const COLUMNS: &[&str] =
    &["flow", "number", "id", "undoing", "attempt", "at", "class", "message", "worker"];

sql! {
    /// Forgets all but the newest of a task.
    pub(crate) TRIM = "DELETE FROM flow_failure {rows} WHERE flow_failure.flow = $1 AND flow_failure.number = $2
        AND flow_failure.undoing = $3 AND flow_failure.id <= (SELECT kept.id FROM flow_failure AS kept
            WHERE kept.flow = $1 AND kept.number = $2 AND kept.undoing = $3 ORDER BY kept.id DESC LIMIT 1 OFFSET $4)";

    /// Attempts a worker is making at tasks of its own flows. A task that waits for its flow to be undone is not among them.
    pub(crate) UNDER_WAY = "SELECT task.flow, task.number, task.state = 'reverting',
        CASE task.state WHEN 'reverting' THEN task.revert_attempt ELSE task.attempt END
        FROM flow JOIN flow_task AS task ON task.flow = flow.id
        WHERE flow.worker = $1 AND NOT task.offered AND (task.state = 'running'
            OR task.state = 'reverting' AND task.revert_attempt > 0 AND task.next_at IS NULL AND NOT EXISTS (
                SELECT 1 FROM flow_wait WHERE flow_wait.flow = task.flow AND flow_wait.number = task.number))";
}

/// An attempt that failed, or a wait that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) number: usize,
    pub(crate) undoing: bool,
    pub(crate) attempt: u32,
    pub(crate) class: FailureClass,
    pub(crate) message: String,
}

impl Failed {
    fn row(&self, flow: Uuid, worker: Option<&str>, now: i64) -> Vec<Value> {
        vec![
            flow.to_value(),
            self.number.to_value(),
            Uuid::now_v7().to_value(),
            self.undoing.to_value(),
            self.attempt.to_value(),
            now.to_value(),
            self.class.to_value(),
            self.message.to_value(),
            worker.to_value(),
        ]
    }
}

/// Keeps what failed of a flow at a worker, and forgets what is more than is kept.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    flow: Uuid,
    failed: &[Failed],
    worker: Option<&str>,
    now: i64,
) -> Result<()> {
    keep_all(tx, failed.iter().map(|one| (flow, one)), worker, now)
}

fn keep_all<'f>(
    tx: &mut Tx<'_>,
    failed: impl ExactSizeIterator<Item = (Uuid, &'f Failed)> + Clone,
    worker: Option<&str>,
    now: i64,
) -> Result<()> {
    if failed.len() == 0 {
        return Ok(());
    }
    let rows = failed.clone().map(|(flow, one)| one.row(flow, worker, now));
    tx.send_rows("flow_failure", COLUMNS, rows)?;
    let tasks = failed.map(|(flow, one)| (flow, one.number, one.undoing, KEPT_MAX));
    Ok(tx.send_many(TRIM, tasks)?)
}

/// Keeps that a worker which has gone was making attempts.
pub(crate) fn keep_lost(tx: &mut Tx<'_>, worker: Uuid) -> Result<()> {
    let under_way: Vec<(Uuid, usize, bool, u32)> = tx.all(UNDER_WAY, (worker,))?;
    let lost = under_way.into_iter().map(|(flow, number, undoing, attempt)| {
        let class = FailureClass::Lost;
        (flow, Failed { number, undoing, attempt, class, message: LOST.into() })
    });
    let lost: Vec<(Uuid, Failed)> = lost.collect();
    let (now, worker) = (tx.now()?, worker.to_string());
    keep_all(tx, lost.iter().map(|(flow, one)| (*flow, one)), Some(&worker), now)
}
