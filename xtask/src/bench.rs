//! `cargo xtask bench`: the figures of `docs/performance.md`, measured on a release build.

use std::process::Command;

use anyhow::Result;

use crate::{
    acceptance::{environment, link_programs, path},
    setup,
    shell::{cargo, execute, root, target},
};

/// What to measure with.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure the incremental `quick` build instead of the release build.
    #[arg(long)]
    quick: bool,
    /// Only the measurements whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

/// Builds, then runs `bench/measure.py`.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::packages()?;
    let profile = if options.quick { "quick" } else { "release" };
    execute(&mut cargo(&["build", "--package", "tutti", "--profile", profile]))?;
    let programs = link_programs(&target().join(profile).join("tutti"))?;
    let mut command = Command::new(environment()?.join("bin/python"));
    command.arg(root().join("bench/measure.py")).arg(programs.join("tutti"));
    // Charms are packed with `uv`, as in the acceptance tests.
    command.env("PATH", path(&[programs])?);
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    execute(&mut command)
}
