//! `cargo xtask demo`: Tutti from nothing to a refreshed application, in the open.
//!
//! Every step is a command a person could type; it is printed before it runs. The controller is
//! left running, with a hint how to look further.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    acceptance::link_programs,
    shell::{cargo, execute, on_path, output, root, say, target},
};

/// How long an application may take to settle; Python charms fetch `ops` the first time.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// Where and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Keep the controller's data here instead of in a new scratch directory.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Stop the controller at the end and remove the scratch directory.
    #[arg(long)]
    stop: bool,
}

/// A demo in progress: the scratch directory and the commands run in it.
struct Demo {
    data: PathBuf,
    programs: PathBuf,
}

/// Builds and runs the demo.
pub(crate) fn run(options: &Options) -> Result<()> {
    say("building Tutti");
    execute(&mut cargo(&["build", "--package", "tutti"]))?;
    let demo = Demo::new(options)?;
    let python = demo.python();

    say("a model, and a database charm written in bash");
    demo.tutti(&["add-model", "demo"])?;
    demo.tutti(&["deploy", "./charms/database"])?;
    demo.settle()?;
    if python {
        say("a website charm written in Python on ops, related to the database");
        demo.tutti(&["deploy", "./charms/website"])?;
        demo.tutti(&["integrate", "website", "database"])?;
    } else {
        say("no Python 3 with venv here: a second bash charm stands in for the website");
        demo.tutti(&["deploy", "./charms/client", "website"])?;
        demo.tutti(&["integrate", "website", "database"])?;
    }
    demo.settle()?;
    demo.tutti(&["status", "--relations"])?;

    say("configuration and an action");
    demo.tutti(&["config", "database", "greeting=welcome back"])?;
    demo.settle()?;
    demo.tutti(&["run", "database/0", "report"])?;

    say("an upgrade: what would change, then for real");
    let newer = demo.newer_database()?;
    let newer = newer.display().to_string();
    demo.tutti(&["refresh", "database", "--path", &newer, "--dry-run"])?;
    demo.tutti(&["refresh", "database", "--path", &newer])?;
    demo.settle()?;
    demo.tutti(&["status"])?;

    say("the flows and tasks behind it");
    demo.tutti(&["flows"])?;
    demo.tutti(&["tasks", "--resource", "application/database"])?;
    demo.finish(options)
}

impl Demo {
    fn new(options: &Options) -> Result<Self> {
        let data = match &options.data {
            Some(data) => data.clone(),
            None => env::temp_dir().join(format!("tutti-demo-{}", std::process::id())),
        };
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let programs = link_programs(&target().join("debug/tutti"))?;
        println!("data in {}", data.display());
        Ok(Self { data, programs })
    }

    /// `tutti` with this demo's data directory, run from the checkout.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("tutti"));
        command
            .args(arguments)
            .env("TUTTI_DATA", &self.data)
            .env("JUJU_DATA", self.data.join("client"))
            .env_remove("TUTTI_CONTROLLER")
            .env_remove("JUJU_MODEL")
            .current_dir(root());
        command
    }

    fn tutti(&self, arguments: &[&str]) -> Result<()> {
        println!("\n$ tutti {}", arguments.join(" "));
        let status = self.command(arguments).status().context("cannot start tutti")?;
        if !status.success() {
            bail!("`tutti {}` ended with {status}", arguments.join(" "));
        }
        Ok(())
    }

    /// Waits until every unit is active and idle.
    fn settle(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let status = output(&mut self.command(&["status", "--format", "json"]))?;
            let status: serde_json::Value =
                serde_json::from_str(&status).context("the status is not JSON")?;
            if settled(&status) {
                println!("(settled after {:.2} s)", started.elapsed().as_secs_f64());
                return Ok(());
            }
            if started.elapsed() > SETTLE_MAX {
                self.tutti(&["status"])?;
                bail!("not settled after {} s", SETTLE_MAX.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The database charm as its author would have changed it.
    fn newer_database(&self) -> Result<PathBuf> {
        let newer = self.data.join("database-next");
        copy(&root().join("charms/database"), &newer)?;
        fs::write(newer.join("version"), "2.0\n").context("cannot change the charm")?;
        Ok(newer)
    }

    fn python(&self) -> bool {
        let probe = ["-c", "import venv, ensurepip"];
        on_path("python3") && output(Command::new("python3").args(probe)).is_ok()
    }

    fn finish(&self, options: &Options) -> Result<()> {
        if options.stop {
            say("stopping");
            // With its units: what they started would outlive the controller, as it should.
            self.tutti(&["destroy-model", "demo", "--no-prompt"])?;
            self.tutti(&["stop"])?;
            return fs::remove_dir_all(&self.data).context("cannot remove the scratch directory");
        }
        let programs = self.programs.display();
        let data = self.data.display();
        say("the controller is still running; look further with");
        println!("export PATH={programs}:$PATH TUTTI_DATA={data} JUJU_DATA={data}/client");
        println!("tutti status --watch 1s      # and in another terminal:");
        println!("tutti config database greeting=hello");
        println!("tutti debug-log --tail");
        println!("tutti stop                   # when done");
        Ok(())
    }
}

/// Whether every unit of every application is active and its agent idle.
fn settled(status: &serde_json::Value) -> bool {
    let Some(applications) = status["applications"].as_object() else { return false };
    let mut units = applications
        .values()
        .filter_map(|application| application["units"].as_object())
        .flat_map(serde_json::Map::values)
        .peekable();
    units.peek().is_some()
        && units.all(|unit| {
            unit["workload-status"]["current"] == "active"
                && unit["juju-status"]["current"] == "idle"
        })
}

/// Copies a directory with its modes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}
