//! Bus events become notices.
//!
//! The controller reads the streams of all APIs that charms listen to, without a group: how far it has come stands in the
//! database, and moves in the transaction that writes the notices. So each event becomes a notice once, whoever dies when. Every
//! unit gets every event: charms are used to that from the model's own events, and who leads is a question they can ask.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tutti_bus::{Bus, Record, Start};
use tutti_model::agent::ContextNotice;
use tutti_model::api::Life;
use tutti_store::Tx;

use super::listeners::{self, Addressee};
use crate::http::sentence;
use crate::relations::Touched;
use crate::state::State;
use crate::{Error, clock, models, notices, sequence, units};

/// The most a notice may hold, bytes: an environment variable takes twice that.
const DATA_BYTES_MAX: usize = 64 * 1024;

/// The pause after the bus or the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What has been read of an API.
#[derive(Clone)]
struct Reading {
    api: String,
    from: String,
    to: String,
    events: Vec<Record>,
}

/// What a workload raises.
#[derive(Deserialize)]
struct Raised {
    /// Name or UUID.
    model: String,
    unit: String,
    key: String,
    #[serde(default)]
    data: Map<String, Value>,
}

/// Reads for ever.
pub(super) async fn run(state: &State, bus: &Bus) {
    loop {
        if let Err(error) = follow(state, bus).await {
            tracing::debug!(error = %sentence(&error), "bus events are not read; trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Reads the APIs that are wanted now, until others are.
async fn follow(state: &State, bus: &Bus) -> Result<(), Error> {
    // The bell is taken before the look, so that nothing is missed between the two.
    let mut bell = state.store.bell(listeners::BELL);
    let mut positions: BTreeMap<String, String> =
        state.read(listeners::positions).await?.into_iter().collect();
    let streams = positions.iter().map(|(api, position)| {
        let start = Start::After(position.clone());
        (bus.stream(api, "*"), start)
    });
    let mut following = bus.follow(streams.collect()).await?;
    loop {
        let records = tokio::select! {
            () = bell.wait() => return Ok(()),
            records = following.next() => match records {
                Some(records) => records?,
                None => return Ok(()),
            },
        };
        let readings = readings(records, &mut positions);
        let taken = state.write(move |tx| take(tx, &readings, clock::now())).await?;
        if !taken {
            return Ok(());
        }
    }
}

/// Records by their API, and how far each has come with them.
fn readings(records: Vec<Record>, positions: &mut BTreeMap<String, String>) -> Vec<Reading> {
    let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
    for record in records {
        let Some(position) = positions.get_mut(&record.api) else { continue };
        let reading = readings.entry(record.api.clone()).or_insert_with(|| Reading {
            api: record.api.clone(),
            from: position.clone(),
            to: String::new(),
            events: Vec::new(),
        });
        reading.to.clone_from(&record.native_id);
        position.clone_from(&record.native_id);
        match &record.problem {
            None => reading.events.push(record),
            Some(why) => {
                let (api, id) = (&record.api, &record.native_id);
                tracing::warn!(api, id, why, "a bus event is no notice: it cannot be read");
            }
        }
    }
    readings.into_values().collect()
}

/// Writes the notices; false if somebody else has read some of it.
fn take(tx: &mut Tx<'_>, readings: &[Reading], now: i64) -> Result<bool, Error> {
    let mut models = Touched::new();
    let mut found: Vec<Vec<(ContextNotice, Vec<Addressee>)>> = Vec::new();
    for reading in readings {
        let mut notices = Vec::new();
        for event in &reading.events {
            notices.extend(notice(tx, event)?);
        }
        let addressees = notices.iter().flat_map(|(_, addressees)| addressees);
        models.extend(addressees.map(|addressee| addressee.model.clone()));
        found.push(notices);
    }
    for model in &models {
        sequence::lock_model(tx, model)?;
    }
    let (mut all, mut touched) = (true, Touched::new());
    for (reading, notices) in readings.iter().zip(found) {
        if !listeners::move_on(tx, &reading.api, &reading.from, &reading.to)? {
            all = false;
            continue;
        }
        for (notice, addressees) in notices {
            for Addressee { unit, .. } in addressees {
                notices::add(tx, &unit, &notice, now)?;
                touched.insert(unit);
            }
        }
    }
    if !touched.is_empty() {
        sequence::touch(tx, touched.iter().map(String::as_str))?;
    }
    Ok(all)
}

/// A bus event as a notice, and whom it is for.
fn notice(
    tx: &mut Tx<'_>,
    event: &Record,
) -> Result<Option<(ContextNotice, Vec<Addressee>)>, Error> {
    let id = event.id.clone();
    let (kind, key, data, addressees) = if event.api == listeners::NOTICE {
        let Ok(raised) = serde_json::from_value::<Raised>(event.parameters.clone()) else {
            tracing::warn!(id, "what was raised is no notice: it lacks model, unit or key");
            return Ok(None);
        };
        let addressees = raised_for(tx, &raised)?;
        ("custom", raised.key, Value::Object(raised.data), addressees)
    } else {
        let key = format!("{}.{}", event.api, event.event);
        let addressees = listeners::of(tx, &event.api, &event.event)?;
        ("bus", key, event.parameters.clone(), addressees)
    };
    let data = data.to_string();
    if data.len() + key.len() > DATA_BYTES_MAX || key.contains('\0') || id.contains('\0') {
        tracing::error!(
            id,
            "a bus event is no notice: it holds more than {DATA_BYTES_MAX} bytes, or NUL"
        );
        return Ok(None);
    }
    Ok(Some((ContextNotice { id, kind: kind.to_owned(), key, data }, addressees)))
}

/// The unit that is named, if it is one of this controller's.
fn raised_for(tx: &mut Tx<'_>, raised: &Raised) -> Result<Vec<Addressee>, Error> {
    let found =
        models::find(tx, &raised.model).and_then(|model| units::find(tx, &model, &raised.unit));
    match found {
        Ok(unit) if unit.life.0 == Life::Alive => {
            Ok(vec![Addressee { unit: unit.id, model: unit.model }])
        }
        Ok(_) => Ok(Vec::new()),
        Err(Error::NotFound(why) | Error::Invalid(why)) => {
            tracing::warn!(why, "a notice was raised for nobody");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}
