//! `charmcraft pack`, when the binary is started under that name.
//!
//! Test suites and build scripts call it and then look for the file under charmcraft's name for
//! it, `db_amd64.charm` or `db_ubuntu-24.04-amd64.charm`. The charm is prepared as `deploy` does
//! it: no container is started, and flags about how to build change nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tutti_charm::charm::CHARMCRAFT;
use tutti_charm::manifest;

use crate::failure::{Attempt as _, Failure, Outcome};
use crate::local_charm::{self, Prepared};
use crate::output;

#[derive(Debug, Parser)]
#[command(
    name = "charmcraft",
    about = "Makes .charm files as charmcraft does, without charmcraft",
    disable_help_subcommand = true,
    args_override_self = true
)]
struct Line {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command of charmcraft takes.
#[derive(Args, Debug)]
struct Common {
    /// Say nothing
    #[arg(short, long, global = true)]
    quiet: bool,
    #[arg(short, long, global = true, hide = true)]
    verbose: bool,
    #[arg(long, global = true, hide = true, value_name = "LEVEL")]
    verbosity: Option<String>,
    /// The charm's directory
    #[arg(short, long, global = true, value_name = "DIR", default_value = ".")]
    project_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a .charm file of the charm in this directory
    Pack(Pack),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

#[derive(Args, Debug)]
struct Pack {
    /// Where to put the file
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Only this platform
    #[arg(long, visible_alias = "build-for", value_name = "NAME")]
    platform: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    build_on: Option<String>,
    #[arg(long, hide = true, value_name = "NUMBER")]
    bases_index: Vec<String>,
    #[arg(long, hide = true)]
    destructive_mode: bool,
    #[arg(long, hide = true)]
    use_lxd: bool,
    #[arg(long, hide = true)]
    force: bool,
}

/// Runs `charmcraft` with these words.
pub(crate) fn charmcraft(words: Vec<String>) -> Outcome {
    let line = match Line::try_parse_from(std::iter::once("charmcraft".to_owned()).chain(words)) {
        Ok(line) => line,
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            return Err(Failure::usage(line.strip_prefix("error: ").unwrap_or(line)));
        }
        Err(help) => return output::write(&help.render().ansi().to_string()),
    };
    match line.command {
        Command::Pack(command) => command.run(&line.common),
        Command::Other(words) => Err(Failure::new(format!(
            "charmcraft {}: this is Tutti under charmcraft's name, which only packs",
            words.first().map(String::as_str).unwrap_or_default()
        ))),
    }
}

impl Pack {
    fn run(self, common: &Common) -> Outcome {
        let project = &common.project_dir;
        let file = project.join(CHARMCRAFT);
        let text =
            std::fs::read_to_string(&file).attempt(|| format!("cannot read {}", file.display()))?;
        let host = manifest::host_architecture();
        let mut platforms = manifest::platforms(CHARMCRAFT, &text, host)?;
        if let Some(wanted) = &self.platform {
            platforms.retain(|one| one == &wanted.replace(['@', ':'], "-"));
        }
        if platforms.is_empty() {
            return Err(Failure::new(format!(
                "no platform of {} can be packed on this machine ({host})",
                file.display()
            )));
        }
        let prepared = Prepared::from_directory(project, common.quiet)?;
        std::fs::create_dir_all(&self.output)
            .attempt(|| format!("cannot create {}", self.output.display()))?;
        for platform in platforms {
            let name = format!("{}_{platform}.charm", prepared.charm.name());
            local_charm::keep(&prepared, &self.output.join(&name))?;
            if !common.quiet {
                output::tell(&format!("Packed {name}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        use clap::CommandFactory as _;
        Line::command().debug_assert();
    }

    #[test]
    fn only_packing_is_done_here() {
        let run = |words: &[&str]| charmcraft(words.iter().map(|&word| word.to_owned()).collect());
        let refused = run(&["upload", "x.charm"]).unwrap_err();
        assert_eq!(refused.code(), 1);
        assert!(refused.message().unwrap().contains("charmcraft upload"));
        assert_eq!(run(&["pack", "--no-such-flag"]).unwrap_err().code(), 2);
        let missing = run(&["pack", "--verbose", "-p", "/nowhere"]).unwrap_err();
        assert!(missing.message().unwrap().contains("/nowhere/charmcraft.yaml"));
    }
}
