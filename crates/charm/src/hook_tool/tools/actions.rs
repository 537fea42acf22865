//! Actions.

use super::super::parse::CommandLine;
use super::super::{Call, Format, ToolError};
use super::{Answer, Tool};

/// Results the runtime fills in by itself.
const RESERVED: [&str; 4] = ["stdout", "stderr", "stdout-encoding", "stderr-encoding"];

/// Juju's words.
const NO_REASON: &str = "action failed without reason given, check action for errors";

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "action-get",
        arguments: "[<key>[.<key>.<key>...]]",
        purpose: "Get action parameters.",
        details: "",
        flags: &[],
        answer: Answer::Smart,
        build: action_get,
    },
    Tool {
        name: "action-set",
        arguments: "<key>=<value> [<key>=<value> ...]",
        purpose: "Set action results.",
        details: "A key with dots, such as a.b=1, sets a value inside another.",
        flags: &[],
        answer: Answer::Nothing,
        build: action_set,
    },
    Tool {
        name: "action-fail",
        arguments: "[\"<failure message>\"]",
        purpose: "Set action fail status with message.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: |line, _| {
            Ok(Call::ActionFail { message: line.next().unwrap_or_else(|| NO_REASON.into()) })
        },
    },
    Tool {
        name: "action-log",
        arguments: "<message>",
        purpose: "Record a progress message for the current action.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: action_log,
    },
];

fn action_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let path = line.next().filter(|key| !key.is_empty());
    let path = path.iter().flat_map(|key| key.split('.')).map(str::to_owned).collect();
    Ok(Call::ActionGet { path })
}

fn action_set(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let results = line.rest().iter().map(|word| result(word)).collect::<Result<_, _>>()?;
    Ok(Call::ActionSet { results })
}

fn result(word: &str) -> Result<(Vec<String>, String), ToolError> {
    let (key, value) = word.split_once('=').ok_or_else(|| {
        ToolError::argument(format!("argument {word:?} must be of the form key...=value"))
    })?;
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    if let Some(part) = path.iter().find(|part| !is_key(part)) {
        return Err(ToolError::argument(format!(
            "key {part:?} must start and end with lowercase alphanumeric, and contain only lowercase \
             alphanumeric, hyphens and periods"
        )));
    }
    if RESERVED.contains(&path[0].as_str()) {
        return Err(ToolError::argument(format!("cannot set reserved action key {:?}", path[0])));
    }
    Ok((path, value.to_owned()))
}

fn is_key(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|byte| word(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| word(*byte))
        && bytes.last().is_some_and(|byte| word(*byte))
}

fn action_log(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let words = line.rest();
    if words.is_empty() {
        return Err(ToolError::argument("no message specified"));
    }
    Ok(Call::ActionLog { message: words.join(" ") })
}
