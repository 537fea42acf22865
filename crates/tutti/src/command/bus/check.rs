//! `check-config` and `dumpconfigschema`: the configuration file, without a bus.

use std::path::{Path, PathBuf};

use clap::Args;
use tutti_bus::config::{Config, Configuration, OwnConfig, Placeholders};

use crate::context::Context;
use crate::failure::{Attempt as _, Outcome};
use crate::output;

#[derive(Args, Debug)]
pub(super) struct CheckConfig {
    /// A lightbus.yaml or .json; the file with our own settings beside it is checked too
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl CheckConfig {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let lightbus = Config::read_file(&self.file)?;
        let beside = OwnConfig::beside(&self.file);
        let own = match beside.exists() {
            true => OwnConfig::read_file(&beside)?,
            false => OwnConfig::default(),
        };
        let placeholders = Placeholders::of_this_process();
        placeholders.fill(&lightbus.service_name)?;
        placeholders.fill(&lightbus.process_name)?;
        for what in lightbus.without_effect() {
            crate::output::tell(&format!("WARNING {what}"));
        }
        Configuration { lightbus, own }.settings()?;
        let also = if beside.exists() { format!(" and {}", shown(&beside)) } else { String::new() };
        context.tell(format!("{}{also}: nothing is wrong", shown(&self.file)));
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[derive(Args, Debug)]
pub(super) struct DumpConfigSchema {
    /// Write to this file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl DumpConfigSchema {
    pub(super) fn run(self) -> Outcome {
        let text = format!("{:#}\n", Config::json_schema());
        match self.out {
            Some(out) => {
                std::fs::write(&out, text).attempt(|| format!("cannot write {}", out.display()))
            }
            None => output::write(&text),
        }
    }
}
