//! Answers kept for requests with an `Idempotency-Key`.
//!
//! An answer is written in the transaction of the change it tells of: either both are there or
//! neither, so a request that is sent again after a crash never takes effect twice. What was refused
//! has changed nothing, and is not kept.

use tutti_store::Tx;

use crate::Error;

/// How long answers are kept, microseconds: a day.
const KEPT: i64 = 24 * 3600 * 1_000_000;

tutti_store::sql! {
    FIND = "SELECT fingerprint, answer FROM idempotency \
        WHERE model = $1 AND key = $2 AND created >= $3";
    KEEP = "INSERT INTO idempotency (model, key, fingerprint, answer, created) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (model, key) DO UPDATE SET \
        fingerprint = excluded.fingerprint, answer = excluded.answer, created = excluded.created";
    PRUNE = "DELETE FROM idempotency WHERE created < $1";
}

/// Where a key counts: in a model, by its UUID, or (empty) outside of models.
#[derive(Debug)]
pub(crate) struct Key<'k> {
    /// UUID, or empty.
    pub(crate) model: &'k str,
    /// What the client sent.
    pub(crate) key: &'k str,
    /// Digest of the request.
    pub(crate) fingerprint: &'k str,
}

/// The answer this request got before; [`Error::KeyReused`] if it was another request that got one.
pub(crate) fn find(tx: &mut Tx<'_>, key: &Key<'_>, now: i64) -> Result<Option<String>, Error> {
    let found: Option<(String, String)> = tx.maybe(FIND, (key.model, key.key, now - KEPT))?;
    match found {
        Some((fingerprint, _)) if fingerprint != key.fingerprint => Err(Error::KeyReused),
        found => Ok(found.map(|(_, answer)| answer)),
    }
}

/// Keeps the answer of the change this transaction makes.
pub(crate) fn keep(tx: &mut Tx<'_>, key: &Key<'_>, answer: &str, now: i64) -> Result<(), Error> {
    tx.exec(KEEP, (key.model, key.key, key.fingerprint, answer, now))?;
    Ok(())
}

/// Forgets answers that are a day old.
pub(crate) fn prune(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    tx.exec(PRUNE, (now - KEPT,))?;
    Ok(())
}
