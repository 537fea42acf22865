//! The HTTP API of a Tutti controller from the outside: JSON over a unix socket or TCP.
//!
//! A [`Client`] is opened on an [`Address`] and offers the verbs of the API, generic over the
//! request and answer types, which are the caller's business:
//!
//! ```no_run
//! # async fn example() -> tutti_client::Result<()> {
//! let client = tutti_client::Client::connect(&"/var/lib/tutti/tutti.sock".parse()?).await?;
//! let models: serde_json::Value = client.get("/v1/models").await?;
//! # Ok(()) }
//! ```
//!
//! - [`Address`]: where a controller listens;
//! - [`Client`]: the verbs, over a small pool of kept-alive connections;
//! - [`Events`]: a server-sent event stream being read;
//! - [`Problem`]: why the controller refused a call; [`Error`]: everything that can go wrong.

mod address;
mod client;
mod connection;
mod error;
mod events;
mod problem;
mod upload;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use client::{Client, encode};
pub use error::{Error, Result};
pub use events::{Event, Events};
pub use problem::Problem;
