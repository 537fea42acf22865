//! Ports: which of its ports a unit wants to be reachable.

use std::collections::BTreeMap;

use serde_json::Value;
use tutti_charm::hook_tool::{PortRange, ToolError};
use tutti_model::agent::OpenPort;

use super::HookContext;

/// Stands for all endpoints.
const ALL: &str = "";

impl HookContext {
    pub(super) fn open_port(
        &mut self,
        ports: &PortRange,
        endpoints: &[String],
    ) -> Result<(), ToolError> {
        self.check_ports("open", ports, endpoints)?;
        if self.ports.contains(&entry(ports, ALL)) {
            return Ok(());
        }
        if endpoints.is_empty() {
            self.ports.retain(|open| !same(open, ports));
            self.ports.insert(entry(ports, ALL));
        } else {
            self.ports.extend(endpoints.iter().map(|endpoint| entry(ports, endpoint)));
        }
        Ok(())
    }

    pub(super) fn close_port(
        &mut self,
        ports: &PortRange,
        endpoints: &[String],
    ) -> Result<(), ToolError> {
        self.check_ports("close", ports, endpoints)?;
        if endpoints.is_empty() {
            self.ports.retain(|open| !same(open, ports));
            return Ok(());
        }
        // Open for all and closed for some is open for the others.
        if self.ports.remove(&entry(ports, ALL)) {
            let others = self.context.bindings.iter();
            self.ports.extend(others.map(|endpoint| entry(ports, endpoint)));
        }
        for endpoint in endpoints {
            self.ports.remove(&entry(ports, endpoint));
        }
        Ok(())
    }

    /// `80/tcp`, or `80/tcp (web, admin)`, sorted by protocol and port.
    pub(super) fn opened_ports(&self, endpoints: bool) -> Value {
        let mut ranges: BTreeMap<(&str, u16, u16), Vec<&str>> = BTreeMap::new();
        for open in &self.ports {
            let range = (open.protocol.as_str(), open.from, open.to);
            ranges.entry(range).or_default().push(&open.endpoint);
        }
        let lines = ranges.into_iter().map(|((protocol, from, to), names)| {
            let ports = PortRange { protocol: protocol.into(), from, to };
            match (endpoints, names.contains(&ALL)) {
                (false, _) => ports.to_string(),
                (true, true) => format!("{ports} (*)"),
                (true, false) => format!("{ports} ({})", names.join(", ")),
            }
        });
        lines.collect()
    }

    pub(super) fn finish_ports(&mut self) {
        let before = self.context.ports.iter().cloned().collect();
        self.changes.open_ports = self.ports.difference(&before).cloned().collect();
        self.changes.close_ports = before.difference(&self.ports).cloned().collect();
    }

    /// Ranges of one unit are equal or apart.
    fn check_ports(
        &self,
        doing: &str,
        ports: &PortRange,
        endpoints: &[String],
    ) -> Result<(), ToolError> {
        let known = |endpoint: &&String| !self.context.bindings.contains(*endpoint);
        if let Some(endpoint) = endpoints.iter().find(known) {
            return Err(ToolError::running(format!(
                "cannot {doing} {ports}: the charm has no endpoint {endpoint:?}"
            )));
        }
        let conflict = self.ports.iter().find(|open| {
            open.protocol == ports.protocol
                && open.from <= ports.to
                && ports.from <= open.to
                && !same(open, ports)
        });
        match conflict {
            None => Ok(()),
            Some(open) => {
                let protocol = open.protocol.clone();
                let other = PortRange { protocol, from: open.from, to: open.to };
                let unit = &self.run.unit;
                Err(ToolError::running(format!(
                    "cannot {doing} {ports} (unit {unit:?}): port range conflicts with {other} \
                     (unit {unit:?})"
                )))
            }
        }
    }
}

fn entry(ports: &PortRange, endpoint: &str) -> OpenPort {
    OpenPort {
        endpoint: endpoint.into(),
        protocol: ports.protocol.clone(),
        from: ports.from,
        to: ports.to,
    }
}

fn same(open: &OpenPort, ports: &PortRange) -> bool {
    open.protocol == ports.protocol && open.from == ports.from && open.to == ports.to
}
