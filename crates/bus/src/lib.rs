#![doc = include_str!("../README.md")]

mod api;
mod backoff;
pub mod broker;
mod bus;
mod client;
mod codec;
pub mod config;
mod failure;
pub mod resp;
mod schedule;
pub mod schema;
pub mod testing;
mod transport;
pub mod value;

pub use api::{Call, Context, Event, Service};
pub use backoff::Backoff;
pub use bus::{
    Announcement, Announcements, ApiSettings, Bus, CallOptions, ConsumerInfo, EventId, EventStream,
    Following, GroupInfo, Hook, Listen, Moment, Page, Record, Settings, StateEvents, StreamInfo,
};
pub use client::{PendingCall, Procedure};
pub use failure::{Error, Failure, FailureKind, Result};
pub use schedule::{Schedule, ScheduleError};
pub use schemars;
pub use transport::{Address, DeadLetter, Start};
pub use tutti_bus_macros::{Event, api};

/// What generated code names, so that a crate that uses the macros need not depend on these itself.
#[doc(hidden)]
pub mod generated {
    use futures_util::future::BoxFuture;
    use serde_json::value::RawValue;

    use crate::Result;

    /// What a service returns for a call.
    pub type Execution<'a> = BoxFuture<'a, Result<Box<RawValue>>>;

    pub use serde;
    pub use serde_json;
}
