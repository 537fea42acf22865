//! What the unit learns about its model: configuration, leadership, addresses, goals, resources, credential.

use super::super::parse::CommandLine;
use super::super::{Call, Format, NetworkPart, ToolError, UnitAddress};
use super::{Answer, RELATION, Tool, pairs, switch, text};

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "config-get",
        arguments: "[<key>]",
        purpose: "Print application configuration.",
        details: "Without a key, all options that have a value are printed.",
        flags: &[switch(&["a", "all"], "Print all keys")],
        answer: Answer::Smart,
        build: config_get,
    },
    Tool {
        name: "is-leader",
        arguments: "",
        purpose: "Print application leadership status.",
        details: "",
        flags: &[],
        answer: Answer::Smart,
        build: |_, _| Ok(Call::IsLeader),
    },
    Tool {
        name: "leader-get",
        arguments: "[<key>]",
        purpose: "Print application leadership settings.",
        details: "Without a key, or with -, all settings are printed.",
        flags: &[],
        answer: Answer::Smart,
        build: |line, _| Ok(Call::LeaderGet { key: line.key() }),
    },
    Tool {
        name: "leader-set",
        arguments: "<key>=<value> [...]",
        purpose: "Write application leadership settings.",
        details: "Written at once, whatever becomes of the hook. Only the leader may do this.",
        flags: &[],
        answer: Answer::Nothing,
        build: |line, _| Ok(Call::LeaderSet { settings: pairs::file_and_arguments(line)? }),
    },
    Tool {
        name: "goal-state",
        arguments: "",
        purpose: "Print the status of the charm's peers and related units.",
        details: "",
        flags: &[],
        answer: Answer::Yaml,
        build: |_, _| Ok(Call::GoalState),
    },
    Tool {
        name: "credential-get",
        arguments: "",
        purpose: "Access cloud credentials.",
        details: "Only for applications that are trusted.",
        flags: &[],
        answer: Answer::Smart,
        build: |_, _| Ok(Call::CredentialGet),
    },
    Tool {
        name: "resource-get",
        arguments: "<resource name>",
        purpose: "Get the path to the locally cached resource file.",
        details: "The file is downloaded first if it is not there yet.",
        flags: &[],
        answer: Answer::Raw,
        build: |line, _| {
            Ok(Call::ResourceGet { name: line.required("missing required resource name")? })
        },
    },
    Tool {
        name: "unit-get",
        arguments: "<setting>",
        purpose: "Print public-address or private-address.",
        details: "",
        flags: &[],
        answer: Answer::Smart,
        build: unit_get,
    },
    Tool {
        name: "network-get",
        arguments: "<binding-name> [--ingress-address] [--bind-address] [--egress-subnets]",
        purpose: "Get network config.",
        details: "A binding is an endpoint or an extra binding of the charm. With one of the flags only \
                  that value is printed.",
        flags: &[
            switch(
                &["bind-address"],
                "Get the address for the binding on which the unit should listen",
            ),
            switch(&["egress-subnets"], "Get the egress subnets for the binding"),
            switch(&["ingress-address"], "Get the ingress address for the binding"),
            switch(&["primary-address"], "Deprecated: get the primary address for the binding"),
            RELATION,
        ],
        answer: Answer::Smart,
        build: network_get,
    },
    Tool {
        name: "juju-reboot",
        arguments: "",
        purpose: "Reboot the host machine.",
        details: "The reboot happens when the hook has succeeded. With --now the hook is ended at once and \
                  run again after the reboot.",
        flags: &[switch(&["now"], "Reboot immediately, killing the invoking process")],
        answer: Answer::Nothing,
        build: |line, _| Ok(Call::JujuReboot { now: line.on("now") }),
    },
    Tool {
        name: "add-metric",
        arguments: "<key>=<value> [...]",
        purpose: "Add metrics.",
        details: "Metrics are no longer collected.",
        flags: &[text(&["l", "labels"], "", "Labels to be associated with metric values")],
        answer: Answer::Nothing,
        build: add_metric,
    },
];

fn config_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let all = line.on("a");
    match line.key() {
        Some(key) if all => {
            Err(ToolError::argument(format!("cannot use argument --all together with key {key:?}")))
        }
        key => Ok(Call::ConfigGet { key, all }),
    }
}

fn unit_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let setting = line.required("no setting specified")?;
    let address = match setting.as_str() {
        "private-address" => UnitAddress::Private,
        "public-address" => UnitAddress::Public,
        _ => return Err(ToolError::argument(format!("unknown setting {setting:?}"))),
    };
    Ok(Call::UnitGet { address })
}

fn network_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let parts = [
        ("bind-address", NetworkPart::BindAddress),
        ("egress-subnets", NetworkPart::EgressSubnets),
        ("ingress-address", NetworkPart::IngressAddress),
        ("primary-address", NetworkPart::PrimaryAddress),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(flag, _)| line.on(flag)).map(|p| p.1).collect();
    if parts.len() > 1 && parts.contains(&NetworkPart::PrimaryAddress) {
        return Err(ToolError::argument("--primary-address must be the only flag specified"));
    }
    let relation = line.relation()?;
    let binding = line.next().filter(|binding| !binding.is_empty());
    let binding = binding.ok_or_else(|| ToolError::argument("no arguments specified"))?;
    Ok(Call::NetworkGet { binding, relation, parts })
}

fn add_metric(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let metrics = pairs::file_and_arguments(line)?;
    if metrics.is_empty() {
        return Err(ToolError::argument("no metrics specified"));
    }
    Ok(Call::AddMetric { metrics })
}
