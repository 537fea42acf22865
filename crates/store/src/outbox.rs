//! Reading what transactions announced, and forgetting it.

use crate::{Result, Store};

/// Rows deleted in one transaction, so that pruning never delays other writers by much.
const PRUNE_ROWS_MAX: u64 = 1000;

crate::sql! {
    AFTER = "SELECT seq, at, topic, body FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2";
    LAST = "SELECT seq FROM outbox_last WHERE id = 1";
    OLDEST = "SELECT min(seq) FROM outbox";
    PRUNE = "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE at < $1 ORDER BY at LIMIT $2)";
}

crate::row! {
    /// An event a committed transaction announced.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OutboxEvent {
        /// Its number: grows in commit order, without gaps until pruned.
        pub seq: i64,
        /// When it was written, in microseconds since 1970, UTC.
        pub at: i64,
        /// What [`Tx::outbox`](crate::Tx::outbox) was given.
        pub topic: String,
        /// The event as JSON.
        pub body: String,
    }
}

impl Store {
    /// The events after number `seq`, at most `limit`, oldest first. Start from 0 or from
    /// [`outbox_last`](Self::outbox_last); wait with the bell of [`OUTBOX`](crate::OUTBOX). No event is ever added before one
    /// already seen.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn outbox_after(&self, seq: i64, limit: u32) -> Result<Vec<OutboxEvent>> {
        self.read(move |tx| tx.all(AFTER, (seq, limit))).await
    }

    /// The number of the newest event, 0 before the first.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn outbox_last(&self) -> Result<i64> {
        self.read(|tx| tx.one(LAST, ())).await
    }

    /// What [`outbox_after`](Self::outbox_after) can still start from: with any number from the first of these to the second
    /// nothing is missed. The second is [`outbox_last`](Self::outbox_last).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn outbox_kept(&self) -> Result<(i64, i64)> {
        self.read(|tx| {
            let last: i64 = tx.one(LAST, ())?;
            let oldest: Option<i64> = tx.one(OLDEST, ())?;
            Ok((oldest.map_or(last, |oldest| oldest - 1), last))
        })
        .await
    }

    /// Forgets events written before `before`, in microseconds since 1970; answers how many.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn outbox_prune(&self, before: i64) -> Result<u64> {
        let mut pruned = 0;
        loop {
            let count = self.write(move |tx| tx.exec(PRUNE, (before, PRUNE_ROWS_MAX))).await?;
            pruned += count;
            if count < PRUNE_ROWS_MAX {
                return Ok(pruned);
            }
        }
    }
}
