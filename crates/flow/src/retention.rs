//! Forgetting flows that ended long ago, and signals that nobody can wait for any more.

use tutti_store::{Json, Tx, sql};
use uuid::Uuid;

use crate::{Result, sync::missing};

/// Flows forgotten in one transaction, so that others are not held up.
const BATCH_MAX: u32 = 200;

sql! {
    // A parent that has not ended may ask what became of its child.
    // A failed flow that is the newest about a resource, or did not arrive there, still explains the state the resource is in.
    pub(crate) OLD = concat!("SELECT id FROM flow WHERE finished < $1 AND state <> 'stuck'
        AND NOT EXISTS (SELECT 1 FROM flow AS above WHERE above.id = flow.parent AND above.finished IS NULL)
        AND ticket <= (SELECT last FROM flow_ticket WHERE id = 1) - $2
        AND (state IN ('succeeded', 'superseded') OR NOT EXISTS (
            SELECT 1 FROM flow_resource AS own WHERE own.flow = flow.id AND (
                (flow.converge OR flow.generation IS NOT NULL) AND ", missing!(), " OR NOT EXISTS (
                SELECT 1 FROM flow_resource AS newer
                WHERE newer.resource = own.resource AND newer.ticket > own.ticket))))
        ORDER BY finished LIMIT $3");
    pub(crate) TASKS = "DELETE FROM flow_task WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) RESOURCES = "DELETE FROM flow_resource WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) INBOX = "DELETE FROM flow_inbox WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) LOG = "DELETE FROM flow_log WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) FAILURES = "DELETE FROM flow_failure WHERE flow IN (SELECT value FROM json_each($1))";
    pub(crate) FLOWS = "DELETE FROM flow WHERE id IN (SELECT value FROM json_each($1))";
    // A task that has not succeeded may wait for it again when its flow is retried.
    pub(crate) SIGNALS = "DELETE FROM flow_signal WHERE value = 9223372036854775807 AND key NOT IN (
        SELECT wait_key FROM flow_task WHERE wait_key IS NOT NULL AND state <> 'succeeded')";
}

/// Forgets one batch of flows that ended before `older_than` (microseconds since 1970), sparing the newest `keep` and what
/// still explains a failed resource; answers how many. Call it until it answers 0, each in a transaction of its own.
///
/// # Errors
/// Storage errors.
pub fn prune(tx: &mut Tx<'_>, older_than: i64, keep: u32) -> Result<usize> {
    let old: Vec<Uuid> = tx.all(OLD, (older_than, keep, BATCH_MAX))?;
    if !old.is_empty() {
        for sql in [TASKS, RESOURCES, INBOX, LOG, FAILURES, FLOWS] {
            tx.exec(sql, (Json(&old),))?;
        }
    }
    Ok(old.len())
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
