//! Ends of flows, as the outbox tells them: each is counted once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tutti_flow::query;
use tutti_store::{OUTBOX, OutboxEvent};
use uuid::Uuid;

use crate::Error;
use crate::http::sentence;
use crate::state::State;

/// Events read at a time.
const PAGE: u32 = 256;

/// Flows that ended, remembered so that what they did is not counted again if they are retried.
const REMEMBERED: usize = 10_000;

/// The pause after the database failed.
const PAUSE: Duration = Duration::from_secs(5);

/// The topic of a flow's end.
const TOPIC: &str = "flow.ended";

/// The event of a flow's end, as far as it is counted.
#[derive(Deserialize)]
struct Ended {
    flow: Uuid,
    kind: String,
    state: String,
}

/// Counts flows as they end, and their tasks, until the controller stops.
pub(crate) async fn follow(state: Arc<State>) {
    let mut bell = state.store.bell(OUTBOX);
    // When flows ended.
    let mut before = BTreeMap::new();
    let mut after = None;
    loop {
        let wait = match count(&state, &mut after, &mut before).await {
            Ok(0) => None,
            Ok(_) => continue,
            Err(Error::Store(tutti_store::Error::Closed)) => return,
            Err(error) => {
                tracing::warn!(error = %sentence(&error), "cannot count what has ended");
                Some(PAUSE)
            }
        };
        let woken = async {
            match wait {
                None => bell.wait().await,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        };
        tokio::select! {
            () = woken => {}
            () = state.stopping.cancelled() => return,
        }
    }
}

/// Counts the next page of events, from now on if there was none yet; answers how many it had.
async fn count(
    state: &State,
    after: &mut Option<i64>,
    before: &mut BTreeMap<Uuid, i64>,
) -> Result<usize, Error> {
    let from = match *after {
        Some(after) => after,
        None => state.store.outbox_last().await?,
    };
    *after = Some(from);
    let events = state.store.outbox_after(from, PAGE).await?;
    let Some(last) = events.last().map(|event| event.seq) else { return Ok(0) };
    let ended: Vec<(Ended, i64)> = events.iter().filter_map(read).collect();
    if !ended.is_empty() {
        let flows: Vec<Uuid> = ended.iter().map(|(ended, _)| ended.flow).collect();
        let tasks = state.read(move |tx| Ok(query::ended_tasks(tx, &flows)?)).await?;
        for task in tasks {
            let is_new = before.get(&task.flow).is_none_or(|at| task.finished > *at);
            let took = u64::try_from(task.finished - task.started).unwrap_or(0);
            if is_new {
                state.counts.task(&task.name, Duration::from_micros(took));
            }
        }
        for (ended, at) in ended {
            state.counts.flow(&ended.kind, &ended.state);
            before.insert(ended.flow, at);
            if before.len() > REMEMBERED {
                before.pop_first();
            }
        }
    }
    *after = Some(last);
    Ok(events.len())
}

fn read(event: &OutboxEvent) -> Option<(Ended, i64)> {
    let ended = (event.topic == TOPIC).then(|| serde_json::from_str(&event.body))?;
    Some((ended.ok()?, event.at))
}
