//! `status` as columns, section by section, as people know them from Juju.
//!
//! Model, applications, units, machines; relations and storage on demand. Sections without rows
//! are left out, names are in natural order, leaders have a star, subordinates are indented under
//! their principal, and a running hook stands in brackets before the message.

use std::collections::BTreeMap;

use tutti_model::api::{
    RelationInfo, Status, StatusApplication, StatusBase, StatusInfo, StatusMachine, StatusUnit,
    StorageInfo,
};

use super::order::{natural, sorted};
use super::word;
use crate::output;
use crate::output::style::{ATTENTION, BAD};
use crate::output::table::{Cell, Table};

/// The longest message shown, in characters.
const MESSAGE: usize = 120;

/// What a caller may ask for besides the usual sections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// For the section of relations.
    pub(crate) relations: Option<Vec<RelationInfo>>,
    /// For the section of storage.
    pub(crate) storage: Option<Vec<StorageInfo>>,
}

/// Draws the document.
pub(crate) fn draw(status: &Status, extra: &Extra) -> String {
    let mut sections = vec![model(status), applications(status), units(status), machines(status)];
    if let Some(list) = &extra.relations {
        sections.push(relations(list, status));
    }
    if let Some(list) = &extra.storage {
        sections.push(storage(list, status));
    }
    let drawn = sections.iter().filter(|section| !section.is_empty()).map(Table::render);
    drawn.collect::<Vec<_>>().join("\n")
}

/// Whether there is nothing to show but the model itself.
pub(crate) fn is_empty(status: &Status) -> bool {
    status.applications.is_empty() && status.machines.is_empty()
}

fn model(status: &Status) -> Table {
    let model = &status.model;
    let cloud = if model.region.is_empty() {
        model.cloud.clone()
    } else {
        format!("{}/{}", model.cloud, model.region)
    };
    let mut headings = vec!["Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"];
    let note = match model.model_status.current.as_str() {
        "" | "available" => "",
        current if model.model_status.message.is_empty() => current,
        _ => &model.model_status.message,
    };
    if !note.is_empty() {
        headings.push("Notes");
    }
    let mut table = Table::with(headings);
    table.row([
        model.name.as_str().into(),
        model.controller.as_str().into(),
        cloud.into(),
        model.version.as_str().into(),
        "unsupported".into(),
        status.controller.timestamp.as_str().into(),
        Cell::styled(note, ATTENTION),
    ]);
    table
}

fn applications(status: &Status) -> Table {
    let caas = status.model.kind == "caas";
    let mut headings = vec!["App", "Version", "Status", "Scale", "Charm", "Channel", "Rev"];
    if caas {
        headings.push("Address");
    }
    headings.extend(["Exposed", "Message"]);
    let mut table = Table::with(headings).right(3).right(6);
    let subordinate_units = count_subordinates(status);
    for (name, application) in sorted(&status.applications) {
        if !application.status_error.is_empty() {
            table.row([
                name.into(),
                "".into(),
                Cell::status("error"),
                "".into(),
                Cell::styled(&application.status_error, BAD),
            ]);
            continue;
        }
        let info = &application.application_status;
        let mut row = vec![
            name.into(),
            application.version.as_str().into(),
            Cell::status(word(info)),
            scale(application, subordinate_units.get(name)),
            application.charm_name.as_str().into(),
            application.charm_channel.as_str().into(),
            application.charm_rev.to_string().into(),
        ];
        if caas {
            row.push(application.address.as_str().into());
        }
        row.push(if application.exposed { "yes" } else { "no" }.into());
        row.push(message(&info.message).into());
        table.row(row);
    }
    table
}

/// Units of subordinate applications, which stand under other applications' units.
fn count_subordinates(status: &Status) -> BTreeMap<&str, (u32, u32)> {
    let mut counts = BTreeMap::new();
    for application in status.applications.values() {
        for unit in application.units.values() {
            for (name, subordinate) in &unit.subordinates {
                let of = name.split('/').next().unwrap_or_default();
                let (running, all) = counts.entry(of).or_insert((0, 0));
                *running += u32::from(is_running(subordinate));
                *all += 1;
            }
        }
    }
    counts
}

/// `2`, or `1/2` while fewer units run than are wanted.
fn scale(application: &StatusApplication, subordinate: Option<&(u32, u32)>) -> Cell {
    let count = |units: usize| u32::try_from(units).unwrap_or(u32::MAX);
    let running = count(application.units.values().filter(|unit| is_running(unit)).count());
    let wanted = application.scale.max(count(application.units.len()));
    let (running, wanted) = subordinate.copied().unwrap_or((running, wanted));
    if running == wanted {
        wanted.to_string().into()
    } else {
        Cell::styled(format!("{running}/{wanted}"), ATTENTION)
    }
}

fn is_running(unit: &StatusUnit) -> bool {
    matches!(unit.juju_status.current.as_str(), "idle" | "executing")
}

fn units(status: &Status) -> Table {
    let caas = status.model.kind == "caas";
    let mut table = if caas {
        Table::new(["Unit", "Workload", "Agent", "Address", "Ports", "Message"])
    } else {
        Table::new(["Unit", "Workload", "Agent", "Machine", "Public address", "Ports", "Message"])
    };
    let all = status.applications.values().flat_map(|application| &application.units);
    for (name, unit) in sorted(all) {
        unit_row(&mut table, name, unit, "", caas);
        for (name, subordinate) in sorted(&unit.subordinates) {
            unit_row(&mut table, name, subordinate, "  ", caas);
        }
    }
    table
}

fn unit_row(table: &mut Table, name: &str, unit: &StatusUnit, indent: &str, caas: bool) {
    let star = if unit.leader { "*" } else { "" };
    let mut row = vec![
        format!("{indent}{name}{star}").into(),
        Cell::status(word(&unit.workload_status)),
        Cell::status(word(&unit.juju_status)),
    ];
    if caas {
        row.push(unit.address.as_str().into());
    } else {
        row.push(unit.machine.as_str().into());
        row.push(unit.public_address.as_str().into());
    }
    row.push(ports(&unit.open_ports).into());
    row.push(unit_message(unit).into());
    table.row(row);
}

/// The workload's message, before it what the agent is doing: `(config-changed) ready`.
fn unit_message(unit: &StatusUnit) -> String {
    let text = message(&unit.workload_status.message);
    match doing(&unit.juju_status) {
        Some(doing) if text.is_empty() => format!("({doing})"),
        Some(doing) => format!("({doing}) {text}"),
        None => text,
    }
}

/// The hook or action an agent says it runs.
fn doing(agent: &StatusInfo) -> Option<&str> {
    if agent.current != "executing" {
        return None;
    }
    let text = agent.message.strip_prefix("running ")?;
    if let Some(action) = text.strip_prefix("action ") {
        return Some(action);
    }
    match text.split_once(" hook") {
        Some((hook, rest)) if rest.is_empty() || rest.starts_with(" for ") => Some(hook),
        _ => Some(text),
    }
}

/// `80,443/tcp 53/udp`: ports of one protocol together.
pub(super) fn ports(open: &[String]) -> String {
    let mut protocols: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut words = Vec::new();
    for port in open {
        match port.split_once('/') {
            Some((numbers, protocol)) => protocols.entry(protocol).or_default().push(numbers),
            None => words.push(port.clone()),
        }
    }
    for (protocol, mut numbers) in protocols {
        numbers.sort_by(|a, b| natural(a, b));
        words.push(format!("{}/{protocol}", numbers.join(",")));
    }
    words.join(" ")
}

/// One line, cut when it is long.
fn message(text: &str) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= MESSAGE {
        return line;
    }
    let kept: String = line.chars().take(MESSAGE - 3).collect();
    format!("{}...", kept.trim_end())
}

/// The section of machines.
pub(crate) fn machines(status: &Status) -> Table {
    let mut table = Table::new(["Machine", "State", "Address", "Inst id", "Base", "AZ", "Message"]);
    for (number, machine) in sorted(&status.machines) {
        table.row([
            number.into(),
            Cell::status(word(&machine.juju_status)),
            machine.dns_name.as_str().into(),
            machine.instance_id.as_str().into(),
            base(machine.base.as_ref()).into(),
            zone(machine).into(),
            message(&machine.machine_status.message).into(),
        ]);
    }
    table
}

fn base(base: Option<&StatusBase>) -> String {
    base.map(|base| format!("{}@{}", base.name, base.channel)).unwrap_or_default()
}

fn zone(machine: &StatusMachine) -> &str {
    let mut words = machine.hardware.split_whitespace();
    words.find_map(|word| word.strip_prefix("availability-zone=")).unwrap_or_default()
}

fn relations(list: &[RelationInfo], status: &Status) -> Table {
    let mut table =
        Table::new(["Integration provider", "Requirer", "Interface", "Type", "Message"]);
    let mut rows: Vec<&RelationInfo> = list.iter().filter(|one| is_shown(one, status)).collect();
    rows.sort_by(|a, b| natural(&a.provider, &b.provider).then(natural(&a.requirer, &b.requirer)));
    for relation in rows {
        let requirer =
            if relation.requirer.is_empty() { &relation.provider } else { &relation.requirer };
        let status = relation.status.as_str();
        table.row([
            relation.provider.as_str().into(),
            requirer.as_str().into(),
            relation.interface.as_str().into(),
            relation.kind.as_str().into(),
            if status == "joined" { "".into() } else { Cell::status(status) },
        ]);
    }
    table
}

/// Whether both sides of a relation are shown.
fn is_shown(relation: &RelationInfo, status: &Status) -> bool {
    [&relation.provider, &relation.requirer].into_iter().all(|side| {
        let application = side.split(':').next().unwrap_or_default();
        application.is_empty() || status.applications.contains_key(application)
    })
}

fn storage(list: &[StorageInfo], status: &Status) -> Table {
    let mut table = Table::new([
        "Storage Unit",
        "Storage ID",
        "Type",
        "Mountpoint",
        "Size",
        "Status",
        "Message",
    ]);
    let shown: Vec<&str> = super::units(status).map(|(name, _)| name).collect();
    let mut rows: Vec<&StorageInfo> = list
        .iter()
        .filter(|one| one.unit.is_empty() || shown.contains(&one.unit.as_str()))
        .collect();
    rows.sort_by(|a, b| natural(&a.unit, &b.unit).then(natural(&a.id, &b.id)));
    for one in rows {
        let info = status.storage.storage.get(&one.id).map(|instance| &instance.status);
        table.row([
            one.unit.as_str().into(),
            one.id.as_str().into(),
            one.kind.as_str().into(),
            one.location.as_str().into(),
            output::mebibytes(one.size_mib).into(),
            Cell::status(&one.status),
            info.map(|info| message(&info.message)).unwrap_or_default().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests;
