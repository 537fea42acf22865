//! The tools, one table row each: name, flags, what `--help` says, and how arguments become a call.

mod actions;
mod dead;
mod model;
mod pairs;
mod ports;
mod relations;
mod secrets;
mod state;
mod status;
mod storage;

use super::flags::{Flag, Takes};
use super::parse::CommandLine;
use super::{Call, Format, ToolError};

/// One tool.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its command name.
    pub(super) name: &'static str,
    /// Its arguments, for the usage line.
    pub(super) arguments: &'static str,
    /// One sentence.
    pub(super) purpose: &'static str,
    /// More, or nothing.
    pub(super) details: &'static str,
    /// Its own flags; the ones for the output come from `answer`.
    pub(super) flags: &'static [Flag],
    /// What it prints.
    pub(super) answer: Answer,
    /// Takes the arguments it needs; what it leaves over is refused.
    pub(super) build: fn(&mut CommandLine<'_>, Format) -> Result<Call, ToolError>,
}

/// What a tool prints, and so which output flags it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Nothing,
    /// Nothing; `--format` is taken and ignored, as old charms give it.
    NothingInAnyFormat,
    /// A value in any format, smart if not told.
    Smart,
    /// A value in YAML, if not told, or JSON.
    Yaml,
    /// Text without a line end.
    Raw,
}

const SMART: Flag = text(&["format"], "smart", "Specify output format (json|smart|yaml)");
const YAML: Flag = text(&["format"], "yaml", "Specify output format (json|yaml)");
const IGNORED: Flag = text(&["format"], "", "Deprecated: has no effect");
const OUTPUT: Flag = text(&["o", "output"], "", "Specify an output file");

impl Tool {
    /// Its own flags and those for its output.
    pub(super) fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        let output: &'static [Flag] = match self.answer {
            Answer::Nothing => &[],
            Answer::NothingInAnyFormat => &[IGNORED],
            Answer::Smart => &[SMART, OUTPUT],
            Answer::Yaml => &[YAML, OUTPUT],
            Answer::Raw => &[],
        };
        self.flags.iter().chain(output)
    }
}

const TABLES: &[&[Tool]] = &[
    actions::TABLE,
    dead::TABLE,
    model::TABLE,
    ports::TABLE,
    relations::TABLE,
    secrets::TABLE,
    state::TABLE,
    status::TABLE,
    storage::TABLE,
];

/// Every hook tool a charm may look for on its `PATH`. The Python framework treats a missing one as a crash,
/// so all are installed, also those that only answer that they are not supported.
pub const TOOLS: &[&str] = &[
    "action-fail",
    "action-get",
    "action-log",
    "action-set",
    "add-metric",
    "application-version-set",
    "close-port",
    "config-get",
    "credential-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "juju-reboot",
    "k8s-raw-get",
    "k8s-raw-set",
    "k8s-spec-get",
    "k8s-spec-set",
    "leader-get",
    "leader-set",
    "network-get",
    "open-port",
    "opened-ports",
    "payload-register",
    "payload-status-set",
    "payload-unregister",
    "pod-spec-get",
    "pod-spec-set",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-model-get",
    "relation-set",
    "resource-get",
    "secret-add",
    "secret-get",
    "secret-grant",
    "secret-ids",
    "secret-info-get",
    "secret-remove",
    "secret-revoke",
    "secret-set",
    "secret-update",
    "state-delete",
    "state-get",
    "state-set",
    "status-get",
    "status-set",
    "storage-add",
    "storage-get",
    "storage-list",
    "unit-get",
];

/// Commands that are installed beside the hook tools and work outside a hook too: they run something in the
/// context of a unit. They are no hook tools; the program's command line handles them.
pub const AGENT_COMMANDS: &[&str] = &["juju-exec", "juju-run"];

/// The tool of this name.
pub(super) fn find(name: &str) -> Option<&'static Tool> {
    TABLES.iter().flat_map(|table| table.iter()).find(|tool| tool.name == name)
}

const fn switch(names: &'static [&'static str], help: &'static str) -> Flag {
    Flag { names, takes: Takes::Switch, default: "", help }
}

const fn text(names: &'static [&'static str], default: &'static str, help: &'static str) -> Flag {
    Flag { names, takes: Takes::Text, default, help }
}

const RELATION: Flag = text(&["r", "relation"], "", "Specify a relation by id");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_table() {
        let mut names: Vec<_> =
            TABLES.iter().flat_map(|table| table.iter()).map(|tool| tool.name).collect();
        names.sort_unstable();
        assert_eq!(names, TOOLS);
    }
}
