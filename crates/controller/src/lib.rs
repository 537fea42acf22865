//! The half that knows: HTTP API, desired state, flows, SQL of the model.
//!
//! One folder per noun. In each, `mod.rs` says what the noun is and holds its operations on a
//! transaction, `sql.rs` its statements and rows (nothing else touches its tables), `api.rs` its
//! routes.
//!
//! Every mutation is one transaction: lock the model ([`sequence::lock_model`]), write desired
//! state, submit the flow, and last [`sequence::touch`] the units it concerns; a flow that waits until
//! they have seen the change needs its number, and comes after that.
//!
//! - [`Controller`] starts and stops it all, [`Options`] say where and how;
//! - `http`: listeners, router, problems; `openapi`: the API's document; `state`: what every handler
//!   shares;
//! - `convergence`: how far resources are;
//! - `tasks`: what flows have the controller do; `keeper`: what is due at a time; `events`: what is
//!   announced; `metrics`: what is counted;
//! - `bus`: Tutti on the bus;
//! - the nouns.

mod clock;
mod constraints;
mod controller;
mod convergence;
mod error;
mod events;
mod host;
mod http;
mod idempotency;
mod keeper;
mod metrics;
mod openapi;
mod poll;
mod schema;
pub mod sequence;
mod state;
mod tasks;
mod time;

mod agents;
mod applications;
mod artifacts;
mod bus;
mod charms;
mod deferred;
mod flows;
mod leadership;
mod logs;
mod machines;
mod models;
mod notices;
mod operations;
mod pulp;
mod relations;
mod secrets;
mod status;
mod storage;
mod units;
mod workers;

pub use bus::BusOptions;
pub use controller::{Controller, Options, create_data_directory};
pub use error::Error;
pub use openapi::openapi;
pub use schema::{MIGRATIONS, STATEMENTS};
