//! Configuration, leadership, addresses and everything else that is read as it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tutti_charm::hook_tool::{NetworkPart, RelationArgument, ToolError};
use tutti_model::agent::Report;

use super::context::{after, refused};
use super::{Effect, HookContext, Reply};

/// The network the loopback interface of every Linux machine has.
const LOOPBACK: (&str, &str, &str) = ("lo", "00:00:00:00:00:00", "127.0.0.0/8");

/// An endpoint every charm has without declaring it.
const IMPLICIT_ENDPOINT: &str = "juju-info";

impl HookContext {
    /// Juju drops options without a value unless `--all` asks for them.
    pub(super) fn config_get(&self, key: Option<String>, all: bool) -> Value {
        match key {
            Some(key) => self.context.config.get(&key).cloned().unwrap_or_default(),
            None => {
                let options = self.context.config.iter();
                let options = options.filter(|(_, value)| all || !value.is_null());
                Value::Object(options.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
        }
    }

    pub(super) fn leader_get(&self, key: Option<String>) -> Value {
        match key {
            Some(key) => {
                let value = self.context.leader_settings.get(&key);
                value.map_or(Value::Null, |value| value.as_str().into())
            }
            None => json!(self.context.leader_settings),
        }
    }

    pub(super) fn leader_set(&mut self, settings: BTreeMap<String, String>) -> Reply {
        if !self.context.leader {
            return refused(ToolError::running(
                "cannot write leadership settings: this unit is not the leader",
            ));
        }
        if let Err(error) = self.check_size(&settings) {
            return refused(error);
        }
        for (key, value) in &settings {
            if value.is_empty() {
                self.context.leader_settings.remove(key);
            } else {
                self.context.leader_settings.insert(key.clone(), value.clone());
            }
        }
        after(Effect::Report(Report::LeaderSettings { settings }))
    }

    pub(super) fn goal_state(&self) -> Value {
        json!({ "units": self.context.goal_units, "relations": self.context.goal_relations })
    }

    pub(super) fn credential_get(&self) -> Result<Value, ToolError> {
        self.context.credential.clone().ok_or_else(|| {
            ToolError::running(format!(
                "cannot access cloud credentials: application {:?} is not trusted",
                self.run.application()
            ))
        })
    }

    pub(super) fn resource_get(&self, name: String) -> Reply {
        let trouble = match self.context.resources.get(&name) {
            None => format!("the charm declares no resource {name:?}"),
            Some(resource) if resource.digest.is_empty() => {
                format!("nothing was uploaded for resource {name:?}")
            }
            Some(_) => return after(Effect::FetchResource { name }),
        };
        refused(ToolError::running(format!("could not download resource: {trouble}")))
    }

    pub(super) fn network_get(
        &self,
        binding: &str,
        relation: Option<&RelationArgument>,
        parts: &[NetworkPart],
    ) -> Result<Value, ToolError> {
        if let Some(relation) = relation.filter(|relation| self.visible(relation.id).is_none()) {
            return Err(ToolError::running(format!("relation {} not found", relation.id)));
        }
        let declared = self.context.bindings.iter().any(|name| name == binding);
        if !declared && binding != IMPLICIT_ENDPOINT {
            return Err(ToolError::running(format!(
                "no network config found for binding {binding:?}"
            )));
        }
        let address = &self.context.address;
        let subnet = format!("{address}/32");
        let part = |part: &NetworkPart| match part {
            NetworkPart::BindAddress | NetworkPart::PrimaryAddress => {
                ("bind-address", json!(address))
            }
            NetworkPart::IngressAddress => ("ingress-address", json!(address)),
            NetworkPart::EgressSubnets => ("egress-subnets", json!([subnet])),
        };
        let (interface, hardware, network) = LOOPBACK;
        Ok(match parts {
            [] => json!({
                "bind-addresses": [{
                    "mac-address": hardware,
                    "interface-name": interface,
                    // Charms from before Juju 2.9 read `address` instead of `value`.
                    "addresses": [{
                        "hostname": "", "value": address, "address": address, "cidr": network,
                    }],
                }],
                "egress-subnets": [subnet],
                "ingress-addresses": [address],
            }),
            [single] => part(single).1,
            several => {
                let parts = several.iter().map(part);
                let fields = parts.map(|(key, value)| (key.to_owned(), value));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        })
    }

    pub(super) fn juju_reboot(&mut self, now: bool) -> Reply {
        if self.context.action.is_some() {
            return refused(ToolError::running(
                "juju-reboot is not supported when running an action.",
            ));
        }
        self.reboot = Some(now || self.reboot.unwrap_or_default());
        after(Effect::Reboot { now })
    }

    /// Payloads are not kept; a charm only learns whether it declared the class.
    pub(super) fn check_payload(&self, class: &str) -> Result<(), ToolError> {
        if self.context.payload_classes.iter().any(|declared| declared == class) {
            return Ok(());
        }
        Err(ToolError::running(format!("payload {class:?} not found in metadata.yaml")))
    }
}
