//! Development commands of Tutti: `cargo xtask demo`, `test`, `tidy`, `bench`, `crash`, `chaos`,
//! `random`.
//!
//! Each command says what it runs. Nothing but cargo is needed to start one: what else is missing
//! is installed on the way ([`setup`]).

mod acceptance;
mod bench;
mod bus;
mod chaos;
mod demo;
mod postgresql;
mod random;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development commands of Tutti")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Tutti and show it: deploy, relate, configure, act, refresh; leaves it running.
    Demo(demo::Options),
    /// Install what is missing, run every test, print the totals.
    Test(test::Options),
    /// Check what no compiler checks: file sizes, names, licences, stray marks.
    Tidy,
    /// Measure what `docs/performance.md` states, with a release build.
    Bench(bench::Options),
    /// Kill controller and agent at random during mixed operations, then check that all converges.
    Crash(acceptance::CrashOptions),
    /// Kill processes that share one PostgreSQL and run flows, at random; then check what they did.
    Chaos(chaos::Options),
    /// Run random flows for long, with workers that are killed, and every order of events for a few.
    Random(random::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Crash(options) => acceptance::crash(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Random(options) => random::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
