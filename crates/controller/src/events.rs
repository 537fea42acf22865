//! What the controller announces to those who follow `GET /v1/events`.
//!
//! An event says what changed, not what it became: readers fetch what they need.

use serde_json::json;
use tutti_store::Tx;

use crate::Error;
use crate::models::Model;

/// A model was created, changed or removed.
pub(crate) fn model(tx: &mut Tx<'_>, model: &Model, what: &str) -> Result<(), Error> {
    Ok(tx.outbox("tutti.model", &json!({"model": model.name, "uuid": model.id, "event": what}))?)
}

/// An application was created, changed or removed.
pub(crate) fn application(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &str,
    what: &str,
) -> Result<(), Error> {
    let event = json!({"model": model.name, "application": application, "event": what});
    Ok(tx.outbox("tutti.application", &event)?)
}

/// A unit was created, changed or removed.
pub(crate) fn unit(tx: &mut Tx<'_>, model: &Model, unit: &str, what: &str) -> Result<(), Error> {
    Ok(tx.outbox("tutti.unit", &json!({"model": model.name, "unit": unit, "event": what}))?)
}

/// A machine was created or removed.
pub(crate) fn machine(
    tx: &mut Tx<'_>,
    model: &Model,
    number: i64,
    what: &str,
) -> Result<(), Error> {
    Ok(tx
        .outbox("tutti.machine", &json!({"model": model.name, "machine": number, "event": what}))?)
}
