//! `pack`, `completion`: what concerns no controller at all.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clap_complete::Shell;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::local_charm::{self, Prepared};
use crate::output;

/// Commands that need no controller.
#[derive(Debug, Subcommand)]
pub(crate) enum CharmCommand {
    /// Make a .charm file from a charm's directory
    Pack(Pack),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  tutti completion bash > ~/.local/share/bash-completion/completions/tutti"
    )]
    Completion(Completion),
}

impl CharmCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Pack(command) => command.run(context),
            Self::Completion(command) => command.run(context),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Pack {
    /// The charm's directory
    #[arg(value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
    /// The file to write [default: NAME.charm in the current directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Pack {
    fn run(self, context: &Context) -> Outcome {
        if !self.directory.is_dir() {
            let directory = self.directory.display();
            return Err(Failure::new(format!("{directory} is not a directory")));
        }
        let prepared = Prepared::from_directory(&self.directory, context.quiet)?;
        let name = format!("{}.charm", prepared.charm.name());
        let out = self.output.unwrap_or_else(|| PathBuf::from(name));
        let packed = local_charm::keep(&prepared, &out)?;
        context.tell(format!(
            "Packed {} ({} bytes, {} files, {})",
            out.display(),
            packed.size,
            packed.entries,
            packed.digest
        ));
        output::write(&format!("{}\n", shown(&out)))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[derive(Args, Debug)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completion {
    fn run(self, context: &Context) -> Outcome {
        let mut command = crate::arguments::command();
        let mut script = Vec::new();
        let program = context.personality.name();
        clap_complete::generate(self.shell, &mut command, program, &mut script);
        output::write_bytes(&script)
    }
}
