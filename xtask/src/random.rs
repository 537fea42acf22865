//! `cargo xtask random`: random flows for as long as asked, with workers that are killed; before, every order of events for more
//! flows than the tests have time for.

use anyhow::Result;

use crate::{
    postgresql::Server,
    setup,
    shell::{cargo, execute},
};

/// How long, where, and which.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long random flows are made.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// On PostgreSQL, a server of our own, instead of SQLite.
    #[arg(long)]
    postgres: bool,
    /// On this PostgreSQL server, in which a schema is made and dropped.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Makes every case of the seed that a failure told, and nothing else.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the flow engine's tests with more to do.
pub(crate) fn run(options: &Options) -> Result<()> {
    let server = match options.database {
        None if options.postgres => {
            setup::packages()?;
            Some(Server::start()?)
        }
        _ => None,
    };
    let url = options.database.clone().or_else(|| Some(server.as_ref()?.url()));
    if url.is_none() && options.seed.is_none() {
        execute(&mut test("--lib", &["queue::tests::", "--ignored"]))?;
    }
    let which = if url.is_some() { "postgres" } else { "sqlite" };
    let mut command = test("--test=it", &[&format!("random::random_flows_on_{which}"), "--exact"]);
    command.env("TUTTI_FLOW_MINUTES", options.minutes.to_string());
    if let Some(url) = url {
        command.env("TUTTI_TEST_POSTGRES", url);
    }
    if let Some(seed) = options.seed {
        command.env("TUTTI_FLOW_SEED", seed.to_string());
    }
    execute(&mut command)
}

fn test(target: &str, which: &[&str]) -> std::process::Command {
    let mut command = cargo(&["test", "--quiet", "--package", "tutti-flow", target, "--"]);
    command.args(which).arg("--nocapture");
    command
}
