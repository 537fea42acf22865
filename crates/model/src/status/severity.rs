//! Which status counts.

use crate::api::ModelKind;

use super::{StatusValue, UnitRow};

/// How much a workload's status outweighs others (Juju: `core/status`); 0 for other words.
#[must_use]
pub fn severity(status: &str) -> u32 {
    match status {
        "error" => 100,
        "blocked" => 90,
        "maintenance" => 80,
        "waiting" => 70,
        "active" => 60,
        "terminated" => 50,
        "unknown" => 40,
        _ => 0,
    }
}

/// The status of an application its leader has not set: that of its worst unit, the first of
/// equals. Without units it is `unknown`, on Kubernetes-like models `waiting` while units are
/// wanted.
pub fn worst<'a>(
    units: impl IntoIterator<Item = &'a StatusValue>,
    kind: ModelKind,
    scale: u32,
    created: i64,
) -> StatusValue {
    let mut found: Option<&StatusValue> = None;
    for status in units {
        if found.is_none_or(|worst| severity(&status.status) > severity(&worst.status)) {
            found = Some(status);
        }
    }
    found.cloned().unwrap_or_else(|| {
        let scaling = kind == ModelKind::Caas && scale > 0;
        StatusValue {
            status: if scaling { "waiting" } else { "unknown" }.into(),
            message: if scaling { "waiting for units to settle down" } else { "" }.into(),
            since: created,
        }
    })
}

/// A unit's workload and agent status as they are shown.
///
/// A hook in error shows as the workload's, with an idle agent. A lost agent makes everything but
/// an error or an end unknown. A unit that has something new to handle is executing, not idle.
#[must_use]
pub fn shown(unit: &UnitRow) -> (StatusValue, StatusValue) {
    let mut workload = unit.workload.clone();
    let mut agent = unit.agent.clone();
    if agent.status == "error" {
        workload = std::mem::take(&mut agent);
        agent.status = "idle".into();
        agent.since = workload.since;
    } else if agent.status == "idle" && unit.observed_generation < unit.generation {
        agent.status = "executing".into();
        agent.message = String::new();
    }
    if unit.lost {
        agent = StatusValue {
            status: "lost".into(),
            message: "agent is not communicating with the server".into(),
            since: agent.since,
        };
        if workload.status != "error" && workload.status != "terminated" {
            workload.status = "unknown".into();
            workload.message = format!("agent lost, see 'juju show-status-log {}'", unit.name);
        }
    }
    (workload, agent)
}
