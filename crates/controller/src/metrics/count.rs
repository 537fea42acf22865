//! What is counted in memory since the controller started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::text::{Durations, Text};
use crate::state::Shared;

/// What has been counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Requests by method, route and status.
    requests: BTreeMap<(&'static str, String, u16), u64>,
    /// How long they took, by method and route.
    request_durations: BTreeMap<(&'static str, String), Durations>,
    /// Flows that ended, by kind and state.
    flows: BTreeMap<(String, String), u64>,
    /// How long tasks took, by name.
    tasks: BTreeMap<String, Durations>,
    /// Events fired on the bus, and times that this failed.
    bus: (u64, u64),
}

impl Counts {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked has left numbers, not half a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let method = word(method);
        let mut inner = self.inner();
        *inner.requests.entry((method, route.to_owned(), status)).or_default() += 1;
        inner.request_durations.entry((method, route.to_owned())).or_default().add(took);
    }

    /// A flow ended.
    pub(super) fn flow(&self, kind: &str, state: &str) {
        *self.inner().flows.entry((kind.to_owned(), state.to_owned())).or_default() += 1;
    }

    /// A task ended.
    pub(super) fn task(&self, name: &str, took: Duration) {
        self.inner().tasks.entry(name.to_owned()).or_default().add(took);
    }

    /// Events were fired on the bus.
    pub(crate) fn bus_fired(&self, events: usize) {
        self.inner().bus.0 += events as u64;
    }

    /// The bus could not be told.
    pub(crate) fn bus_failed(&self) {
        self.inner().bus.1 += 1;
    }

    /// Writes it all.
    pub(super) fn write(&self, text: &mut Text) {
        let inner = self.inner();
        let name = "tutti_flows_ended_total";
        text.metric(name, "counter", "Flows that ended since the controller started.");
        for ((kind, state), count) in &inner.flows {
            text.value(name, &[("kind", kind), ("state", state)], count);
        }
        let name = "tutti_task_duration_seconds";
        text.metric(name, "histogram", "From a task's beginning to its end, retries included.");
        for (task, durations) in &inner.tasks {
            text.durations(name, &[("name", task)], durations);
        }
        let (fired, failed) = inner.bus;
        let name = "tutti_bus_events_total";
        text.single(name, "counter", "Events fired on the bus, repetitions included.", fired);
        let name = "tutti_bus_failures_total";
        text.single(name, "counter", "Times that the bus could not be told of events.", failed);
        let name = "tutti_http_requests_total";
        text.metric(name, "counter", "Requests answered.");
        for ((method, route, status), count) in &inner.requests {
            let status = status.to_string();
            text.value(name, &[("method", method), ("route", route), ("status", &status)], count);
        }
        let name = "tutti_http_request_duration_seconds";
        text.metric(name, "histogram", "Until the head of the answer; waiting for news included.");
        for ((method, route), durations) in &inner.request_durations {
            text.durations(name, &[("method", method), ("route", route)], durations);
        }
    }
}

/// Methods have names of the client's choice; labels have not.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a request by its route, not by its path.
pub(crate) async fn count_requests(
    axum::extract::State(state): Shared,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>();
    let route: Arc<str> = route.map_or("other", MatchedPath::as_str).into();
    let begun = Instant::now();
    let response = next.run(request).await;
    state.counts.request(&method, &route, response.status().as_u16(), begun.elapsed());
    response
}
