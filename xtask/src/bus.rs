//! Tests of the bus with real Python Lightbus, over Redis and over the built-in broker: pytest starts peers of both
//! languages, brokers, and kills some of them.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    setup,
    shell::{cargo, execute, root, say, target, watched},
    test::{Totals, counts},
};

/// Runs the tests in `tests/bus`, or those whose names match a pytest expression.
pub(crate) fn run(expression: Option<&str>) -> Result<Totals> {
    say("the bus with Python Lightbus");
    execute(&mut cargo(&["build", "--quiet", "--package", "tutti-bus", "--examples"]))?;
    execute(&mut cargo(&["build", "--quiet", "--package", "tutti", "--bin", "tutti"]))?;
    let tests = root().join("tests/bus");
    let environment = setup::python_environment("bus", &tests.join("requirements.txt"))?;
    let mut command = Command::new(environment.join("bin/python"));
    command
        .args(["-m", "pytest", "--color=no", "-ra", "--durations=10", "--rootdir"])
        .arg(&tests)
        .arg(&tests)
        .env("TUTTI_BUS_EXAMPLES", target().join("debug/examples"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(root());
    if let Some(expression) = expression {
        command.args(["-k", expression]);
    }
    let (lines, succeeded) = watched(&mut command)?;
    let totals = lines.iter().rev().find_map(|line| counts(line)).unwrap_or_default();
    if !succeeded && totals.failed == 0 {
        bail!("the tests of the bus did not run");
    }
    Ok(totals)
}
