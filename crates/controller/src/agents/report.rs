//! Reports: effects of hooks that are not buffered and never rolled back.

use tutti_model::agent::{ContextStatus, Report};
use tutti_store::Tx;

use super::sql;
use crate::logs::{self, printable};
use crate::models::Model;
use crate::relations::{self, Touched};
use crate::units::{self, Unit};
use crate::{Error, applications, deferred, events, leadership, operations};

/// Applies reports in their order. What only the leader may report is left out once the unit does
/// not lead any more: the hook has been told when it began.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    model: &Model,
    unit: &Unit,
    reports: &[Report],
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    for report in reports {
        match report {
            Report::Status { application: false, status } => {
                set_workload(tx, model, unit, status, now)?;
            }
            Report::Status { application: true, status } => {
                if relations::member(tx, &unit.id)?.leader {
                    let (word, message) = (&status.status, printable(&status.message));
                    applications::set_status(tx, &unit.application, word, &message, now)?;
                    let name = application_name(unit);
                    events::application(tx, model, name, "status")?;
                }
            }
            Report::WorkloadVersion { version } => {
                let version = printable(version);
                tx.exec(sql::SET_WORKLOAD_VERSION, (&unit.id, &version))?;
                applications::set_workload_version(tx, &unit.application, &version)?;
            }
            Report::Log { lines } => {
                logs::append(tx, &unit.model, &logs::unit_entity(&unit.name), lines)?;
            }
            Report::TaskLog { task, message } => {
                operations::log(tx, &unit.id, *task, &printable(message), now)?;
            }
            Report::LeaderSettings { settings } => {
                if relations::member(tx, &unit.id)?.leader {
                    let application = &unit.application;
                    leadership::write_settings(tx, application, &unit.id, settings, touched)?;
                }
            }
            Report::Deferred { notices } => deferred::replace(tx, &unit.id, notices)?,
        }
    }
    Ok(())
}

/// Sets the workload's status and announces a change.
pub(super) fn set_workload(
    tx: &mut Tx<'_>,
    model: &Model,
    unit: &Unit,
    status: &ContextStatus,
    now: i64,
) -> Result<(), Error> {
    let message = printable(&status.message);
    units::set_workload_status(tx, &unit.id, &status.status, &message, now)?;
    if (&unit.workload_status, &unit.workload_message) != (&status.status, &message) {
        events::unit(tx, model, &unit.name, "status")?;
    }
    Ok(())
}

/// Sets the agent's status and announces a change.
pub(super) fn set_agent(
    tx: &mut Tx<'_>,
    model: &Model,
    unit: &Unit,
    status: &ContextStatus,
    now: i64,
) -> Result<(), Error> {
    let message = printable(&status.message);
    units::set_agent_status(tx, &unit.id, &status.status, &message, now)?;
    if unit.agent_status != status.status {
        events::unit(tx, model, &unit.name, "status")?;
    }
    Ok(())
}

fn application_name(unit: &Unit) -> &str {
    unit.name.split('/').next().unwrap_or(&unit.name)
}
