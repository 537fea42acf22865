//! Rows put together.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::Offset;

use crate::api::{
    Life, ModelKind, Status, StatusApplication, StatusAttachment, StatusAttachments, StatusBase,
    StatusController, StatusInfo, StatusMachine, StatusModel, StatusRelation, StatusStorage,
    StatusStorageInstance, StatusUnit,
};

use super::{
    ApplicationRow, MachineRow, ModelRow, StatusRows, StatusValue, StorageRow, UnitRow, clock_time,
    open_ports, shown, status_time, worst,
};

/// Builds the status document, with times at this offset from UTC.
#[must_use]
pub fn build(rows: &StatusRows, offset: Offset) -> Status {
    let shared = Shared { version: &rows.model.version, offset };
    let mut applications = Applications::new(rows, &shared);
    applications.add_units();
    applications.add_relations();
    Status {
        model: shared.model(&rows.model),
        machines: rows
            .machines
            .iter()
            .map(|row| (row.number.clone(), shared.machine(row)))
            .collect(),
        applications: applications.finish(),
        storage: StatusStorage {
            storage: rows.storage.iter().map(|row| (row.id.clone(), shared.storage(row))).collect(),
        },
        controller: StatusController { timestamp: clock_time(rows.now, offset) },
    }
}

/// What every part needs.
struct Shared<'a> {
    version: &'a str,
    offset: Offset,
}

impl Shared<'_> {
    fn info(&self, value: &StatusValue) -> StatusInfo {
        StatusInfo {
            current: value.status.clone(),
            message: value.message.clone(),
            since: status_time(value.since, self.offset),
            ..StatusInfo::default()
        }
    }

    /// An agent's status, with its version and life.
    fn agent(&self, value: &StatusValue, life: Life) -> StatusInfo {
        StatusInfo {
            version: self.version.to_owned(),
            life: life_text(life).to_owned(),
            ..self.info(value)
        }
    }

    fn model(&self, row: &ModelRow) -> StatusModel {
        let status = if row.life == Life::Alive { "available" } else { "destroying" };
        let status = StatusValue { status: status.into(), since: row.since, ..Default::default() };
        StatusModel {
            name: row.name.clone(),
            kind: match row.kind {
                ModelKind::Iaas => "iaas".into(),
                ModelKind::Caas => "caas".into(),
            },
            controller: row.controller.clone(),
            cloud: row.cloud.clone(),
            region: row.region.clone(),
            version: row.version.clone(),
            model_status: self.info(&status),
        }
    }

    fn machine(&self, row: &MachineRow) -> StatusMachine {
        let applied = StatusValue {
            status: "applied".into(),
            since: row.instance.since,
            ..Default::default()
        };
        StatusMachine {
            juju_status: self.agent(&row.agent, row.life),
            hostname: row.hostname.clone(),
            dns_name: row.addresses.first().cloned().unwrap_or_default(),
            ip_addresses: row.addresses.clone(),
            instance_id: row.instance_id.clone(),
            machine_status: self.info(&row.instance),
            modification_status: self.info(&applied),
            base: base(&row.base),
            network_interfaces: row.interfaces.clone(),
            constraints: row.constraints.clone(),
            hardware: row.hardware.clone(),
            sync_state: row.sync_state.clone(),
        }
    }

    fn storage(&self, row: &StorageRow) -> StatusStorageInstance {
        let attachment = StatusAttachment {
            machine: row.machine.clone(),
            location: row.location.clone(),
            life: match row.life {
                Life::Alive => "alive".into(),
                ending => life_text(ending).into(),
            },
        };
        StatusStorageInstance {
            kind: row.kind.clone(),
            status: self.info(&row.status),
            persistent: row.persistent,
            life: life_text(row.life).into(),
            attachments: (!row.unit.is_empty())
                .then(|| StatusAttachments { units: [(row.unit.clone(), attachment)].into() }),
        }
    }

    fn application(&self, row: &ApplicationRow) -> StatusApplication {
        if !row.error.is_empty() {
            return StatusApplication { status_error: row.error.clone(), ..Default::default() };
        }
        StatusApplication {
            charm: row.charm.clone(),
            base: base(&row.base),
            charm_origin: row.charm_origin.clone(),
            charm_name: row.charm_name.clone(),
            charm_rev: row.charm_revision,
            charm_channel: row.charm_channel.clone(),
            charm_version: row.charm_version.clone(),
            scale: row.scale,
            provider_id: row.provider_id.clone(),
            address: row.address.clone(),
            exposed: row.exposed,
            life: life_text(row.life).into(),
            version: row.workload_version.clone(),
            endpoint_bindings: row.bindings.clone(),
            sync: row.sync.clone(),
            ..StatusApplication::default()
        }
    }
}

/// One application while it is put together.
struct Building<'a> {
    row: &'a ApplicationRow,
    status: StatusApplication,
    workloads: Vec<StatusValue>,
}

struct Applications<'a> {
    rows: &'a StatusRows,
    shared: &'a Shared<'a>,
    by_name: HashMap<&'a str, Building<'a>>,
}

impl<'a> Applications<'a> {
    fn new(rows: &'a StatusRows, shared: &'a Shared<'a>) -> Self {
        let building = |row: &'a ApplicationRow| Building {
            row,
            status: shared.application(row),
            workloads: Vec::new(),
        };
        let by_name =
            rows.applications.iter().map(|row| (row.name.as_str(), building(row))).collect();
        Self { rows, shared, by_name }
    }

    /// Units go to their application, subordinates to the unit they live beside.
    fn add_units(&mut self) {
        let mut beside: HashMap<&str, BTreeMap<String, StatusUnit>> = HashMap::new();
        let mut principals = Vec::new();
        for row in &self.rows.units {
            let Some(unit) = self.unit(row) else { continue };
            match &row.principal {
                Some(principal) => {
                    beside.entry(principal).or_default().insert(row.name.clone(), unit);
                }
                None => principals.push((row, unit)),
            }
        }
        for (row, mut unit) in principals {
            unit.subordinates = beside.remove(row.name.as_str()).unwrap_or_default();
            if let Some(application) = self.by_name.get_mut(row.application.as_str()) {
                application.status.units.insert(row.name.clone(), unit);
            }
        }
    }

    fn unit(&mut self, row: &UnitRow) -> Option<StatusUnit> {
        let application = self.by_name.get_mut(row.application.as_str())?;
        let (workload, agent) = shown(row);
        let upgrading = !row.charm.is_empty() && row.charm != application.row.charm;
        let unit = StatusUnit {
            workload_status: self.shared.info(&workload),
            juju_status: self.shared.agent(&agent, row.life),
            leader: application.row.leader.as_ref() == Some(&row.name),
            upgrading_from: if upgrading { row.charm.clone() } else { String::new() },
            machine: row.machine.clone(),
            open_ports: open_ports(&row.ports),
            public_address: row.address.clone(),
            address: row.address.clone(),
            provider_id: row.provider_id.clone(),
            subordinates: BTreeMap::new(),
            deferred: row.deferred,
            sync_state: row.sync_state.clone(),
        };
        application.workloads.push(workload);
        Some(unit)
    }

    fn add_relations(&mut self) {
        for relation in &self.rows.relations {
            let Some(last) = relation.ends.last() else { continue };
            for (index, (application, endpoint)) in relation.ends.iter().enumerate() {
                // The partner is the other end, for peers the application itself.
                let partner = if index == 0 { &last.0 } else { &relation.ends[0].0 };
                let principal =
                    self.by_name.get(partner.as_str()).map(|other| !other.row.subordinate);
                let Some(building) = self.by_name.get_mut(application.as_str()) else { continue };
                if relation.scope == "container"
                    && building.row.subordinate
                    && principal == Some(true)
                {
                    building.status.subordinate_to.push(partner.clone());
                }
                building.status.relations.entry(endpoint.clone()).or_default().push(
                    StatusRelation {
                        related_application: partner.clone(),
                        interface: relation.interface.clone(),
                        scope: relation.scope.clone(),
                    },
                );
            }
        }
    }

    fn finish(self) -> BTreeMap<String, StatusApplication> {
        let (shared, kind) = (self.shared, self.rows.model.kind);
        let finish = |building: Building<'_>| {
            let Building { row, mut status, workloads } = building;
            let value = (row.status.clone())
                .unwrap_or_else(|| worst(&workloads, kind, row.scale, row.created));
            if row.error.is_empty() {
                status.application_status = shared.info(&value);
            }
            for partners in status.relations.values_mut() {
                partners
                    .sort_by(|one, other| one.related_application.cmp(&other.related_application));
            }
            status.subordinate_to.sort();
            status.subordinate_to.dedup();
            status
        };
        self.by_name
            .into_iter()
            .map(|(name, building)| (name.to_owned(), finish(building)))
            .collect()
    }
}

/// `dying` or `dead`; empty while alive.
fn life_text(life: Life) -> &'static str {
    match life {
        Life::Alive => "",
        Life::Dying => "dying",
        Life::Dead => "dead",
    }
}

fn base(text: &str) -> Option<StatusBase> {
    let (name, channel) = text.split_once('@')?;
    Some(StatusBase { name: name.to_owned(), channel: channel.to_owned() })
}
