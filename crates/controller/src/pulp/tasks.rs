//! Tasks: flows about content, as Pulp shows its tasks. `/pulp/api/v3/tasks/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tutti_flow::query::{LedgerFilter, LedgerRow, ledger};
use tutti_flow::{Access, FlowState};
use tutti_store::Tx;
use uuid::Uuid;

use super::fields::Fields;
use super::hrefs::{self, Address};
use super::query::Query;
use super::refusal::{Refusal, answer};
use super::time;
use super::work::{self, KINDS, Start, Work};
use crate::clock;
use crate::state::{Shared, State};

/// Tasks that are purged ended so long ago unless told otherwise, microseconds: 30 days (Pulp).
const PURGED: i64 = 30 * 24 * 3600 * 1_000_000;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/tasks/", get(list))
        .route("/pulp/api/v3/tasks/{id}/", get(show).patch(cancel).delete(remove))
        .route("/pulp/api/v3/tasks/purge/", post(purge))
}

/// Pulp's word for where a flow stands.
fn state_of(row: &LedgerRow) -> &'static str {
    let flow = &row.flow;
    if flow.cancelling && !flow.state.is_ended() {
        return "canceling";
    }
    word_of(flow.state)
}

fn word_of(state: FlowState) -> &'static str {
    match state {
        FlowState::Blocked | FlowState::Ready => "waiting",
        FlowState::Running | FlowState::Waiting | FlowState::Suspended | FlowState::Reverting => {
            "running"
        }
        FlowState::Succeeded => "completed",
        FlowState::Cancelled => "canceled",
        FlowState::Superseded => "skipped",
        FlowState::Failed
        | FlowState::Reverted
        | FlowState::Parked
        | FlowState::Stuck
        | FlowState::Abandoned => "failed",
    }
}

/// A task as it is shown.
fn shown(row: &LedgerRow) -> Value {
    let flow = &row.flow;
    let state = state_of(row);
    let said = |name: &str| {
        let of =
            |document: &Option<Value>| document.as_ref().and_then(|one| one.get(name).cloned());
        of(&row.output).or_else(|| of(&row.reported))
    };
    let created = said("created").unwrap_or_else(|| json!([]));
    let error = match state {
        "failed" => {
            let text = flow.error.as_deref().unwrap_or("The task failed.");
            json!({"description": text, "traceback": null})
        }
        "canceled" => json!({"reason": "canceled"}),
        _ => Value::Null,
    };
    let resource = |(name, access): &(String, Access)| {
        let shared = if *access == Access::Shared { "shared:" } else { "" };
        let name = match name.split_once('/').map(|(noun, id)| (noun, id.parse())) {
            Some((noun, Ok(id))) => format!("prn:core.{noun}:{}", hrefs::uuid(id)),
            _ => name.clone(),
        };
        format!("{shared}{name}")
    };
    json!({
        "pulp_href": hrefs::task(flow.id),
        "prn": format!("prn:core.task:{}", flow.id),
        "pulp_created": time(flow.created),
        "pulp_last_updated": time(flow.finished.or(flow.started).unwrap_or(flow.created)),
        "name": flow.kind,
        "state": state,
        "logging_cid": "",
        "created_by": null,
        "unblocked_at": flow.started.map(time),
        "started_at": flow.started.map(time),
        "finished_at": flow.finished.map(time),
        "error": error,
        "worker": null,
        "parent_task": null,
        "child_tasks": [],
        "task_group": null,
        "progress_reports": said("progress").unwrap_or_else(|| json!([])),
        "created_resources": created,
        "created_resource_prns": names(&created),
        "reserved_resources_record": flow.resources.iter().map(resource).collect::<Vec<_>>(),
        "result": row.output.as_ref().and_then(|output| output.get("result").cloned()),
        "pulp_api_version": "v3",
    })
}

fn names(created: &Value) -> Vec<String> {
    let name = |href: &Value| match Address::parse(href.as_str()?)? {
        Address::Object(noun, plugin, id) => Some(hrefs::name(noun, plugin.content_type, id)),
        Address::Version(_, id, number) => {
            Some(format!("prn:core.repositoryversion:{}-{number}", hrefs::uuid(id)))
        }
        Address::Artifact(half) => {
            Some(format!("prn:core.artifact:{}", hrefs::artifact_uuid(&half)))
        }
        Address::Upload(id) => Some(format!("prn:core.upload:{}", hrefs::uuid(id))),
        Address::Task(id) => Some(format!("prn:core.task:{id}")),
    };
    created.as_array().into_iter().flatten().filter_map(name).collect()
}

fn kinds() -> Vec<String> {
    KINDS.iter().map(|kind| (*kind).to_owned()).collect()
}

async fn list(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
) -> Result<Response, Refusal> {
    let mut filter = filter(&mut query)?;
    filter.ascending = query.ascending(&["pulp_created", "started_at", "finished_at"])?;
    query.finish()?;
    let window = query.window();
    let read = state.store.read(move |tx| ledger(tx, &filter, window.limit, window.offset));
    let (rows, count) = read.await?;
    let rows = rows.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), count, rows)))
}

fn filter(query: &mut Query) -> Result<LedgerFilter, Refusal> {
    let mut filter = LedgerFilter { kinds: kinds(), ..LedgerFilter::default() };
    let (is, isnt) = (query.take("name"), query.take("name__ne"));
    let (among, contains) = (query.list("name__in"), query.take("name__contains"));
    filter.kinds.retain(|kind| {
        is.as_ref().is_none_or(|name| name == kind)
            && isnt.as_ref().is_none_or(|name| name != kind)
            && among.as_ref().is_none_or(|names| names.contains(kind))
            && contains.as_ref().is_none_or(|part| kind.contains(part.as_str()))
    });
    let mut words = query.list("state__in");
    if let Some(word) = query.take("state") {
        words = Some(vec![word]);
    }
    if let Some(word) = query.take("state__ne") {
        let all = ["waiting", "running", "completed", "failed", "canceled", "canceling", "skipped"];
        words = Some(all.into_iter().filter(|one| *one != word).map(str::to_owned).collect());
    }
    if let Some(words) = words {
        of_states(&mut filter, &words)?;
    }
    filter.created = bounds(query, "pulp_created")?;
    filter.started = bounds(query, "started_at")?;
    if query.flag("unblocked_at__isnull")? == Some(true) {
        filter.states = Some(vec![FlowState::Blocked, FlowState::Ready]);
    }
    let unblocked = bounds(query, "unblocked_at")?;
    filter.started = (filter.started.0.max(unblocked.0), filter.started.1.or(unblocked.1));
    filter.finished = bounds(query, "finished_at")?;
    filter.resources = resources(query, "reserved_resources");
    filter.exclusive = resources(query, "exclusive_resources");
    filter.shared = resources(query, "shared_resources");
    filter.answer_contains = query.take("created_resources");
    // There are none: whoever asks for one finds nothing.
    for name in ["parent_task", "task_group", "child_tasks", "logging_cid", "logging_cid__contains"]
    {
        if query.take(name).is_some_and(|text| !text.is_empty()) {
            filter.kinds.clear();
        }
    }
    query.take("worker");
    if let Some(hrefs) = query.list("pulp_href__in") {
        let id = |text: &String| match Address::parse(text) {
            Some(Address::Task(id)) => Some(id),
            _ => None,
        };
        filter.ids = Some(hrefs.iter().filter_map(id).collect());
    }
    Ok(filter)
}

fn of_states(filter: &mut LedgerFilter, words: &[String]) -> Result<(), Refusal> {
    let known = |word: &str| {
        word == "canceling" || FlowState::ALL.iter().any(|state| word_of(*state) == word)
    };
    if let Some(word) = words.iter().find(|word| !known(word)) {
        let text =
            format!("state: Select a valid choice. {word} is not one of the available choices.");
        return Err(Refusal::filter(text));
    }
    let is_wanted = |word: &str| words.iter().any(|one| one == word);
    let is_ending = is_wanted("canceling");
    filter.is_ending = match (is_ending, words.len()) {
        (true, 1) => Some(true),
        (true, _) => None,
        (false, _) => Some(false),
    };
    let wanted = |state: &FlowState| is_wanted(word_of(*state)) || is_ending && !state.is_ended();
    filter.states = Some(FlowState::ALL.iter().copied().filter(wanted).collect());
    Ok(())
}

fn bounds(query: &mut Query, name: &str) -> Result<(Option<i64>, Option<i64>), Refusal> {
    let at = query.time(name)?;
    let mut bound = |ending: &str, by: i64| {
        query.time(&format!("{name}__{ending}")).map(|time| time.map(|time| time + by))
    };
    let (above, from) = (bound("gt", 1)?, bound("gte", 0)?);
    let (below, to) = (bound("lt", -1)?, bound("lte", 0)?);
    Ok((at.or(above).or(from), at.or(below).or(to)))
}

fn resources(query: &mut Query, name: &str) -> Option<Vec<String>> {
    let mut texts = query.list(&format!("{name}__in"));
    if let Some(text) = query.take(name) {
        texts.get_or_insert_default().push(text);
    }
    let name = |text: String| {
        let plain = text.strip_prefix("shared:").unwrap_or(&text);
        Address::parse(plain).and_then(|address| address.resource()).unwrap_or(text)
    };
    texts.map(|texts| texts.into_iter().map(name).collect())
}

fn required(tx: &mut Tx<'_>, id: Uuid) -> Result<LedgerRow, Refusal> {
    let filter = LedgerFilter { kinds: kinds(), ids: Some(vec![id]), ..LedgerFilter::default() };
    ledger(tx, &filter, 1, 0)?.0.pop().ok_or_else(Refusal::not_found)
}

fn id_of(text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text).map_err(|_| Refusal::not_found())
}

async fn show(
    Extract(state): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let mut row = shown(&state.store.read(move |tx| required(tx, id)).await?);
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn cancel(
    Extract(state): Shared,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    if fields.text("state")?.as_deref() != Some("canceled") {
        return Err(Refusal::field(
            "state",
            "The only acceptable value for 'state' is 'canceled'.",
        ));
    }
    let cancelled = state.store.write(move |tx| {
        let row = required(tx, id)?;
        match state_of(&row) {
            "canceled" | "canceling" => return Ok(row),
            "waiting" | "running" => tutti_flow::cancel(tx, id)?,
            word => return Err(Refusal::conflict(format!("The task is {word} already."))),
        }
        required(tx, id)
    });
    Ok(answer(StatusCode::OK, &shown(&cancelled.await?)))
}

async fn remove(Extract(state): Shared, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let forgotten = state.store.write(move |tx| {
        required(tx, id)?;
        Ok::<_, Refusal>(tutti_flow::forget_flow(tx, id)?)
    });
    forgotten.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn purge(Extract(state): Shared, fields: Fields) -> Result<Response, Refusal> {
    let before = match fields.text("finished_before")? {
        None => clock::now() - PURGED,
        Some(text) => super::time_of(&text)
            .ok_or_else(|| Refusal::field("finished_before", "Datetime has wrong format."))?,
    };
    let words = match fields.get("states") {
        None => vec!["completed".to_owned()],
        Some(Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(_) => return Err(Refusal::field("states", "Expected a list of items.")),
    };
    let is_final =
        |word: &String| ["completed", "failed", "canceled", "skipped"].contains(&word.as_str());
    if let Some(word) = words.iter().find(|word| !is_final(word)) {
        return Err(Refusal::field("states", format!("\"{word}\" is not a valid choice.")));
    }
    let wanted =
        |state: &FlowState| state.is_ended() && words.iter().any(|word| word == word_of(*state));
    let states: Vec<FlowState> = FlowState::ALL.iter().copied().filter(wanted).collect();
    work::start(&state, move |_| {
        Ok(Start {
            title: "Purge tasks".to_owned(),
            resources: Vec::new(),
            work: Work::Purge { states: states.clone(), before },
        })
    })
    .await
}
