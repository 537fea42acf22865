//! The nouns and rules of Tutti without I/O, and the request and answer types of its API.
//!
//! Everything here is a value or a plain function on values: no store, no HTTP, no clock, no
//! randomness. The controller and the agent both build on it, so what one side decides the other
//! can replay. Times, random numbers and ids are arguments.
//!
//! What the two halves say:
//!
//! - [`agent`]: what a controller and an agent say to each other about a unit: its persisted
//!   [`agent::Journal`], the [`agent::Snapshot`] of what the controller wants, the
//!   [`agent::Context`] a hook reads and the [`agent::Step`] that commits what it did;
//! - [`api`]: the types of the HTTP API under `/v1`, used by the controller and its clients.
//!
//! What they decide by:
//!
//! - [`operation`]: what a unit does next, and what its journal becomes (agent);
//! - [`relation`]: which endpoints fit, who may read which databag;
//! - [`application`]: what a deployment may ask for; [`refresh`]: what another charm would change;
//! - [`convergence`]: how far the world is behind what is wished for, and conditions;
//! - [`status`]: the `status` document from plain rows;
//! - [`leader`]: who leads; [`address`]: a unit's loopback address;
//! - [`model_config`]: a model's settings; [`duration`]: durations as Go writes them;
//! - [`error`]: every refusal with its text.

pub mod address;
pub mod agent;
pub mod api;
pub mod application;
pub mod convergence;
pub mod duration;
pub mod error;
pub mod leader;
pub mod model_config;
pub mod operation;
mod redacted;
pub mod refresh;
pub mod relation;
pub mod status;

pub use error::{Error, Result};
