//! The route, and what is read for it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tutti_flow::query::{self, OpenFlows};
use tutti_flow::{Counts, FlowState, Strain, TaskState};
use tutti_store::Backend;

use super::text::Text;
use crate::state::{Shared, State};
use crate::{Error, bus, clock};

/// What Prometheus calls the text.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/metrics", get(metrics))
}

async fn metrics(Extract(state): Shared) -> Result<Response, Error> {
    let (flows, tasks) =
        state.read(|tx| Ok((query::open_flows(tx)?, query::open_tasks(tx)?))).await?;
    let mut text = Text::default();
    about(&state, &mut text);
    by_state(&mut text, &flows, &tasks);
    state.counts.write(&mut text);
    worked(&mut text, &state.worked.read());
    if state.options.bus.is_some() {
        let last = state.store.outbox_last().await?;
        let waiting = state.read(move |tx| bus::waiting(tx, last)).await?;
        let help = "Events that the bus has not been told of yet.";
        text.single("tutti_bus_events_waiting", "gauge", help, waiting);
    }
    strained(&mut text, &tutti_flow::strain(&state.store).await?);
    let waiting = state.waiting.count();
    text.single("tutti_requests_waiting", "gauge", "Requests that wait for news.", waiting);
    let most = state.options.waiting_max;
    text.single("tutti_requests_waiting_max", "gauge", "Requests that may wait for news.", most);
    process(&mut text);
    Ok(([(header::CONTENT_TYPE, KIND)], text.finish()).into_response())
}

fn about(state: &State, text: &mut Text) {
    let database = match state.store.backend() {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgresql",
    };
    let labels = [
        ("name", state.options.name.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
        ("database", database),
    ];
    text.metric("tutti_info", "gauge", "The controller.");
    text.value("tutti_info", &labels, 1);
    let help = "When the controller started, seconds since 1970.";
    let started = seconds(state.around.started);
    text.single("process_start_time_seconds", "gauge", help, started);
}

/// Every state has its line, also when nothing is in it: a line that comes and goes cannot be
/// watched.
fn by_state(text: &mut Text, flows: &[OpenFlows], tasks: &[(TaskState, i64)]) {
    let help = "Flows that have not ended, or are parked or stuck until somebody acts, by state.";
    text.metric("tutti_flows", "gauge", help);
    let counted = |state: &&FlowState| {
        !state.is_ended() || matches!(state, FlowState::Parked | FlowState::Stuck)
    };
    for state in FlowState::ALL.iter().filter(counted) {
        let found = flows.iter().find(|row| row.state == *state);
        let count = found.map_or(0, |row| row.count);
        text.value("tutti_flows", &[("state", state.as_str())], count);
    }
    let oldest = flows.iter().filter_map(|row| row.oldest).min();
    let waited = oldest.map_or(0.0, |oldest| seconds((clock::now() - oldest).max(0)));
    let name = "tutti_flow_oldest_wait_seconds";
    let help = "How long the oldest flow that has not begun has waited.";
    text.single(name, "gauge", help, waited);
    text.metric("tutti_tasks", "gauge", "Tasks of flows that have not ended, by state.");
    for state in TaskState::ALL {
        let found = tasks.iter().find(|(found, _)| found == state);
        let count = found.map_or(0, |(_, count)| *count);
        text.value("tutti_tasks", &[("state", state.as_str())], count);
    }
}

/// What the engine's worker in this process has done.
fn worked(text: &mut Text, counts: &Counts) {
    let name = "tutti_task_attempts_total";
    text.metric(name, "counter", "Attempts at tasks that ended, undoing included.");
    for (outcome, count) in
        [("succeeded", counts.succeeded), ("failed", counts.failed), ("panicked", counts.panicked)]
    {
        text.value(name, &[("outcome", outcome)], count);
    }
    for (name, help, count) in [
        ("tutti_flow_takes_total", "Flows taken to be worked on, again included.", counts.takes),
        (
            "tutti_flow_lease_losses_total",
            "Times the worker was taken for dead and dropped its flows.",
            counts.lease_losses,
        ),
        (
            "tutti_flow_fenced_total",
            "Results dropped because their flow had been taken away.",
            counts.fenced,
        ),
    ] {
        text.single(name, "counter", help, count);
    }
    let help = "Attempts that go on although their time is over, each blocking a thread.";
    text.single("tutti_task_attempts_leaked", "gauge", help, counts.leaked);
}

/// What strains the database; 0 is what it does not have.
fn strained(text: &mut Text, strain: &Strain) {
    for (name, help, age) in [
        (
            "tutti_database_oldest_transaction_seconds",
            "How long the oldest transaction of all sessions has been open.",
            strain.oldest_transaction,
        ),
        (
            "tutti_database_oldest_snapshot_seconds",
            "How long what is deleted has not been cleared away, for a transaction is open.",
            strain.oldest_snapshot,
        ),
    ] {
        text.single(name, "gauge", help, age.as_secs_f64());
    }
    for (name, kind, help, count) in [
        (
            "tutti_database_snapshot_age",
            "gauge",
            "Transactions since the oldest snapshot.",
            strain.snapshot_age,
        ),
        (
            "tutti_database_log_written_bytes_total",
            "counter",
            "Bytes ever written to the log.",
            strain.log_written,
        ),
        (
            "tutti_database_log_kept_bytes",
            "gauge",
            "Bytes of the log kept for others.",
            strain.log_kept,
        ),
        (
            "tutti_database_flow_rows_dead",
            "gauge",
            "Rows of flows to be cleared away.",
            strain.dead_rows,
        ),
    ] {
        text.single(name, kind, help, count);
    }
}

/// What the kernel tells of this process.
fn process(text: &mut Text) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, field, help) in [
        ("process_resident_memory_bytes", "VmRSS:", "Memory the process has."),
        ("process_virtual_memory_bytes", "VmSize:", "Memory the process has reserved."),
    ] {
        if let Some(kibibytes) = kibibytes(&status, field) {
            text.single(name, "gauge", help, kibibytes * 1024);
        }
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        text.single("process_open_fds", "gauge", "Files and sockets it has open.", files.count());
    }
}

/// A size, from the text of `/proc/self/status`.
fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_of_a_process() {
        let status = "Name:\ttutti\nVmSize:\t  204800 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(super::kibibytes(status, "VmRSS:"), Some(2048));
        assert_eq!(super::kibibytes(status, "VmHWM:"), None);
    }
}
