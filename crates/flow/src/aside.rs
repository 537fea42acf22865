//! Flows that cannot be read, such as damaged ones or those of a newer release. They are set aside as their rows stand, so that
//! they hold up neither whoever takes many flows at once nor whoever has news for them.

use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use crate::{
    FlowState, Result, TaskState,
    announce::{self, Change},
    change,
    graph::Label,
    offer, queue,
    sql::WAITS_END,
};

sql! {
    /// Where others were told that it stands, as `Head::told` has it. `$2` lists the states there are: in one that nobody knows it
    /// was under way.
    pub(crate) FLOW_TOLD = "SELECT CASE WHEN reverting THEN 'reverting' WHEN suspended THEN 'suspended'
            WHEN state IN (SELECT value FROM json_each($2)) THEN state ELSE 'running' END
        FROM flow WHERE id = $1 AND finished IS NULL";

    /// One that was being undone is stuck: its operator can let it go on with that.
    pub(crate) FLOW_ASIDE = "UPDATE flow SET state = CASE WHEN reverting THEN 'stuck' ELSE 'parked' END,
        ending = CASE WHEN reverting THEN 'stuck' ELSE 'parked' END, error = $2, finished = $3,
        worker = NULL, epoch = epoch + 1, wake_at = NULL, nudged = FALSE
        WHERE id = $1 AND finished IS NULL
        RETURNING kind, title, model, resources, state, parent, parent_task, coalesce(fate = 'joined', FALSE)";

    /// `$3` lists the states there are: in one that nobody knows a task may have had its effect.
    pub(crate) TASKS_ASIDE = "UPDATE flow_task SET state = CASE
            WHEN state IN ('running', 'maybe_ran') OR state NOT IN (SELECT value FROM json_each($3)) THEN 'maybe_ran'
            WHEN state = 'reverting' THEN 'revert_failed' ELSE 'skipped' END,
        before_revert = CASE WHEN before_revert IN (SELECT value FROM json_each($3)) THEN before_revert END,
        next_at = NULL, offered = FALSE, finished = $2
        WHERE flow = $1 AND (finished IS NULL OR state NOT IN (SELECT value FROM json_each($3)))";
}

row! {
    struct Aside {
        kind: String, title: String, model: Option<String>, resources: String, state: FlowState,
        parent: Option<Uuid>, parent_task: Option<i64>, joined: bool,
    }
}

/// What was read of a flow; nothing if it cannot be read and has been set aside for that.
pub(crate) fn unless_unreadable<T>(
    tx: &mut Tx<'_>,
    id: Uuid,
    read: Result<T>,
    now: i64,
) -> Result<Option<T>> {
    match read {
        Err(error) if error.is_unreadable() => {
            tracing::error!(%error, flow = %id, "a flow was set aside: it cannot be read");
            set_aside(tx, id, &error.with_causes(), now)?;
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn set_aside(tx: &mut Tx<'_>, id: Uuid, message: &str, now: i64) -> Result<()> {
    let from: Option<FlowState> = tx.maybe(FLOW_TOLD, (id, Json(FlowState::ALL)))?;
    let Some(from) = from else { return Ok(()) };
    let flow: Option<Aside> = tx.maybe(FLOW_ASIDE, (id, message, now))?;
    let Some(flow) = flow else { return Ok(()) };
    tx.exec(TASKS_ASIDE, (id, now, Json(TaskState::ALL)))?;
    tx.exec(WAITS_END, (id,))?;
    offer::forget(tx, id)?;
    let Aside { kind, title, model, resources, .. } = flow;
    let label = Label { kind, title, model, trace: None, resources };
    let change = Change { from, to: flow.state, error: Some(message), superseded_by: None };
    announce::flow_changed(tx, id, &label, change)?;
    change::cancel_children(tx, id, now)?;
    if let Some(parent) = flow.parent.zip(flow.parent_task).filter(|_| flow.joined) {
        change::child_missed(tx, parent, id, (flow.state, Some(message)), now)?;
    }
    let released = queue::leave(tx, [id].into_iter())?;
    queue::grant(tx, released, now)
}
