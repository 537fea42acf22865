//! RESP2, the protocol of Redis: requests in, replies out.
//!
//! [`RequestParser`] finds the arguments of a request in the bytes received and copies none of them; [`Reply`] appends replies to
//! a buffer; [`Value`] reads a reply back. Everything read is bounded and nothing read can cause a panic. Source: the Redis
//! protocol specification, version 2, and the wording of Redis 7.0 for errors.

mod inline;
mod reply;
mod request;
mod value;

pub use reply::Reply;
pub use request::{Limits, OwnedRequest, ProtocolError, Request, RequestParser};
pub use value::{DEPTH_MAX, Malformed, Value};
