//! `GET /v1/metrics`: what Prometheus reads.
//!
//! What is now (flows and tasks by state) is asked of the database at every reading. What has been
//! since the start (flows that ended, how long tasks took, requests) is counted in memory:
//! [`count_requests`] sees every request, [`follow`] every end of a flow as the outbox tells it.
//! Labels are bounded: routes, kinds of flows and names of tasks are words of the program.

mod api;
mod count;
mod follow;
mod text;

pub(crate) use api::routes;
pub(crate) use count::{Counts, count_requests};
pub(crate) use follow::follow;
