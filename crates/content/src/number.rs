//! Ids: dense numbers from one counter.
//!
//! Taking one locks the counter's row until the commit. So whoever writes units does it under that lock, and two writers
//! never insert the same unit at the same time, on either engine.

use tutti_store::{Tx, sql};

use crate::Error;

sql! {
    TAKE = "UPDATE content_number SET next = next + $1 WHERE id = 1 RETURNING next";
}

/// The first of `count` numbers that nothing else gets.
pub(crate) fn take(tx: &mut Tx<'_>, count: usize) -> Result<i64, Error> {
    let next: i64 = tx.one(TAKE, (count,))?;
    Ok(next - i64::try_from(count).unwrap_or(i64::MAX))
}
