//! What `--help` prints.

use std::fmt::Write;

use super::Surroundings;
use super::flags::{Flag, Takes};
use super::tools::Tool;

/// Usage, purpose and options of a tool.
///
/// The default of `-s` and `-r` comes from the hook: the Python framework before 3.4 learns from the line
/// `-s  (= data/0)` which storage an event is about.
pub(super) fn text(tool: &Tool, surroundings: &dyn Surroundings) -> String {
    let options = if tool.all_flags().next().is_some() { " [options]" } else { "" };
    let usage = format!("Usage: {}{options} {}", tool.name, tool.arguments);
    let mut text = format!("{}\n\nSummary:\n{}\n", usage.trim_end(), tool.purpose);
    let mut flags: Vec<_> = tool.all_flags().collect();
    flags.sort_by_key(|flag| flag.names[0]);
    if !flags.is_empty() {
        text.push_str("\nOptions:\n");
    }
    for flag in flags {
        let names: Vec<_> = flag.names.iter().map(|name| hyphenated(name)).collect();
        let default = default(flag, surroundings);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  (= {default})\n    {}", names.join(", "), flag.help);
    }
    if !tool.details.is_empty() {
        let _ = write!(text, "\nDetails:\n{}\n", tool.details);
    }
    text
}

fn hyphenated(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}

fn default(flag: &Flag, surroundings: &dyn Surroundings) -> String {
    let from_hook = match flag.names[0] {
        "r" => surroundings.variable("JUJU_RELATION_ID"),
        "s" => surroundings.variable("JUJU_STORAGE_ID"),
        _ => None,
    };
    match (from_hook, flag.takes) {
        (Some(value), _) => value,
        (None, Takes::Switch) => "false".into(),
        (None, Takes::Text) if flag.default.is_empty() => "\"\"".into(),
        (None, Takes::Text) => flag.default.into(),
    }
}
