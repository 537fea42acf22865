//! `ssh` and `scp` on this machine.
//!
//! Every unit and machine of a controller runs on its host so far, so a shell "on a unit" is a
//! local process in the unit's directory, and a copy "to a unit" is a local copy. The arguments are
//! those of ssh and scp; their options are understood as far as needed to find the target and the
//! command behind them.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use clap::{Args, Subcommand};
use tutti_charm::name::split_unit;
use tutti_model::api::{ControllerInfo, ModelInfo, Status, UnitInfo};

use crate::arguments::ModelArgument;
use crate::context::{Context, Model, unit_path};
use crate::directories::variable;
use crate::failure::{Attempt as _, Failure, Outcome};

/// Options of ssh that take a value.
const SSH_VALUES: &str = "BDEFIJLOPQRSWbceilmopw";

/// Options of scp that take a value.
const SCP_VALUES: &str = "DFJPSXcilo";

/// Commands that act on a unit's or machine's files and shell.
#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Open a shell in a unit's directory, or run a command there
    #[command(after_help = "Examples:\n  tutti ssh db/0\n  tutti ssh db/leader ls charm")]
    Ssh(Ssh),
    /// Copy files to and from units
    #[command(after_help = "Examples:\n  tutti scp db/0:charm/config.yaml .\n  \
                            tutti scp -- -r ./data db/0:data")]
    Scp(Scp),
}

impl RemoteCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Ssh(command) => command.run(context).await,
            Self::Scp(command) => command.run(context).await,
        }
    }
}

/// Arguments that mean nothing while every unit is a process of this machine.
#[derive(Args, Debug)]
struct AcceptedArguments {
    /// Accepted; a unit's containers share its host so far
    #[arg(hide = true, long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Accepted; there is no other host
    #[arg(hide = true, long)]
    no_host_key_checks: bool,
    /// Accepted; there is no proxy
    #[arg(hide = true, long)]
    proxy: bool,
    /// Accepted
    #[arg(hide = true, long)]
    remote: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Ssh {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    accepted: AcceptedArguments,
    /// Accepted; the terminal is passed on as it is
    #[arg(hide = true, long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pty: Option<bool>,
    /// [user@]target, ssh options, command
    #[arg(
        value_name = "TARGET [SSH OPTIONS] [COMMAND]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl Ssh {
    async fn run(self, context: &Context) -> Outcome {
        let (target, rest) = self.words.split_first().unwrap_or((&EMPTY, &[]));
        let command = after_options(rest);
        let model = context.model(&self.model).await?;
        let place = Place::find(&model, target).await?;
        let mut shell = Command::new("/bin/sh");
        if command.is_empty() {
            shell = Command::new(variable("SHELL").unwrap_or_else(|| "/bin/sh".into()));
        } else {
            // As sshd does: the words, joined by spaces, are a line for the shell.
            shell.arg("-c").arg(command.join(" "));
        }
        let status = shell
            .current_dir(&place.directory)
            .env("JUJU_UNIT_NAME", &place.unit)
            .status()
            .attempt(|| format!("cannot run a shell in {}", place.directory.display()))?;
        outcome(status)
    }
}

/// A word that is not there.
static EMPTY: String = String::new();

#[derive(Args, Debug)]
pub(crate) struct Scp {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    accepted: AcceptedArguments,
    /// scp options, sources, destination; [user@]unit:path names a file of a unit
    #[arg(
        value_name = "[SCP OPTIONS] SOURCE… DESTINATION",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

impl Scp {
    async fn run(self, context: &Context) -> Outcome {
        let (options, paths) = split_options(&self.words);
        if paths.len() < 2 {
            return Err(Failure::usage("at least two arguments required"));
        }
        let mut model = None;
        let mut local = Vec::with_capacity(paths.len());
        for path in paths {
            local.push(match remote_path(path) {
                None => PathBuf::from(path),
                Some((target, path)) => {
                    if model.is_none() {
                        model = Some(context.model(&self.model).await?);
                    }
                    match &model {
                        Some(model) => Place::find(model, target).await?.resolve(path),
                        None => PathBuf::from(path),
                    }
                }
            });
        }
        let mut copy = Command::new("cp");
        // scp follows links; so must this.
        copy.arg("-L");
        if options.contains('r') {
            copy.arg("-r");
        }
        if options.contains('p') {
            copy.arg("--preserve=mode,timestamps");
        }
        let status = copy.arg("--").args(&local).status().attempt(|| "cannot run cp".into())?;
        outcome(status)
    }
}

/// Where a target's files are.
#[derive(Debug)]
struct Place {
    /// The unit's name, empty for machines.
    unit: String,
    /// The unit's directory, or the home directory for machines.
    directory: PathBuf,
    /// The model's directory, which holds `agents/unit-a-0`.
    model: PathBuf,
}

impl Place {
    /// Finds `[user@]app/0`, `[user@]app/leader` or `[user@]3`.
    async fn find(model: &Model, target: &str) -> Outcome<Self> {
        let target = target.rsplit_once('@').map_or(target, |(_, target)| target);
        let info: ModelInfo = model.get("").await?;
        let controller: ControllerInfo = model.client.get("/v1").await?;
        let directory = Path::new(&controller.data).join("models").join(&info.uuid);
        if let Some(application) = target.strip_suffix("/leader") {
            let unit = leader(model, application).await?;
            return Self::of_unit(model, unit, directory).await;
        }
        if split_unit(target).is_some() {
            return Self::of_unit(model, target.to_owned(), directory).await;
        }
        if info.machines.contains_key(target) {
            let home = variable("HOME").unwrap_or_else(|| "/".into());
            return Ok(Self { unit: String::new(), directory: home.into(), model: directory });
        }
        let is_number = target.starts_with(|c: char| c.is_ascii_digit());
        let noun = if is_number { "machine" } else { "unit or machine" };
        Err(Failure::new(format!("{noun} {target:?} not found")))
    }

    async fn of_unit(model: &Model, unit: String, directory: PathBuf) -> Outcome<Self> {
        let _: UnitInfo = model.get(&unit_path(&unit, "")?).await?;
        let agent = directory.join("agents").join(format!("unit-{}", unit.replace('/', "-")));
        if !agent.is_dir() {
            return Err(Failure::new(format!(
                "unit {unit:?} has no directory on this machine yet: {} does not exist",
                agent.display()
            )));
        }
        Ok(Self { unit, directory: agent, model: directory })
    }

    /// A path on the target: absolute, or relative to the unit's directory. Juju's own layout
    /// (`agents/unit-a-0/charm`) is relative to what holds the agents.
    fn resolve(&self, path: &str) -> PathBuf {
        let path = path.strip_prefix("~/").unwrap_or(path);
        if path.starts_with("agents/") { self.model.join(path) } else { self.directory.join(path) }
    }
}

/// The leader of an application.
async fn leader(model: &Model, application: &str) -> Outcome<String> {
    let status: Status = model.get("/status").await?;
    if !status.applications.contains_key(application) {
        return Err(Failure::new(format!("application {application:?} not found")));
    }
    let mut units = crate::status::units(&status);
    let of = |name: &str| name.split('/').next() == Some(application);
    let found = units.find(|(name, unit)| unit.leader && of(name));
    found.map(|(name, _)| name.to_owned()).ok_or_else(|| {
        Failure::new(format!("could not determine leader for {application:?}: it has none yet"))
    })
}

/// `[user@]unit:path`; a colon behind a slash that is no unit's belongs to a local file.
fn remote_path(text: &str) -> Option<(&str, &str)> {
    let (target, path) = text.split_once(':')?;
    let name = target.rsplit_once('@').map_or(target, |(_, name)| name);
    let is_machine = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let is_unit = split_unit(name).is_some() || name.ends_with("/leader");
    (is_unit || is_machine).then_some((target, path))
}

/// The words behind ssh's options.
fn after_options(words: &[String]) -> &[String] {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return &words[at + 1..];
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            break;
        };
        at += 1 + usize::from(value_follows(letters, SSH_VALUES));
    }
    words.get(at..).unwrap_or_default()
}

/// Splits scp's options (their letters) from its paths.
fn split_options(words: &[String]) -> (String, Vec<&str>) {
    let mut options = String::new();
    let mut paths = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some("-") => paths.extend(words.by_ref().map(String::as_str)),
            Some(letters) if !letters.is_empty() => {
                let flags = letters.find(|letter| SCP_VALUES.contains(letter));
                options.push_str(flags.map_or(letters, |at| &letters[..at]));
                if value_follows(letters, SCP_VALUES) {
                    words.next();
                }
            }
            _ => paths.push(word.as_str()),
        }
    }
    (options, paths)
}

/// Whether the value of the last option of a group (`-ti`) is the next word.
fn value_follows(letters: &str, with_value: &str) -> bool {
    let at = letters.find(|letter| with_value.contains(letter));
    at.is_some_and(|at| at + 1 == letters.len())
}

/// The exit code of the other program is ours; a signal counts as in a shell.
fn outcome(status: ExitStatus) -> Outcome {
    if status.success() {
        return Ok(());
    }
    let signalled = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signalled).unwrap_or(1);
    Err(Failure::Exit(u8::try_from(code).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_command_is_behind_the_options() {
        for (words, command) in [
            (&["-i", "key", "echo", "-n", "x"][..], &["echo", "-n", "x"][..]),
            (&["-tt", "-o", "A=b", "ls"], &["ls"]),
            (&["-ikey", "ls", "-l"], &["ls", "-l"]),
            (&["--", "-x"], &["-x"]),
            (&["ls"], &["ls"]),
            (&["-i"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(after_options(&owned(words)), owned(command), "{words:?}");
        }
    }

    #[test]
    fn paths_are_between_the_options() {
        let words = owned(&["-r", "-i", "key", "src", "-pC", "a/0:dst"]);
        let (options, paths) = split_options(&words);
        assert_eq!((options.as_str(), &paths[..]), ("rpC", &["src", "a/0:dst"][..]));
    }

    #[test]
    fn remote_paths_start_with_a_unit_or_machine() {
        for (text, found) in [
            ("a/0:x", Some(("a/0", "x"))),
            ("ubuntu@a/0:/x:y", Some(("ubuntu@a/0", "/x:y"))),
            ("a/leader:x", Some(("a/leader", "x"))),
            ("0:x", Some(("0", "x"))),
            ("./a:b", None),
            ("a:b", None),
            ("a/b:c", None),
            ("plain", None),
        ] {
            assert_eq!(remote_path(text), found, "{text}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_unit() {
        let place = Place {
            unit: "a/0".into(),
            directory: "/m/agents/unit-a-0".into(),
            model: "/m".into(),
        };
        for (path, resolved) in [
            ("/etc/passwd", "/etc/passwd"),
            ("charm/x", "/m/agents/unit-a-0/charm/x"),
            ("agents/unit-a-0/charm/x", "/m/agents/unit-a-0/charm/x"),
            ("", "/m/agents/unit-a-0/"),
        ] {
            assert_eq!(place.resolve(path), Path::new(resolved), "{path}");
        }
    }
}
