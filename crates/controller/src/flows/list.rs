//! Lists of flows and tasks: filters, pages, and the history of one resource.
//!
//! A page is found by key: it holds what is older than the last of the page before, so that nothing
//! is shown twice or left out however much happens in between.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::Uri;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tutti_flow::{FailureClass, FlowFilter, FlowRow, FlowState, TaskFilter, TaskRow, query};
use tutti_model::api::{FlowPage, TaskPage};
use tutti_model::duration::parse_duration;
use tutti_store::Tx;
use uuid::Uuid;

use super::{find, scoped, show};
use crate::http::{Query, Segments};
use crate::state::{Shared, State};
use crate::{Error, clock, models};

/// Rows of a page that names no limit.
const PAGE: u32 = 100;

/// How the refusal of a word begins.
const FLOW_STATE: &str = "state: there is no flow state";
const TASK_STATE: &str = "state: there is no task state";
const CLASS: &str = "class: there is no class of failures";

/// The most rows of a page.
const PAGE_MAX: u32 = 1000;

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/flows", get(flows))
        .route("/v1/tasks", get(tasks))
        .route("/v1/models/{model}/flows", get(of_model))
        .route("/v1/models/{model}/applications/{application}/flows", get(of_application))
        .route("/v1/models/{model}/units/{application}/{number}/flows", get(of_unit))
        .route("/v1/models/{model}/machines/{number}/flows", get(of_machine))
        .route("/v1/models/{model}/relations/{number}/flows", get(of_relation))
}

/// Which flows.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FlowQuery {
    /// What its id begins or ends with; then nothing else is asked.
    id: Option<String>,
    parent: Option<Uuid>,
    model: String,
    #[serde(alias = "resource_id")]
    resource: String,
    #[serde(alias = "flow_state")]
    state: String,
    kind: String,
    name: String,
    since: String,
    limit: Option<u32>,
    after: Option<Uuid>,
}

/// Which tasks.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TaskQuery {
    id: Option<String>,
    model: String,
    #[serde(alias = "resource_id")]
    resource: String,
    #[serde(alias = "task_state")]
    state: String,
    #[serde(alias = "error_class")]
    class: String,
    #[serde(alias = "flow_id")]
    flow: Option<Uuid>,
    parent: Option<Uuid>,
    name: String,
    since: String,
    limit: Option<u32>,
    after: Option<Uuid>,
}

/// Which flows of one resource.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HistoryQuery {
    state: String,
    kind: String,
    since: String,
    limit: Option<u32>,
    after: Option<Uuid>,
}

impl HistoryQuery {
    fn of(self, model: String, resource: String) -> FlowQuery {
        let Self { state, kind, since, limit, after } = self;
        FlowQuery { model, resource, state, kind, since, limit, after, ..FlowQuery::default() }
    }
}

async fn flows(
    Extract(state): Shared,
    uri: Uri,
    Query(query): Query<FlowQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query).await
}

async fn of_model(
    Extract(state): Shared,
    uri: Uri,
    Segments(model): Segments<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query.of(model, String::new())).await
}

async fn of_application(
    Extract(state): Shared,
    uri: Uri,
    Segments((model, name)): Segments<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query.of(model, format!("application/{name}"))).await
}

async fn of_unit(
    Extract(state): Shared,
    uri: Uri,
    Segments((model, application, number)): Segments<(String, String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query.of(model, format!("unit/{application}/{number}"))).await
}

async fn of_machine(
    Extract(state): Shared,
    uri: Uri,
    Segments((model, number)): Segments<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query.of(model, format!("machine/{number}"))).await
}

async fn of_relation(
    Extract(state): Shared,
    uri: Uri,
    Segments((model, number)): Segments<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    flow_page(&state, &uri, query.of(model, format!("relation/{number}"))).await
}

async fn flow_page(state: &State, uri: &Uri, query: FlowQuery) -> Result<Response, Error> {
    let limit = limit(query.limit)?;
    let has_pages = query.id.is_none();
    let wanted = FlowFilter {
        state: words(&query.state, FlowState::ALL, |state| state.as_str(), FLOW_STATE)?,
        kind: said(&query.kind),
        name: said(&query.name),
        parent: query.parent,
        since: since(&query.since, clock::now())?,
        limit: Some(limit),
        after: query.after,
        ..FlowFilter::default()
    };
    let (rows, names) = state
        .read(move |tx| {
            if let Some(after) = wanted.after
                && query::flow(tx, after)?.is_none()
            {
                return Err(no_place(after));
            }
            let rows = find_flows(tx, &query, &wanted)?;
            Ok((rows, models::names(tx)?))
        })
        .await?;
    let last = rows.last().filter(|_| has_pages && is_full(&rows, limit));
    let next = last.map(|flow| next(uri, flow.id));
    let name = |model: &str| names.get(model).cloned().unwrap_or_default();
    let flows = rows.into_iter().map(|row| show::flow(row, name)).collect();
    Ok(page(&FlowPage { flows, next: next.clone() }, next))
}

fn find_flows(
    tx: &mut Tx<'_>,
    query: &FlowQuery,
    wanted: &FlowFilter,
) -> Result<Vec<FlowRow>, Error> {
    if let Some(id) = &query.id {
        let ids = find::flows(tx, id, wanted.limit.unwrap_or(PAGE))?.into_iter();
        let found = ids.map(|id| query::flow(tx, id)).collect::<Result<Vec<_>, _>>()?;
        return Ok(found.into_iter().flatten().collect());
    }
    let mut found = Vec::new();
    for (model, resource) in places(tx, &query.model, &query.resource)? {
        let filter = FlowFilter { model, resource, ..wanted.clone() };
        found.extend(query::flows(tx, &filter)?);
    }
    found.sort_by_key(|flow| std::cmp::Reverse(flow.ticket));
    found.truncate(wanted.limit.unwrap_or(PAGE) as usize);
    Ok(found)
}

async fn tasks(
    Extract(state): Shared,
    uri: Uri,
    Query(query): Query<TaskQuery>,
) -> Result<Response, Error> {
    let limit = limit(query.limit)?;
    let has_pages = query.id.is_none();
    let wanted = TaskFilter {
        state: show::task_states(&query.state)
            .map_err(|word| unknown(TASK_STATE, &word, &show::task_state_words()))?,
        class: words(&query.class, FailureClass::ALL, |class| class.as_str(), CLASS)?,
        flow: query.flow,
        parent: query.parent,
        name: said(&query.name),
        since: since(&query.since, clock::now())?,
        limit: Some(limit),
        after: query.after,
        ..TaskFilter::default()
    };
    let (rows, names) = state
        .read(move |tx| {
            if let Some(after) = wanted.after
                && query::task(tx, after)?.is_none()
            {
                return Err(no_place(after));
            }
            let rows = find_tasks(tx, &query, &wanted)?;
            Ok((rows, models::names(tx)?))
        })
        .await?;
    let last = rows.last().filter(|_| has_pages && is_full(&rows, limit));
    let next = last.map(|task| next(&uri, task.id));
    let name = |model: &str| names.get(model).cloned().unwrap_or_default();
    let tasks = rows.into_iter().map(|row| show::task(row, name)).collect();
    Ok(page(&TaskPage { tasks, next: next.clone() }, next))
}

fn find_tasks(
    tx: &mut Tx<'_>,
    query: &TaskQuery,
    wanted: &TaskFilter,
) -> Result<Vec<TaskRow>, Error> {
    if let Some(id) = &query.id {
        let ids = find::tasks(tx, id, wanted.limit.unwrap_or(PAGE))?.into_iter();
        let found = ids.map(|id| query::task(tx, id)).collect::<Result<Vec<_>, _>>()?;
        return Ok(found.into_iter().flatten().collect());
    }
    let mut found = Vec::new();
    for (model, resource) in places(tx, &query.model, &query.resource)? {
        let filter = TaskFilter { model, resource, ..wanted.clone() };
        found.extend(query::tasks(tx, &filter)?);
    }
    if wanted.flow.is_none() {
        found.sort_by_key(|task| std::cmp::Reverse(task.id));
    }
    found.truncate(wanted.limit.unwrap_or(PAGE) as usize);
    Ok(found)
}

/// Where to look: a model, by UUID, with the engine's name of the resource; none: everywhere.
type Place = (Option<String>, Option<String>);

/// Where to look for what a query names.
fn places(tx: &mut Tx<'_>, model: &str, resource: &str) -> Result<Vec<Place>, Error> {
    if !is_resource(resource) {
        return Err(Error::Invalid(format!(
            "resource: \"{resource}\" is none: write application/db, unit/db/0, machine/3, relation/2 or model/m"
        )));
    }
    let place = |id: String| {
        let resource = said(resource).map(|resource| scoped(&id, &resource));
        (Some(id), resource)
    };
    if let Some(model) = said(model) {
        return Ok(vec![place(models::find(tx, &model)?.id)]);
    }
    if resource.is_empty() {
        return Ok(vec![(None, None)]);
    }
    // A resource's name is one model's: look in each.
    Ok(models::list(tx)?.into_iter().map(|model| place(model.id)).collect())
}

/// Whether a resource could be called so, or be one of those that begin so. Others would never be
/// found, which would look as if nothing happened.
fn is_resource(name: &str) -> bool {
    let kinds = ["application", "unit", "machine", "relation", "model"];
    let kind = name.split_once(['/', '*']).map(|(kind, _)| kind);
    name.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind))
}

/// A text that says nothing when empty.
fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn limit(limit: Option<u32>) -> Result<u32, Error> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::Invalid(format!("limit: {limit} is not between 1 and {PAGE_MAX}")))
}

/// What the words of a list mean, in any case.
fn words<S: Copy>(
    words: &str,
    all: &[S],
    word: impl Fn(S) -> &'static str,
    what: &str,
) -> Result<Vec<S>, Error> {
    let words = words.split(',').map(|word| word.trim().to_lowercase());
    let read = |given: String| {
        let found = all.iter().copied().find(|state| word(*state) == given);
        let names: Vec<_> = all.iter().map(|state| word(*state)).collect();
        found.ok_or_else(|| unknown(what, &given, &names))
    };
    words.filter(|word| !word.is_empty()).map(read).collect()
}

fn unknown(what: &str, word: &str, known: &[&str]) -> Error {
    let known = known.join(", ");
    Error::Invalid(format!("{what} \"{word}\": there are {known}"))
}

/// A time, or how long ago it was.
fn since(text: &str, now: i64) -> Result<Option<i64>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    // The plus of an offset reads as a space in a query.
    let time = text.parse().or_else(|_| text.replace(' ', "+").parse());
    if let Ok(time) = time {
        return Ok(Some(Timestamp::as_microsecond(time)));
    }
    if let Ok(ago) = parse_duration(text) {
        return Ok(Some(now.saturating_sub_unsigned(ago.as_micros() as u64)));
    }
    Err(Error::Invalid(format!(
        "since: \"{text}\" is neither a time (2026-08-11T10:00:00Z) nor a duration (10m, 24h)"
    )))
}

fn no_place(after: Uuid) -> Error {
    Error::Gone(format!("after: {after} is not kept any more; begin again without it"))
}

fn is_full<T>(rows: &[T], limit: u32) -> bool {
    rows.len() == limit as usize
}

/// The address of the next page: the same query from another place on.
fn next(uri: &Uri, last: Uuid) -> String {
    let query = uri.query().unwrap_or_default();
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let after = format!("after={last}");
    let pairs: Vec<&str> = kept.chain([after.as_str()]).collect();
    format!("{}?{}", uri.path(), pairs.join("&"))
}

/// A page, with the next one's address in its headers as well.
fn page(page: &impl Serialize, next: Option<String>) -> Response {
    let mut response = Json(page).into_response();
    let link = next.map(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")));
    if let Some(Ok(link)) = link {
        let name: HeaderName = header::LINK;
        response.headers_mut().insert(name, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_how_long_ago() {
        let now = 1_786_442_400_000_000;
        for (text, expected) in [
            ("", None),
            ("10m", Some(now - 600_000_000)),
            ("2026-08-11T09:00:00Z", Some(now - 3_600_000_000)),
            ("2026-08-11T11:00:00+02:00", Some(now - 3_600_000_000)),
            ("2026-08-11T11:00:00 02:00", Some(now - 3_600_000_000)),
        ] {
            assert_eq!(since(text, now).unwrap(), expected, "{text}");
        }
        for text in ["yesterday", "10", "-5m", "2026-13-01T00:00:00Z"] {
            let error = since(text, now).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("10m"), "{error}");
        }
    }

    #[test]
    fn the_next_page_is_the_same_query() {
        let last = Uuid::from_u128(7);
        for (uri, expected) in [
            ("/v1/flows", "/v1/flows?after="),
            ("/v1/flows?state=a%2Cb&after=x&limit=2", "/v1/flows?state=a%2Cb&limit=2&after="),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(next(&uri, last), format!("{expected}{last}"));
        }
    }

    #[test]
    fn a_word_that_is_no_state_is_answered_with_those_that_are() {
        let read = |list: &str| words(list, FlowState::ALL, |state| state.as_str(), FLOW_STATE);
        assert_eq!(read("FAILED, stuck,").unwrap(), [FlowState::Failed, FlowState::Stuck]);
        let error = read("failed,odd").unwrap_err().to_string();
        assert!(error.contains("\"odd\"") && error.contains("superseded"), "{error}");
    }

    #[test]
    fn what_is_no_resource_is_told() {
        for name in ["", "application/db", "unit/db/", "unit/d*", "machine/3", "relation/2"] {
            assert!(is_resource(name), "{name}");
        }
        for name in ["db", "db/0", "app/db", "application", "*"] {
            assert!(!is_resource(name), "{name}");
        }
    }
}
