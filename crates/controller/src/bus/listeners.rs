//! Which bus events applications want to hear of, and how far each API has been read.
//!
//! What a charm wants stands in its metadata; it is written down where its application gets the charm, with the place in the API's
//! stream from where on it counts: that moment. So nothing is missed because the bus, or the controller, is away just then.

use std::collections::BTreeSet;

use tutti_charm::metadata::BusEvent;
use tutti_model::api::Life;
use tutti_store::{Json, Tx};

use crate::Error;

/// The API by which workloads raise notices; always read.
pub(super) const NOTICE: &str = "tutti.notice";

/// Rings when other APIs are to be read.
pub(super) const BELL: &str = "bus-listeners";

tutti_store::row! {
    /// A unit that is to get a notice.
    pub(super) struct Addressee {
        /// Its id.
        pub(super) unit: String,
        /// Its model's.
        pub(super) model: String,
    }
}

tutti_store::sql! {
    WANTED = "SELECT api, event FROM bus_listener WHERE application = $1";
    ADD = "INSERT INTO bus_listener (application, api, event) VALUES ($1, $2, $3)";
    REMOVE = "DELETE FROM bus_listener WHERE application = $1";
    BEGIN = "INSERT INTO bus_position (api, position) VALUES ($1, $2) ON CONFLICT (api) DO NOTHING";
    END = "DELETE FROM bus_position \
        WHERE api <> $1 AND api NOT IN (SELECT api FROM bus_listener)";
    POSITIONS = "SELECT api, position FROM bus_position ORDER BY api";
    MOVE = "UPDATE bus_position SET position = $3 WHERE api = $1 AND position = $2";
    LISTENERS = "SELECT DISTINCT u.id, u.model FROM bus_listener l \
        JOIN unit u ON u.application = l.application \
        WHERE l.api = $1 AND (l.event = '*' OR l.event = $2) AND u.life = $3 ORDER BY u.id";
}

/// An application, by id, has a charm that wants these events.
pub(crate) fn set(
    tx: &mut Tx<'_>,
    application: &str,
    wanted: &[BusEvent],
    now: i64,
) -> Result<(), Error> {
    let wanted: BTreeSet<_> =
        wanted.iter().map(|one| (one.api.clone(), one.event.clone())).collect();
    let before: Vec<(String, String)> = tx.all(WANTED, (application,))?;
    if before.into_iter().collect::<BTreeSet<_>>() == wanted {
        return Ok(());
    }
    tx.exec(REMOVE, (application,))?;
    // Ids of entries begin with the bus's time in milliseconds.
    let from = format!("{}-0", now / 1000 - 1);
    for (api, event) in &wanted {
        tx.exec(ADD, (application, api, event))?;
        tx.exec(BEGIN, (api, &from))?;
    }
    tx.exec(END, (NOTICE,))?;
    tx.ring(BELL);
    Ok(())
}

/// APIs to be read, each with the entry after which to go on.
pub(super) fn positions(tx: &mut Tx<'_>) -> Result<Vec<(String, String)>, Error> {
    Ok(tx.all(POSITIONS, ())?)
}

/// An API has been read from one entry to another; false if somebody else has read it, or nobody wants it any more.
pub(super) fn move_on(tx: &mut Tx<'_>, api: &str, from: &str, to: &str) -> Result<bool, Error> {
    Ok(tx.exec(MOVE, (api, from, to))? == 1)
}

/// The units that want to hear of an event.
pub(super) fn of(tx: &mut Tx<'_>, api: &str, event: &str) -> Result<Vec<Addressee>, Error> {
    Ok(tx.all(LISTENERS, (api, event, Json(Life::Alive)))?)
}
