//! Locks and numbers: what makes transactions of one model serial and changes ordered.

use tutti_store::{Json, Tx};

use crate::Error;

tutti_store::sql! {
    LOCK_MODEL = "UPDATE model SET revision = revision + 1 WHERE id = $1";
    NEXT = "UPDATE sequence SET value = value + $2 WHERE name = $1 RETURNING value";
    TOUCH_UNITS = "UPDATE unit SET generation = $2 \
        WHERE id IN (SELECT value FROM json_each($1))";
    NEXT_COUNTER = "INSERT INTO counter (model, name, next) VALUES ($1, $2, 1) \
        ON CONFLICT (model, name) DO UPDATE SET next = counter.next + 1 RETURNING next";
}

/// Bell that rings when a unit has something new; agents' long polls wait for it.
pub const UNITS_BELL: &str = "units";

/// Makes this transaction the only writer of the model until it ends. First statement of every
/// mutation.
pub fn lock_model(tx: &mut Tx<'_>, model: &str) -> Result<(), Error> {
    match tx.exec(LOCK_MODEL, (model,))? {
        0 => Err(Error::NotFound(format!("model {model} not found"))),
        _ => Ok(()),
    }
}

/// Draws `count` numbers of a named sequence and returns the last.
pub fn next(tx: &mut Tx<'_>, name: &str, count: i64) -> Result<i64, Error> {
    Ok(tx.one(NEXT, (name, count))?)
}

/// Draws the next number, from 0, of a counter that belongs to a model.
pub fn next_counter(tx: &mut Tx<'_>, model: &str, name: &str) -> Result<i64, Error> {
    let next: i64 = tx.one(NEXT_COUNTER, (model, name))?;
    Ok(next - 1)
}

/// Gives these units (by id) a new desired generation and wakes their agents. The number is drawn
/// under a lock that is held until the commit, so generations become visible in order; every writer
/// waits for that lock, so only the flow that needs the number comes after it. Returns the
/// generation.
pub fn touch<'u>(tx: &mut Tx<'_>, units: impl IntoIterator<Item = &'u str>) -> Result<i64, Error> {
    let generation = next(tx, "generation", 1)?;
    let units: Vec<&str> = units.into_iter().collect();
    if !units.is_empty() {
        tx.exec(TOUCH_UNITS, (Json(units), generation))?;
    }
    tx.ring(UNITS_BELL);
    Ok(generation)
}
