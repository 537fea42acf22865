//! Relations and their databags.

use super::super::parse::CommandLine;
use super::super::{Call, Format, ToolError};
use super::{Answer, Flag, RELATION, Tool, pairs, switch, text};
use crate::name;

const APPLICATION: Flag = switch(&["app"], "Get the relation data for the overall application");

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "relation-ids",
        arguments: "[<endpoint>]",
        purpose: "List all relation IDs for the given endpoint.",
        details: "Without an endpoint, in a relation hook, the endpoint of that hook is meant.",
        flags: &[],
        answer: Answer::Smart,
        build: relation_ids,
    },
    Tool {
        name: "relation-list",
        arguments: "",
        purpose: "List relation units.",
        details: "Without --relation, in a relation hook, the relation of that hook is meant.",
        flags: &[
            switch(&["app"], "List remote application instead of participating units"),
            RELATION,
        ],
        answer: Answer::Smart,
        build: relation_list,
    },
    Tool {
        name: "relation-model-get",
        arguments: "",
        purpose: "Get details about the model hosting a related application.",
        details: "",
        flags: &[RELATION],
        answer: Answer::Smart,
        build: relation_model_get,
    },
    Tool {
        name: "relation-get",
        arguments: "[<key> [<unit>|<application>]]",
        purpose: "Get relation settings.",
        details: "A key of - means all keys. Without a unit, in a relation hook, the remote unit is \
                  meant, or the remote application if the hook has no remote unit.",
        flags: &[APPLICATION, RELATION],
        answer: Answer::Smart,
        build: relation_get,
    },
    Tool {
        name: "relation-set",
        arguments: "<key>=<value> [<key>=<value> ...]",
        purpose: "Set relation settings.",
        details: "The settings are merged into the unit's own databag, or with --app into its \
                  application's; an empty value removes its key. Others see them when the hook has \
                  succeeded.",
        flags: &[
            switch(&["app"], "Pick whether you are setting \"application\" settings"),
            text(&["file"], "", "File containing key-value pairs, or - for standard input"),
            RELATION,
        ],
        answer: Answer::NothingInAnyFormat,
        build: relation_set,
    },
];

fn relation_ids(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    Ok(Call::RelationIds { endpoint: line.next() })
}

fn relation_list(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    Ok(Call::RelationList { relation: line.relation()?, application: line.on("app") })
}

fn relation_model_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    Ok(Call::RelationModelGet { relation: line.relation()? })
}

fn relation_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let relation = line.relation()?;
    let application = line.on("app");
    let key = line.key();
    let member = match line.next() {
        Some(member) => Some(check_member(member, application)?),
        None => None,
    };
    Ok(Call::RelationGet { relation, application, key, member })
}

/// With `--app`, a unit stands for its application; without, only a unit has a databag.
fn check_member(member: String, application: bool) -> Result<String, ToolError> {
    match (name::split_unit(&member), application) {
        (Some((owner, _)), true) => Ok(owner.to_owned()),
        (Some(_), false) => Ok(member),
        (None, _) if name::application(&member).is_err() => {
            Err(ToolError::argument(format!("invalid unit or application name {member:?}")))
        }
        (None, true) => Ok(member),
        (None, false) => {
            Err(ToolError::argument(format!("expected unit name, got application name {member:?}")))
        }
    }
}

fn relation_set(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let relation = line.relation()?;
    let settings = pairs::file_and_arguments(line)?;
    Ok(Call::RelationSet { relation, application: line.on("app"), settings })
}
