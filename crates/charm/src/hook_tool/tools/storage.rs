//! Storage.

use std::collections::BTreeMap;

use super::super::parse::CommandLine;
use super::super::{Call, Format, ToolError};
use super::{Answer, Tool, text};
use crate::name;

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "storage-add",
        arguments: "<charm storage name>[=count] [...]",
        purpose: "Add storage instances.",
        details: "They are created when the hook has succeeded.",
        flags: &[],
        answer: Answer::Nothing,
        build: storage_add,
    },
    Tool {
        name: "storage-get",
        arguments: "[<key>]",
        purpose: "Print information for the storage instance with the specified ID.",
        details: "Without a key all values are printed. In a storage hook the storage of that hook is meant \
                  unless -s says otherwise.",
        flags: &[text(&["s"], "", "Specify a storage instance by id")],
        answer: Answer::Smart,
        build: storage_get,
    },
    Tool {
        name: "storage-list",
        arguments: "[<storage-name>]",
        purpose: "List storage attached to the unit.",
        details: "",
        flags: &[],
        answer: Answer::Smart,
        build: |line, _| Ok(Call::StorageList { name: line.next() }),
    },
];

fn storage_add(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let directives = line.rest();
    if directives.is_empty() {
        return Err(ToolError::argument("storage add requires a storage directive"));
    }
    let mut counts = BTreeMap::new();
    for directive in directives {
        let (name, count) = match directive.split_once('=') {
            Some((name, count)) => (name, count.parse().ok().filter(|count| *count > 0)),
            None => (directive.as_str(), Some(1)),
        };
        let count = count.filter(|_| name::storage(name).is_ok()).ok_or_else(|| {
            ToolError::argument(format!(
                "storage requires <name> or <name>=<count>, got {directive:?}"
            ))
        })?;
        let total: &mut u32 = counts.entry(name.to_owned()).or_default();
        *total = total.saturating_add(count);
    }
    Ok(Call::StorageAdd { counts })
}

fn storage_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let storage = line.text("s");
    if let Some(id) = storage.as_deref().filter(|id| !is_id(id)) {
        return Err(ToolError::argument(format!("invalid storage ID {id:?}")));
    }
    Ok(Call::StorageGet { storage, attribute: line.next().filter(|key| !key.is_empty()) })
}

/// `name/number`
fn is_id(id: &str) -> bool {
    id.split_once('/').is_some_and(|(name, number)| {
        name::storage(name).is_ok()
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
