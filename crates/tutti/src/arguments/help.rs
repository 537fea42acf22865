//! The overview: every command with its one line, grouped by what it is about.

use std::fmt::Write as _;

use anstyle::Style;

use crate::command;
use crate::output::style::HEADING;
use crate::personality::Personality;

/// The text of `tutti --help`.
pub(super) fn overview(personality: Personality) -> String {
    let program = personality.name();
    let bold = |text: &str| format!("{}{text}{}", HEADING.render(), HEADING.render_reset());
    let mut text = format!(
        "Tutti deploys, connects, upgrades and removes the services of a small team.\n\n\
         {} {program} COMMAND [FLAGS] [ARGUMENTS]\n",
        bold("Usage:")
    );
    let groups = command::groups();
    let names = groups.iter().flat_map(|(_, group)| group.get_subcommands());
    let shown = |command: &&clap::Command| !command.is_hide_set();
    let width = names.filter(shown).map(|c| c.get_name().len()).max().unwrap_or(0);
    for (heading, group) in &groups {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n", bold(&format!("{heading}:")));
        for command in group.get_subcommands().filter(shown) {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let plain = Style::new();
            let _ = writeln!(text, "  {plain}{name:width$}{plain:#}  {about}");
        }
    }
    let _ = write!(
        text,
        "\nSee '{program} COMMAND --help' for one command. Every query takes --format json|yaml.\n"
    );
    text
}
