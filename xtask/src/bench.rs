//! `cargo xtask bench`: the figures of `docs/performance.md`, measured on a release build; with `--flow`, the flow engine beside
//! other engines; with `--content`, the content store beside Pulp.

use std::process::Command;

use anyhow::Result;

use crate::{
    acceptance::{environment, link_programs, path},
    postgresql::Server,
    setup,
    shell::{cargo, execute, root, target},
};

/// What to measure with.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure the incremental `quick` build instead of the release build; with `--flow` and `--content`, less of it.
    #[arg(long)]
    quick: bool,
    /// Only the measurements whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Measure the flow engine beside other engines (`bench/flow`).
    #[arg(long)]
    flow: bool,
    /// Measure the content store beside Pulp (`bench/content`).
    #[arg(long, conflicts_with = "flow")]
    content: bool,
}

/// Builds, then runs `bench/measure.py`.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::packages()?;
    if options.flow {
        return run_flow(options);
    }
    if options.content {
        return run_content(options);
    }
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

/// Runs `bench/flow/run.py` with a PostgreSQL server of its own.
fn run_flow(options: &Options) -> Result<()> {
    let server = Server::start()?;
    let mut command = Command::new("python3");
    command.arg(root().join("bench/flow/run.py")).args(["--database", &server.url()]);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    execute(&mut command)
}

/// Builds, then runs `bench/content/run.py`, which starts what it needs.
fn run_content(options: &Options) -> Result<()> {
    let profile = if options.quick { "quick" } else { "release" };
    let example = ["--package", "tutti-content", "--example", "fetch_limit"];
    for what in [&["--package", "tutti"][..], &example[..]] {
        execute(cargo(&["build", "--profile", profile]).args(what))?;
    }
    let built = target().join(profile);
    let mut command = Command::new("python3");
    command.arg(root().join("bench/content/run.py"));
    command.args([built.join("tutti"), built.join("examples/fetch_limit")]);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    execute(&mut command)
}
