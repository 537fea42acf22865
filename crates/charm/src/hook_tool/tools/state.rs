//! The charm's state kept by the model.

use super::super::Call;
use super::{Answer, Tool, pairs, switch, text};

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "state-get",
        arguments: "[<key>]",
        purpose: "Print server-side-state value.",
        details: "Without a key, or with -, everything is printed.",
        flags: &[switch(&["strict"], "Return an error if the requested key does not exist")],
        answer: Answer::Smart,
        build: |line, _| Ok(Call::StateGet { key: line.key(), strict: line.on("strict") }),
    },
    Tool {
        name: "state-set",
        arguments: "<key>=<value> [<key>=<value> ...]",
        purpose: "Set server-side-state values.",
        details: "",
        flags: &[text(&["file"], "", "File containing key-value pairs, or - for standard input")],
        answer: Answer::Nothing,
        build: |line, _| Ok(Call::StateSet { values: pairs::file_and_arguments(line)? }),
    },
    Tool {
        name: "state-delete",
        arguments: "<key>",
        purpose: "Delete server-side-state key value pairs.",
        details: "",
        flags: &[],
        answer: Answer::Nothing,
        build: |line, _| Ok(Call::StateDelete { key: line.required("no key specified")? }),
    },
];
