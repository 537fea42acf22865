//! Status, workload version and log.

use super::super::parse::CommandLine;
use super::super::{Call, Format, StatusDetail, ToolError};
use super::{Answer, Flag, Tool, switch, text};

const APPLICATION: Flag = switch(
    &["application"],
    "Use the status of the application this unit belongs to; only on the leader",
);

/// What a charm may set, in the order Juju lists them.
const SETTABLE: [&str; 4] = ["maintenance", "blocked", "waiting", "active"];

const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "juju-log",
        arguments: "<message>",
        purpose: "Write a message to the log.",
        details: "",
        flags: &[
            switch(&["debug"], "Log at debug level"),
            text(&["l", "log-level"], "INFO", "Send log message at the given level"),
        ],
        answer: Answer::NothingInAnyFormat,
        build: juju_log,
    },
    Tool {
        name: "status-get",
        arguments: "",
        purpose: "Print status information.",
        details: "",
        flags: &[APPLICATION, switch(&["include-data"], "Print all status data")],
        answer: Answer::Smart,
        build: status_get,
    },
    Tool {
        name: "status-set",
        arguments: "<maintenance | blocked | waiting | active> [<message>]",
        purpose: "Set status information.",
        details: "Set at once, whatever becomes of the hook.",
        flags: &[APPLICATION],
        answer: Answer::Nothing,
        build: status_set,
    },
    Tool {
        name: "application-version-set",
        arguments: "<new-version>",
        purpose: "Specify which version of the application is deployed.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: |line, _| {
            Ok(Call::ApplicationVersionSet { version: line.required("no version specified")? })
        },
    },
];

fn juju_log(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let words = line.rest();
    if words.is_empty() {
        return Err(ToolError::argument("no message specified"));
    }
    let asked = line.nonempty("l").unwrap_or_default().to_ascii_uppercase();
    let level = match LEVELS.iter().find(|level| **level == asked) {
        _ if line.on("debug") => "DEBUG",
        Some(level) => level,
        None => "INFO",
    };
    Ok(Call::JujuLog { level: level.into(), message: words.join(" ") })
}

fn status_get(line: &mut CommandLine<'_>, format: Format) -> Result<Call, ToolError> {
    let detail = match (line.on("include-data"), format) {
        (true, _) => StatusDetail::Full,
        (false, Format::Smart) => StatusDetail::Word,
        (false, _) => StatusDetail::Short,
    };
    Ok(Call::StatusGet { application: line.on("application"), detail })
}

fn status_set(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let status = line.required("invalid args, require <status> [message]")?;
    if !SETTABLE.contains(&status.as_str()) {
        let expected = SETTABLE.join(" ");
        return Err(ToolError::argument(format!(
            "invalid status {status:?}, expected one of [{expected}]"
        )));
    }
    let message = line.rest().join(" ");
    Ok(Call::StatusSet { application: line.on("application"), status, message })
}
