//! Relations: which endpoints fit, what a relation is called, who may read and write what.
//!
//! A relation joins two endpoints with the same interface and opposite roles, or the units of one
//! application over a peer endpoint. What an operator writes (`web`, `web:db`) is a [`Reference`];
//! [`infer`] finds the one pair of endpoints that is meant, [`find`] the one existing relation.
//!
//! - `endpoint`: [`EndpointView`], one end as the rules see it, and [`Reference`];
//! - `infer`: from what was written to a [`Pair`], and whether it may be related;
//! - `databag`: who may touch which databag.

mod databag;
mod endpoint;
mod infer;
#[cfg(test)]
mod tests;

pub use databag::Bag;
pub use endpoint::{EndpointView, Reference, endpoints, peers};
pub use infer::{Existing, Pair, check_new, find, infer};
