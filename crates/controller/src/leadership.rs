//! Leadership: the one unit that speaks for its application.
//!
//! A leader is chosen when an application gets its first unit, and again the moment the leader's
//! records go; nothing has to lapse. Operators can name another one. What only a leader may write
//! is checked in the transaction that applies it.

use std::collections::BTreeMap;

use tutti_model::api::Life;
use tutti_model::leader::choose_leader;
use tutti_store::{Json, Tx};

use crate::applications::Application;
use crate::models::Model;
use crate::relations::Touched;
use crate::units::{self, Unit};
use crate::{Error, events};

tutti_store::sql! {
    LEADER = "SELECT leader FROM application WHERE id = $1";
    CANDIDATES = "SELECT id, number, life FROM unit WHERE application = $1";
    RESIGN = "UPDATE application SET leader = NULL WHERE id = $1 AND leader = $2";
    CHOOSE = "UPDATE application SET leader = $2 WHERE id = $1 AND (leader IS NULL OR leader <> $2)";
    SETTINGS = "SELECT leader_settings FROM application WHERE id = $1";
    SET_SETTINGS = "UPDATE application SET leader_settings = $2, \
        leader_settings_version = leader_settings_version + 1 WHERE id = $1";
    OTHERS = "SELECT id FROM unit WHERE application = $1 AND id <> $2";
}

/// Makes a unit the leader if the application (by id) has units and nobody leads; answers its id.
pub(crate) fn elect_if_none(tx: &mut Tx<'_>, application: &str) -> Result<Option<String>, Error> {
    if tx.one::<Option<String>>(LEADER, (application,))?.is_some() {
        return Ok(None);
    }
    let units: Vec<(String, i64, Json<Life>)> = tx.all(CANDIDATES, (application,))?;
    let candidates: Vec<_> = units.iter().map(|(_, number, life)| (*number, life.0)).collect();
    let chosen = choose_leader(&candidates).and_then(|place| units.into_iter().nth(place));
    let Some((leader, ..)) = chosen else { return Ok(None) };
    tx.exec(CHOOSE, (application, &leader))?;
    Ok(Some(leader))
}

/// A unit's records are gone: if it led, another one leads at once.
pub(crate) fn unit_gone(
    tx: &mut Tx<'_>,
    application: &str,
    unit: &str,
    touched: &mut Touched,
) -> Result<(), Error> {
    if tx.exec(RESIGN, (application, unit))? > 0 {
        touched.extend(elect_if_none(tx, application)?);
    }
    Ok(())
}

/// An operator names the leader; answers whether that changed anything.
pub(crate) fn choose(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    unit: &str,
    touched: &mut Touched,
) -> Result<bool, Error> {
    let unit: Unit = units::find(tx, model, unit)?;
    if unit.application != application.id {
        let text = format!("unit \"{}\" is not one of application {}", unit.name, application.name);
        return Err(Error::Invalid(text));
    }
    if unit.life.0 != Life::Alive {
        return Err(Error::Deleting(format!("unit \"{}\" is being removed", unit.name)));
    }
    if tx.exec(CHOOSE, (&application.id, &unit.id))? == 0 {
        return Ok(false);
    }
    touched.extend(application.leader.clone());
    touched.insert(unit.id.clone());
    events::application(tx, model, &application.name, "leader")?;
    Ok(true)
}

/// The leader writes leader settings: a value sets, an empty string deletes. The other units of
/// the application hear of a real change.
pub(crate) fn write_settings(
    tx: &mut Tx<'_>,
    application: &str,
    leader: &str,
    changes: &BTreeMap<String, String>,
    touched: &mut Touched,
) -> Result<(), Error> {
    let Json(before): Json<BTreeMap<String, String>> = tx.one(SETTINGS, (application,))?;
    let mut settings = before.clone();
    for (key, value) in changes {
        if value.is_empty() {
            settings.remove(key);
        } else {
            settings.insert(key.clone(), value.clone());
        }
    }
    if settings != before {
        tx.exec(SET_SETTINGS, (application, Json(settings)))?;
        touched.extend(tx.all::<String>(OTHERS, (application, leader))?);
    }
    Ok(())
}
