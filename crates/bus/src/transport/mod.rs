//! How messages travel: the commands of Redis, which the built-in broker answers as well.
//!
//! One [`Transport`] is one database. Everything that does not wait shares one connection ([`link`]); what waits has
//! one for each purpose: all results of this process ([`calls`]), all calls to it ([`queue`]), and each listener's
//! streams ([`streams`]). Bytes and ids in, bytes and ids out: nothing here knows schemas or types.

mod address;
mod calls;
pub(crate) mod dead_letters;
mod link;
pub(crate) mod look;
pub(crate) mod queue;
pub(crate) mod schemas;
pub(crate) mod streams;

use std::sync::Arc;

pub use address::Address;
pub(crate) use calls::{CallError, Calls};
pub use dead_letters::DeadLetter;
pub(crate) use link::{Link, Patience, Waiting, is_passing};
pub use streams::Start;

use crate::codec::keys;

/// The way to one database.
pub(crate) struct Transport {
    pub(crate) link: Link,
    pub(crate) calls: Calls,
}

impl Transport {
    /// Connects nothing yet; `process` names this process and must be its alone.
    pub(crate) fn new(address: Address, process: &str) -> Arc<Transport> {
        let link = Link::new(address);
        Arc::new(Transport { calls: Calls::new(link.clone(), keys::results(process)), link })
    }
}
