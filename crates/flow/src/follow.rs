//! Following what happens to flows: the outbox as typed events, from any number on that is still kept.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;
use tutti_store::{Bell, OUTBOX, OutboxEvent, Store};
use uuid::Uuid;

use crate::{
    Error, FailureClass, FlowState, Result, TaskState,
    announce::{FLOW_CHANGED, FLOW_ENDED, TASK_FAILED},
};

/// Events read at a time.
const PAGE: u32 = 256;

/// The longest pause between looks: what a lost wake-up costs.
const POLL: Duration = Duration::from_secs(2);

/// Something that happened to a flow or a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowEvent {
    /// Its number, which grows in the order of commits. Who comes back goes on behind it; see [`Follower::open`].
    pub seq: i64,
    /// When it was written, in microseconds since 1970, UTC.
    pub at: i64,
    /// What happened.
    pub news: FlowNews,
}

/// What happened to a flow or a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlowNews {
    /// A flow stands elsewhere.
    Flow(FlowChange),
    /// A task failed for good, or could not be undone.
    Task(TaskFailure),
}

/// A flow stands elsewhere. Told are changes that somebody may act on: its end, also as parked, stuck, superseded or abandoned; that
/// it is to be undone (`to` is [`FlowState::Reverting`] from then on, though it may have to wait for its turn); that it was
/// suspended (also while tasks of it still run) or resumed; and that one that had ended begins again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowChange {
    /// The flow.
    pub flow: Uuid,
    /// What sort of change it is.
    pub kind: String,
    /// One sentence for people.
    pub title: String,
    /// The scope it belongs to.
    pub model: Option<String>,
    /// The names of its resources.
    pub resources: Vec<String>,
    /// Where it stood; unknown of what an earlier release told.
    pub from: Option<FlowState>,
    /// Where it stands.
    pub to: FlowState,
    /// Why it failed.
    pub error: Option<String>,
    /// The flow that took its place.
    pub superseded_by: Option<Uuid>,
}

/// A task failed for good, or could not be undone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaskFailure {
    /// The task.
    pub task: Uuid,
    /// Its flow.
    pub flow: Uuid,
    /// The scope of its flow.
    pub model: Option<String>,
    /// The name of its handler.
    pub name: String,
    /// The resource it works on.
    pub resource: Option<String>,
    /// Where it stands.
    pub state: TaskState,
    /// What sort of failure it was, if that is known.
    #[serde(default)]
    pub class: Option<FailureClass>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A flow's event as it is kept.
#[derive(Deserialize)]
struct Kept {
    flow: Uuid,
    kind: String,
    title: String,
    model: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    from: Option<FlowState>,
    to: Option<FlowState>,
    state: Option<FlowState>,
    error: Option<String>,
    superseded_by: Option<Uuid>,
}

/// Reads what happens to flows, whichever process does it, in the order of commits and without gaps.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    bell: Bell,
    /// The last event read.
    after: i64,
    page: VecDeque<OutboxEvent>,
}

impl Follower {
    /// Begins behind event number `after`, or with what happens from now on. The outbox keeps events until
    /// [`Store::outbox_prune`] forgets them.
    ///
    /// # Errors
    /// [`Error::Forgotten`]; storage errors.
    pub async fn open(store: &Store, after: Option<i64>) -> Result<Self> {
        let bell = store.bell(OUTBOX);
        let (oldest, last) = store.outbox_kept().await?;
        let after = after.unwrap_or(last);
        if !(oldest..=last).contains(&after) {
            return Err(Error::Forgotten { after, oldest, last });
        }
        Ok(Self { store: store.clone(), bell, after, page: VecDeque::new() })
    }

    /// The next event, as soon as there is one. Cancel safe. After an error it can be asked again.
    ///
    /// # Errors
    /// [`Error::Forgotten`] if it was asked too rarely: read the state anew, and open another one. Storage errors.
    pub async fn next(&mut self) -> Result<FlowEvent> {
        loop {
            while let Some(event) = self.page.pop_front() {
                self.after = event.seq;
                if let Some(news) = read(&event) {
                    return Ok(FlowEvent { seq: event.seq, at: event.at, news });
                }
            }
            let page = self.store.outbox_after(self.after, PAGE).await?;
            match page.first() {
                // Numbers have no gaps: what is missing was forgotten.
                Some(first) if first.seq != self.after + 1 => {
                    let (oldest, last) = self.store.outbox_kept().await?;
                    return Err(Error::Forgotten { after: self.after, oldest, last });
                }
                Some(_) => self.page = page.into(),
                // Time that is over is as good as a bell.
                None => drop(tokio::time::timeout(POLL, self.bell.wait()).await),
            }
        }
    }
}

/// What an event tells of flows; nothing if it is about something else.
fn read(event: &OutboxEvent) -> Option<FlowNews> {
    let news = match event.topic.as_str() {
        FLOW_ENDED | FLOW_CHANGED => serde_json::from_str(&event.body).map(Kept::news),
        TASK_FAILED => serde_json::from_str(&event.body).map(|task| Some(FlowNews::Task(task))),
        _ => return None,
    };
    news.unwrap_or_else(|error| {
        tracing::warn!(%error, seq = event.seq, "an event of a flow cannot be read: of a newer release");
        None
    })
}

impl Kept {
    fn news(self) -> Option<FlowNews> {
        let Self { flow, kind, title, model, resources, from, to, state, error, superseded_by } =
            self;
        let to = to.or(state)?;
        let change =
            FlowChange { flow, kind, title, model, resources, from, to, error, superseded_by };
        Some(FlowNews::Flow(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(topic: &str, body: &str) -> OutboxEvent {
        OutboxEvent { seq: 1, at: 2, topic: topic.into(), body: body.into() }
    }

    #[test]
    fn events_of_an_earlier_release_are_read_and_those_of_others_are_not() {
        let flow = Uuid::from_u128(7);
        let old = format!(
            r#"{{"flow":"{flow}","kind":"k","title":"t","model":null,"state":"failed","error":"e"}}"#
        );
        let Some(FlowNews::Flow(change)) = read(&event(FLOW_ENDED, &old)) else {
            unreachable!("it is read")
        };
        assert_eq!((change.flow, change.from, change.to), (flow, None, FlowState::Failed));
        assert_eq!(change.resources, [""; 0]);
        for (topic, body) in [
            ("tutti.unit", "{}"),
            (FLOW_ENDED, "{}"),
            (FLOW_CHANGED, r#"{"to":"later"}"#),
            (TASK_FAILED, "nothing"),
        ] {
            assert_eq!(read(&event(topic, body)), None, "{topic} {body}");
        }
    }
}
