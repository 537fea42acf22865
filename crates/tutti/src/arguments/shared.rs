//! Arguments that many commands have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::value::{config_pairs, pairs};
use crate::failure::Outcome;
use crate::output::Format;

/// Which model.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ModelArgument {
    /// Model to work in: [controller:][user/]model or a UUID
    #[arg(short = 'm', long = "model", value_name = "MODEL")]
    pub(crate) model: Option<String>,
}

/// Which controller.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ControllerArgument {
    /// Controller to work with
    #[arg(short = 'c', long = "controller", value_name = "CONTROLLER")]
    pub(crate) controller: Option<String>,
}

/// In which form, and where to.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArguments {
    /// Form of the answer
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Write the answer to a file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `--no-prompt`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PromptArgument {
    /// Do not ask for confirmation
    #[arg(long, visible_alias = "yes", short_alias = 'y')]
    pub(crate) no_prompt: bool,
}

/// `--config key=value` and `--config file.yaml`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgument {
    /// Option as key=value, key=@file, or a YAML file; may be repeated
    #[arg(long = "config", value_name = "KEY=VALUE|FILE")]
    pub(crate) config: Vec<String>,
}

impl ConfigArgument {
    /// The options, later ones over earlier ones. A file may hold them at the top or under the
    /// name of the application.
    pub(crate) fn read(&self, application: &str) -> Outcome<BTreeMap<String, String>> {
        config_pairs(&self.config, application)
    }
}

/// `--constraints "mem=4G cores=2"`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConstraintsArgument {
    /// Constraints as key=value, separated by spaces; may be repeated
    #[arg(long = "constraints", value_name = "KEY=VALUE")]
    pub(crate) constraints: Vec<String>,
}

impl ConstraintsArgument {
    /// The constraints by name.
    pub(crate) fn read(&self) -> Outcome<BTreeMap<String, String>> {
        pairs(self.constraints.iter().flat_map(|text| text.split_whitespace()), "constraint")
    }
}

/// `--resource name=file`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ResourceArgument {
    /// Resource as name=file or name=image; may be repeated
    #[arg(long = "resource", value_name = "NAME=FILE")]
    pub(crate) resources: Vec<String>,
}

/// `--storage name=pool,count,size`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StorageArgument {
    /// Storage as name=pool,count,size in any order; may be repeated
    #[arg(long = "storage", value_name = "NAME=DIRECTIVE")]
    pub(crate) storage: Vec<String>,
}

impl StorageArgument {
    /// The directives by storage name.
    pub(crate) fn read(&self) -> Outcome<BTreeMap<String, String>> {
        pairs(self.storage.iter().map(String::as_str), "storage directive")
    }
}

/// `--to 0,1`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlacementArgument {
    /// Machines to place units on, comma-separated
    #[arg(long = "to", value_name = "MACHINE", value_delimiter = ',')]
    pub(crate) to: Vec<String>,
}
