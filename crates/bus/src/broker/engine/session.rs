//! What the broker knows of a client.

use crate::resp::OwnedRequest;

/// Commands of one transaction, and their bytes.
pub(super) const TRANSACTION_COMMANDS_MAX: usize = 10_000;
pub(super) const TRANSACTION_BYTES_MAX: usize = 64 << 20;

/// A connected client.
#[derive(Debug)]
pub(super) struct Session {
    /// Where it comes from, as `CLIENT LIST` shows it.
    pub(super) address: String,
    pub(super) connected_at: i64,
    pub(super) active_at: i64,
    /// Whether it gave the password, or needs none.
    pub(super) trusted: bool,
    pub(super) database: usize,
    pub(super) name: String,
    pub(super) library: (String, String),
    pub(super) last_command: &'static str,
    pub(super) transaction: Option<Transaction>,
}

/// Commands between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) commands: Vec<OwnedRequest>,
    pub(super) weight: usize,
    /// Whether one of them was refused, so that none will be run.
    pub(super) spoiled: bool,
}

impl Session {
    pub(super) fn new(address: String, trusted: bool, now: i64) -> Self {
        Self {
            address,
            connected_at: now,
            active_at: now,
            trusted,
            database: 0,
            name: String::new(),
            library: Default::default(),
            last_command: "NULL",
            transaction: None,
        }
    }
}
