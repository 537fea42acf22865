//! What a fresh Debian or Ubuntu lacks, installed on the way.
//!
//! Under CI (`CI` is set) and as root nothing is asked; otherwise `sudo` may ask for a password.

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{execute, on_path, output, root, say, target};

/// A program, and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] =
    &[("python3", "python3"), ("git", "git"), ("redis-server", "redis-server")];

/// Installs the packages whose programs are missing.
pub(crate) fn packages() -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !has_venv() {
        missing.push("python3-venv");
    }
    if crate::postgresql::binaries().is_none() {
        missing.push("postgresql");
    }
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing Debian packages: {}", missing.join(", ")));
    if !on_path("apt-get") {
        bail!("no apt-get here; install these yourself: {}", missing.join(", "));
    }
    ask()?;
    execute(&mut privileged(&["apt-get", "update", "--quiet"]))?;
    let mut install = vec!["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(&missing);
    execute(privileged(&install).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Installs `cargo-nextest` unless it is there.
pub(crate) fn nextest() -> Result<()> {
    if output(Command::new("cargo").args(["nextest", "--version"])).is_ok() {
        return Ok(());
    }
    say("installing cargo-nextest (a few minutes, once)");
    execute(Command::new("cargo").args(["install", "--locked", "cargo-nextest"]))
}

/// A Python environment with what `requirements` lists; answers its directory. Made anew when the
/// list changes.
pub(crate) fn python_environment(name: &str, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let environment = target().join("python").join(name);
    let stamp = environment.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(environment);
    }
    say(&format!("preparing the Python environment `{name}`"));
    if environment.exists() {
        fs::remove_dir_all(&environment).context("cannot remove the old Python environment")?;
    }
    execute(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    execute(
        Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(requirements)
            .current_dir(root()),
    )?;
    fs::write(&stamp, wanted).context("cannot note what the Python environment holds")?;
    Ok(environment)
}

fn has_venv() -> bool {
    output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

/// The command as root: through `sudo` unless this is root already.
fn privileged(command: &[&str]) -> Command {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut words = command.iter();
    let program = if is_root { words.next().copied().unwrap_or_default() } else { "sudo" };
    let mut privileged = Command::new(program);
    privileged.args(words);
    privileged
}

/// Asks a person whether to go on; a machine is not asked.
fn ask() -> Result<()> {
    if env::var_os("CI").is_some() || !io::stdin().is_terminal() {
        return Ok(());
    }
    print!("Install them now? [Y/n] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "" | "y" | "Y" | "yes" => Ok(()),
        _ => bail!("not installed"),
    }
}
