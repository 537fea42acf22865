//! Tools of Juju that old charms may still look for: payloads are checked and forgotten, the Kubernetes
//! specifications of charms without a sidecar are refused.

use super::super::parse::CommandLine;
use super::super::{Call, Format, ToolError};
use super::{Answer, Flag, Tool, switch, text};

const STATUSES: [&str; 4] = ["starting", "started", "stopping", "stopped"];
const UNSUPPORTED: &str = "Not supported: charms run their workload themselves.";

const fn unsupported(name: &'static str) -> Tool {
    const FLAGS: &[Flag] = &[
        text(&["file"], "", "Ignored"),
        text(&["k8s-resources"], "", "Ignored"),
        switch(&["append"], "Ignored"),
    ];
    Tool {
        name,
        arguments: "",
        purpose: UNSUPPORTED,
        details: "",
        flags: FLAGS,
        answer: Answer::Smart,
        build: |line, _| Err(ToolError::running(format!("{} is not supported", line.tool_name()))),
    }
}

pub(super) const TABLE: &[Tool] = &[
    unsupported("pod-spec-set"),
    unsupported("pod-spec-get"),
    unsupported("k8s-spec-set"),
    unsupported("k8s-spec-get"),
    unsupported("k8s-raw-set"),
    unsupported("k8s-raw-get"),
    Tool {
        name: "payload-register",
        arguments: "<type> <class> <id> [tags...]",
        purpose: "Register a charm payload.",
        details: "The class must be declared by the charm.",
        flags: &[],
        answer: Answer::Nothing,
        build: register,
    },
    Tool {
        name: "payload-unregister",
        arguments: "<class> <id>",
        purpose: "Stop tracking a payload.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: |line, _| {
            let (class, id) = payload(line)?;
            Ok(Call::PayloadUnregister { class, id })
        },
    },
    Tool {
        name: "payload-status-set",
        arguments: "<class> <id> <status>",
        purpose: "Update the status of a payload.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: set_status,
    },
];

fn payload(line: &mut CommandLine<'_>) -> Result<(String, String), ToolError> {
    let class = line.required("missing required arguments: class, id")?;
    let id = line.required("missing required argument: id")?;
    Ok((class, id))
}

fn register(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let kind = line.required("missing required arguments: type, class, id")?;
    let (class, id) = payload(line)?;
    Ok(Call::PayloadRegister { kind, class, id, tags: line.rest() })
}

fn set_status(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let (class, id) = payload(line)?;
    let status = line.required("missing required argument: status")?;
    if !STATUSES.contains(&status.as_str()) {
        let expected = STATUSES.join(" ");
        return Err(ToolError::argument(format!(
            "invalid payload status {status:?}, expected one of [{expected}]"
        )));
    }
    Ok(Call::PayloadStatusSet { class, id, status })
}
