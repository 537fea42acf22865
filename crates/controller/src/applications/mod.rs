//! Applications: charms deployed under a name.
//!
//! - [`deploy`]: from a request to records, with every reason at once if it is refused;
//! - [`settings`]: changes of one thing; [`config`]: options and trust; [`resources`]: files and
//!   images delivered apart from the charm;
//! - [`resync`]: units look again; [`refresh`]: to another revision; [`scale`]: more and fewer units; [`remove`]: the end.
//!
//! What operators decide is written with [`sql::update`]; leadership and statuses have their own
//! statements, since agents write them.

mod api;
mod config;
mod deploy;
mod refresh;
mod remove;
mod resources;
mod resync;
mod scale;
mod settings;
mod show;
pub(crate) mod sql;

use std::collections::BTreeSet;

use tutti_model::api::Life;
use tutti_store::Tx;

use crate::models::Model;
use crate::sequence::{self, UNITS_BELL};
use crate::{Error, events};

pub(crate) use api::routes;
pub(crate) use remove::{finish_if_done, remove};
pub(crate) use resync::repair;
pub(crate) use scale::remove as remove_units;
pub(crate) use show::{config as config_shown, info, progress, progress_of};
pub(crate) use sql::{Application, Resource};

/// The application of that name.
pub(crate) fn find(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<Application, Error> {
    tx.maybe(sql::BY_NAME, (&model.id, name))?
        .ok_or_else(|| Error::NotFound(format!("application \"{name}\" not found")))
}

/// As [`find`], and refuses one that is being removed.
pub(crate) fn find_alive(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<Application, Error> {
    let application = find(tx, model, name)?;
    match application.life.0 {
        Life::Alive => Ok(application),
        _ => Err(Error::Deleting(format!("application \"{name}\" is being removed"))),
    }
}

/// The application with this id.
pub(crate) fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Application>, Error> {
    Ok(tx.maybe(sql::BY_ID, (id,))?)
}

/// Every application of a model, by name.
pub(crate) fn list(tx: &mut Tx<'_>, model: &Model) -> Result<Vec<Application>, Error> {
    Ok(tx.all(sql::OF_MODEL, (&model.id,))?)
}

/// The resources of an application, by name.
pub(crate) fn resources(tx: &mut Tx<'_>, application: &str) -> Result<Vec<Resource>, Error> {
    Ok(tx.all(sql::RESOURCES, (application,))?)
}

/// The digests of all charms and resources that applications use.
pub(crate) fn artifacts(tx: &mut Tx<'_>) -> Result<BTreeSet<String>, Error> {
    Ok(tx.all::<String>(sql::ARTIFACTS, ())?.into_iter().collect())
}

/// Gives every unit of these applications (by id) something new to look at; see
/// [`sequence::touch`].
pub(crate) fn touch_all<'a>(
    tx: &mut Tx<'_>,
    applications: impl IntoIterator<Item = &'a str>,
) -> Result<i64, Error> {
    let generation = sequence::next(tx, "generation", 1)?;
    for application in applications {
        tx.exec(sql::TOUCH_UNITS, (application, generation))?;
    }
    tx.ring(UNITS_BELL);
    Ok(generation)
}

/// The leader sets the application's status; it sticks.
pub(crate) fn set_status(
    tx: &mut Tx<'_>,
    application: &str,
    status: &str,
    message: &str,
    now: i64,
) -> Result<(), Error> {
    tx.exec(sql::SET_STATUS, (application, status, message, now, true))?;
    Ok(())
}

/// A unit tells the version of its workload.
pub(crate) fn set_workload_version(
    tx: &mut Tx<'_>,
    application: &str,
    version: &str,
) -> Result<(), Error> {
    tx.exec(sql::SET_WORKLOAD_VERSION, (application, version))?;
    Ok(())
}

/// Writes an accepted change: the application's next generation, and the news of it.
pub(crate) fn changed(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &mut Application,
) -> Result<(), Error> {
    application.generation += 1;
    sql::update(tx, application)?;
    events::application(tx, model, &application.name, "changed")
}
