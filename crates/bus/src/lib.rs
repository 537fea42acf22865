#![doc = include_str!("../README.md")]

mod api;
mod bus;
mod failure;
pub mod schema;

pub use api::{Call, Context, Event, Service};
pub use bus::{Bus, CallOptions};
pub use failure::{Error, Failure, FailureKind, Result};

/// What generated code names, so that a crate that uses the macros need not depend on these itself.
#[doc(hidden)]
pub mod generated {
    pub use futures_util::future::BoxFuture;
    pub use serde;
    pub use serde_json;
}
