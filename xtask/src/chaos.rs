//! `cargo xtask chaos`: processes that share one PostgreSQL run random flows and are killed at random; then what they did is
//! checked.

use std::process::Command;

use anyhow::Result;

use crate::{
    postgresql::Server,
    setup,
    shell::{cargo, execute, target},
};

/// How long, how many, where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long processes are killed.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Processes at a time.
    #[arg(long, default_value_t = 4)]
    processes: u32,
    /// A PostgreSQL server, in which a schema is made and dropped, instead of one of our own.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Runs the flow engine's `chaos` example.
pub(crate) fn run(options: &Options) -> Result<()> {
    execute(&mut cargo(&["build", "--quiet", "--package", "tutti-flow", "--example", "chaos"]))?;
    let server = match options.database {
        Some(_) => None,
        None => {
            setup::packages()?;
            Some(Server::start()?)
        }
    };
    let url = options.database.clone().or_else(|| Some(server.as_ref()?.url()));
    let seconds = options.minutes.saturating_mul(60);
    let mut command = Command::new(target().join("debug/examples/chaos"));
    command.args(["--seconds", &seconds.to_string()]);
    command.args(["--processes", &options.processes.to_string()]);
    execute(command.args(["--database", &url.unwrap_or_default()]))
}
