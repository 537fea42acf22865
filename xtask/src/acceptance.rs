//! Acceptance tests with real clients: pytest and jubilant drive the built binary.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    setup,
    shell::{cargo, execute, root, say, target, watched},
    test::{Totals, counts},
};

/// How long and how hard to kill.
#[derive(clap::Args)]
pub(crate) struct CrashOptions {
    /// Operations in the script.
    #[arg(long, default_value_t = 200)]
    operations: u32,
    /// Seed of the random numbers; a failing run prints its own.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the data in PostgreSQL at this URL instead of SQLite.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Runs the acceptance tests against a debug build.
pub(crate) fn run(postgres: &str, expression: Option<&str>) -> Result<Totals> {
    say("acceptance tests with jubilant");
    let mut command = pytest()?;
    command.env("TUTTI_TEST_POSTGRES", postgres);
    if let Some(expression) = expression {
        command.args(["-k", expression]);
    }
    let (lines, succeeded) = watched(&mut command)?;
    let totals = lines.iter().rev().find_map(|line| counts(line)).unwrap_or_default();
    if !succeeded && totals.failed == 0 {
        bail!("the acceptance tests did not run");
    }
    Ok(totals)
}

/// The long form of the crash test.
pub(crate) fn crash(options: &CrashOptions) -> Result<()> {
    setup::packages()?;
    let mut command = pytest()?;
    command.args(["-k", "kill_at_random", "-s"]);
    command.env("TUTTI_CRASH_OPERATIONS", options.operations.to_string());
    if let Some(seed) = options.seed {
        command.env("TUTTI_CRASH_SEED", seed.to_string());
    }
    if let Some(url) = &options.database {
        command.env("TUTTI_CRASH_DATABASE", url);
    }
    execute(&mut command)
}

/// pytest in its environment, with the built binary on the path as `tutti`, `juju` and
/// `charmcraft`.
fn pytest() -> Result<Command> {
    let programs = ["--package=tutti", "--bin=tutti", "--package=tutti-bus", "--example=auth"];
    execute(cargo(&["build", "--quiet"]).args(programs))?;
    let tests = root().join("tests/acceptance");
    let programs = link_programs(&target().join("debug/tutti"))?;
    let mut command = Command::new(environment()?.join("bin/python"));
    command
        .args(["-m", "pytest", "--color=no", "-ra", "--durations=10", "--rootdir"])
        .arg(&tests)
        .arg(&tests)
        .env("PATH", path(&[programs])?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(root());
    Ok(command)
}

/// The Python environment of the acceptance tests.
pub(crate) fn environment() -> Result<PathBuf> {
    let requirements = root().join("tests/acceptance/requirements.txt");
    setup::python_environment("acceptance", &requirements)
}

/// A search path that begins with these directories and the Python environment, which holds `uv`.
pub(crate) fn path(first: &[PathBuf]) -> Result<OsString> {
    let mut directories = first.to_vec();
    directories.push(environment()?.join("bin"));
    directories.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    Ok(env::join_paths(directories)?)
}

/// A directory with the binary under each name it answers to.
pub(crate) fn link_programs(binary: &Path) -> Result<PathBuf> {
    let directory = target().join("programs");
    fs::create_dir_all(&directory).context("cannot make a directory for programs")?;
    for name in ["tutti", "juju", "charmcraft"] {
        let link = directory.join(name);
        // A link from an earlier build may point elsewhere.
        let _ = fs::remove_file(&link);
        symlink(binary, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(directory)
}
