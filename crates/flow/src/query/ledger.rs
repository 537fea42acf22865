//! Flows of certain kinds as a ledger: filtered, counted, paged by numbers, each with what its first task answered. REST
//! clients that know nothing of tasks see a flow of one task as a whole.

use std::collections::HashMap;

use serde_json::Value as Document;
use tutti_store::{Json, ToValue, Tx, Value, sql};
use uuid::Uuid;

use super::statements::{RawFlow, shown_state};
use super::{FlowRow, complete};
use crate::{FlowState, Result};

macro_rules! ledger {
    () => {
        concat!(
            "flow.kind IN (SELECT value FROM json_each($1)) \
             AND (CAST($2 AS TEXT) IS NULL OR ", shown_state!(), " IN (SELECT value FROM json_each($2))) \
             AND (CAST($3 AS BIGINT) IS NULL OR (flow.finished IS NULL AND flow.ending IS NOT NULL) = ($3 = 1)) \
             AND (CAST($4 AS TEXT) IS NULL OR flow.id IN (SELECT value FROM json_each($4))) \
             AND (CAST($5 AS BIGINT) IS NULL OR flow.created >= $5) AND (CAST($6 AS BIGINT) IS NULL OR flow.created <= $6) \
             AND (CAST($7 AS BIGINT) IS NULL OR flow.started >= $7) AND (CAST($8 AS BIGINT) IS NULL OR flow.started <= $8) \
             AND (CAST($9 AS BIGINT) IS NULL OR flow.finished >= $9) AND (CAST($10 AS BIGINT) IS NULL OR flow.finished <= $10) \
             AND (CAST($11 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM flow_resource AS used WHERE used.flow = flow.id \
                AND used.resource IN (SELECT value FROM json_each($11)))) \
             AND (CAST($12 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM flow_resource AS used WHERE used.flow = flow.id \
                AND used.exclusive AND used.resource IN (SELECT value FROM json_each($12)))) \
             AND (CAST($13 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM flow_resource AS used WHERE used.flow = flow.id \
                AND NOT used.exclusive AND used.resource IN (SELECT value FROM json_each($13)))) \
             AND (CAST($14 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM flow_task AS task WHERE task.flow = flow.id \
                AND task.number = 0 AND replace(task.output, $14, '') <> task.output))"
        )
    };
}

sql! {
    pub(crate) PAGE = concat!("SELECT flow.id, count(*) OVER () FROM flow WHERE ", ledger!(),
        " ORDER BY CASE WHEN $15 = 1 THEN flow.ticket END, flow.ticket DESC LIMIT $16 OFFSET $17");
    pub(crate) ANSWERS = "SELECT flow, output, reported FROM flow_task \
        WHERE number = 0 AND flow IN (SELECT value FROM json_each($1))";
}

/// Which flows. A time is in microseconds since 1970, UTC; bounds count.
#[derive(Clone, Debug, Default)]
pub struct LedgerFilter {
    /// Of one of these kinds.
    pub kinds: Vec<String>,
    /// In one of these states.
    pub states: Option<Vec<FlowState>>,
    /// That are about to end before their work is done, because somebody cancelled them; or that are not.
    pub is_ending: Option<bool>,
    /// With one of these ids.
    pub ids: Option<Vec<Uuid>>,
    /// Submitted within these bounds.
    pub created: (Option<i64>, Option<i64>),
    /// Begun within these bounds.
    pub started: (Option<i64>, Option<i64>),
    /// Ended within these bounds.
    pub finished: (Option<i64>, Option<i64>),
    /// About one of these resources.
    pub resources: Option<Vec<String>>,
    /// That have one of these for themselves.
    pub exclusive: Option<Vec<String>>,
    /// That share one of these.
    pub shared: Option<Vec<String>>,
    /// With this in what the first task answered.
    pub answer_contains: Option<String>,
    /// Oldest first; else newest first.
    pub ascending: bool,
}

/// A flow with what its first task answered and last [reported](crate::TaskContext::report).
#[derive(Clone, Debug)]
pub struct LedgerRow {
    /// The flow.
    pub flow: FlowRow,
    /// What the task answered.
    pub output: Option<Document>,
    /// What it reported while it ran.
    pub reported: Option<Document>,
}

/// Up to `limit` flows behind the first `offset` of those that a filter lets through, and how many those are in all.
///
/// # Errors
/// Storage errors.
pub fn ledger(
    tx: &mut Tx<'_>,
    filter: &LedgerFilter,
    limit: u32,
    offset: u32,
) -> Result<(Vec<LedgerRow>, u64)> {
    let found: Vec<(Uuid, u64)> = tx.all(PAGE, filter.values(limit, offset))?;
    if found.is_empty() && offset > 0 {
        let first: Vec<(Uuid, u64)> = tx.all(PAGE, filter.values(1, 0))?;
        return Ok((Vec::new(), first.first().map_or(0, |(_, count)| *count)));
    }
    let count = found.first().map_or(0, |(_, count)| *count);
    let ids: Vec<Uuid> = found.into_iter().map(|(id, _)| id).collect();
    Ok((rows(tx, &ids)?, count))
}

fn rows(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<Vec<LedgerRow>> {
    let raw: Vec<RawFlow> = tx.all(super::sql::FLOWS_BY_ID, (Json(ids),))?;
    type Answer = (Uuid, Option<Json<Document>>, Option<Json<Document>>);
    let answers: Vec<Answer> = tx.all(ANSWERS, (Json(ids),))?;
    let mut answers: HashMap<Uuid, _> =
        answers.into_iter().map(|(flow, output, reported)| (flow, (output, reported))).collect();
    let flows = complete(tx, raw)?;
    let mut by_id: HashMap<Uuid, FlowRow> = flows.into_iter().map(|flow| (flow.id, flow)).collect();
    let row = |id: &Uuid| {
        let flow = by_id.remove(id)?;
        let (output, reported) = answers.remove(id).unwrap_or_default();
        Some(LedgerRow {
            flow,
            output: output.map(|one| one.0),
            reported: reported.map(|one| one.0),
        })
    };
    Ok(ids.iter().filter_map(row).collect())
}

impl LedgerFilter {
    fn values(&self, limit: u32, offset: u32) -> Vec<Value> {
        let list = |texts: &Option<Vec<String>>| texts.as_ref().map(Json).to_value();
        vec![
            Json(&self.kinds).to_value(),
            self.states.as_ref().map(Json).to_value(),
            self.is_ending.map(i64::from).to_value(),
            self.ids.as_ref().map(Json).to_value(),
            self.created.0.to_value(),
            self.created.1.to_value(),
            self.started.0.to_value(),
            self.started.1.to_value(),
            self.finished.0.to_value(),
            self.finished.1.to_value(),
            list(&self.resources),
            list(&self.exclusive),
            list(&self.shared),
            self.answer_contains.as_ref().filter(|text| !text.is_empty()).to_value(),
            i64::from(self.ascending).to_value(),
            limit.to_value(),
            offset.to_value(),
        ]
    }
}
