//! `cargo xtask test`: everything that must hold, in one run, with the totals at the end.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    acceptance, bus, postgresql, setup,
    shell::{cargo, execute, say, target, watched},
    tidy,
};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Skip the acceptance tests with real clients.
    #[arg(long)]
    no_acceptance: bool,
    /// Only the acceptance tests whose names match this pytest expression.
    #[arg(long, value_name = "EXPRESSION")]
    acceptance: Option<String>,
    /// Only the tests of the bus with Python Lightbus whose names match this pytest expression (all if it is empty).
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "acceptance")]
    bus: Option<String>,
}

/// Tests counted over all runners.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Installs what is missing, starts what is needed, runs every test, prints the totals.
pub(crate) fn run_all(options: &Options) -> Result<Totals> {
    setup::packages()?;
    if let Some(expression) = &options.bus {
        return bus::run(Some(expression));
    }
    setup::nextest()?;
    let server = postgresql::Server::start()?;
    let mut totals = Totals::default();
    if options.acceptance.is_none() {
        totals.add(&checks()?);
        totals.add(&unit_and_integration(&server.url())?);
        totals.add(&documentation()?);
    }
    if options.acceptance.is_none() && !options.no_acceptance {
        totals.add(&bus::run(None)?);
    }
    if !options.no_acceptance {
        totals.add(&acceptance::run(&server.url(), options.acceptance.as_deref())?);
    }
    Ok(totals)
}

/// Runs and reports; fails if a test failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let totals = run_all(options)?;
    say("totals");
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    if totals.failed > 0 {
        bail!("{} tests failed", totals.failed);
    }
    Ok(())
}

/// Tidiness, formatting and lints: three checks, counted as such.
fn checks() -> Result<Totals> {
    say("tidiness, format and lints");
    tidy::run()?;
    run_cargo(&["fmt", "--all", "--check"])?;
    run_cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    Ok(Totals { passed: 3, ..Totals::default() })
}

fn unit_and_integration(postgres: &str) -> Result<Totals> {
    say("unit and integration tests, on SQLite and PostgreSQL");
    run_cargo(&["build", "--workspace", "--bins", "--examples"])?;
    let mut command =
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--color", "never"]);
    command.args(["--status-level", "fail", "--final-status-level", "fail"]);
    command.env("TUTTI_TEST_POSTGRES", postgres).env("TUTTI_TEST_PYPI", "1");
    command.env("PATH", acceptance::path(&[])?);
    command.env("TUTTI_TEST_OPS", acceptance::environment()?.join("bin/python"));
    command.env("TUTTI_TEST_HOOK_TOOL", target().join("debug/examples/hook_tool"));
    let (lines, succeeded) = watched(&mut command)?;
    let totals = lines.iter().rev().find_map(|line| counts(line)).unwrap_or_default();
    if !succeeded && totals.failed == 0 {
        bail!("the tests did not run");
    }
    Ok(totals)
}

fn documentation() -> Result<Totals> {
    say("examples in the documentation");
    let (lines, succeeded) = watched(&mut cargo(&["test", "--doc", "--workspace", "--quiet"]))?;
    let mut totals = Totals::default();
    for line in &lines {
        if line.starts_with("test result:") {
            totals.add(&counts(line).unwrap_or_default());
        }
    }
    if !succeeded && totals.failed == 0 {
        bail!("the examples in the documentation did not run");
    }
    Ok(totals)
}

/// Reads the numbers before `passed`, `failed` and `skipped` or `ignored` in a runner's summary.
pub(crate) fn counts(line: &str) -> Option<Totals> {
    let mut totals = Totals::default();
    let mut found = false;
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u64>() else { continue };
        match pair[1].trim_end_matches('.') {
            "passed" => totals.passed = number,
            "failed" | "error" | "errors" => totals.failed += number,
            "skipped" | "ignored" | "deselected" => totals.skipped += number,
            _ => continue,
        }
        found = true;
    }
    found.then_some(totals)
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    let command: &mut Command = &mut cargo(arguments);
    execute(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let cases = [
            ("     Summary [   0.2s] 9 tests run: 7 passed, 2 failed, 1 skipped", (7, 2, 1)),
            ("     Summary [   0.069s] 9 tests run: 9 passed, 0 skipped", (9, 0, 0)),
            (
                "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
                (4, 0, 1),
            ),
            ("===== 1 failed, 20 passed, 2 skipped in 30.11s =====", (20, 1, 2)),
            ("== 3 passed, 1 error in 2s ==", (3, 1, 0)),
        ];
        for (line, expected) in cases {
            let totals = counts(line).unwrap();
            assert_eq!((totals.passed, totals.failed, totals.skipped), expected, "{line}");
        }
        assert!(counts("Compiling tutti v0.1.0").is_none());
    }
}
