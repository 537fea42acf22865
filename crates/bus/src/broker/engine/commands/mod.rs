//! The commands, by what they are about. Wording and behaviour follow Redis 7.0.

pub(super) mod connection;
pub(super) mod keys;
pub(super) mod lists;
pub(super) mod replay;
pub(super) mod script;
pub(super) mod server;
pub(super) mod sets;
pub(super) mod stream_add;
pub(super) mod stream_claim;
pub(super) mod stream_group;
pub(super) mod stream_info;
pub(super) mod stream_pending;
pub(super) mod stream_read;
pub(super) mod strings;
pub(super) mod transaction;
