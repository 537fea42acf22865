//! From `argv` to a command, by Juju's rules on top of clap's.
//!
//! Juju's flags are Go's: booleans may carry a value (`--trust=false`), a flag may be repeated and
//! the last one counts, a value may begin with a dash, flags and positionals mix, and `ssh` and
//! `scp` stop reading flags at their first positional. clap does most of that when told so
//! ([`tune`]); booleans with a value are rewritten before it sees them ([`plain_booleans`]). What
//! clap says about a mistake is put into Juju's words ([`explain`]).

mod duration;
mod explain;
mod help;
mod shared;
pub(crate) mod value;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches as _, Parser};

pub(crate) use duration::GoDuration;
pub(crate) use shared::{
    ConfigArgument, ConstraintsArgument, ControllerArgument, ModelArgument, OutputArguments,
    PlacementArgument, PromptArgument, ResourceArgument, StorageArgument,
};

use crate::command::Command;
use crate::personality::Personality;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "tutti",
    about = "Deploys, connects, upgrades and removes the services of a small team",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags every command of Juju takes. Only `--quiet` means something here.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Common {
    /// Print only the answer and errors
    #[arg(short, long, global = true, hide = true)]
    pub(crate) quiet: bool,
    #[arg(short = 'B', long, global = true, hide = true)]
    no_browser_login: bool,
    #[arg(long, global = true, hide = true)]
    debug: bool,
    #[arg(short, long, global = true, hide = true)]
    verbose: bool,
    #[arg(long, global = true, hide = true)]
    show_log: bool,
    #[arg(long, global = true, hide = true, value_name = "CONFIG")]
    logging_config: Option<String>,
}

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Help was asked for; it goes to stdout.
    Help(String),
    /// The line was not understood.
    Usage(String),
}

/// Reads a command line without its `argv[0]`.
pub(crate) fn parse(personality: Personality, words: Vec<String>) -> Result<CommandLine, Ending> {
    let words = match help_request(words) {
        Ok(words) => words,
        Err(HelpRequest::Overview) => return Err(Ending::Help(help::overview(personality))),
    };
    let mut root = CommandLine::command().bin_name(personality.name());
    let Some(name) = subcommand(&words).map(ToOwned::to_owned) else {
        return match root.try_get_matches_from_mut(line(personality, words)) {
            Ok(_) => Err(Ending::Help(help::overview(personality))),
            Err(error) => Err(explain::ending(&error)),
        };
    };
    let mut words = words;
    // An alias finds its command too, but only the name may be changed.
    let found = root.find_subcommand(&name).map(|command| command.get_name().to_owned());
    if let Some(found) = found {
        root = root.mut_subcommand(&found, tune);
        if let Some(chosen) = root.find_subcommand(&found) {
            let reach = reach(chosen, &words);
            let rest = words.split_off(reach);
            words = plain_booleans(chosen, words)?;
            words.extend(rest);
        }
    }
    let matches = root
        .try_get_matches_from_mut(line(personality, words))
        .map_err(|error| explain::ending(&error))?;
    CommandLine::from_arg_matches(&matches).map_err(|error| explain::ending(&error))
}

/// The whole command line as clap sees it, for completion.
pub(crate) fn command() -> clap::Command {
    CommandLine::command()
}

fn line(personality: Personality, words: Vec<String>) -> impl Iterator<Item = String> {
    std::iter::once(personality.name().to_owned()).chain(words)
}

/// A request for something other than a command.
enum HelpRequest {
    Overview,
}

/// Turns `help x` into `x --help` and finds requests for the overview.
fn help_request(mut words: Vec<String>) -> Result<Vec<String>, HelpRequest> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["help" | "--help" | "-h"] | ["help", "commands"] => Err(HelpRequest::Overview),
        ["help", ..] => {
            words.remove(0);
            words.push("--help".into());
            Ok(words)
        }
        ["--version"] => Ok(vec!["version".into()]),
        _ => Ok(words),
    }
}

/// The first word that is not a flag of every command.
fn subcommand(words: &[String]) -> Option<&str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--logging-config" {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Makes a clap command read flags as Go does.
fn tune(command: clap::Command) -> clap::Command {
    let names: Vec<String> =
        command.get_subcommands().map(|nested| nested.get_name().to_owned()).collect();
    let mut command = command.args_override_self(true).mut_args(|argument| {
        let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
        // What may stand without a value must not take the next flag for one.
        let may_be_bare = argument.get_num_args().is_some_and(|range| range.min_values() == 0);
        if argument.is_positional() || !takes_value || may_be_bare {
            return argument;
        }
        argument.allow_hyphen_values(true)
    });
    for name in names {
        command = command.mut_subcommand(name, tune);
    }
    command
}

/// How many words are to be read as flags of the command: all of them, except where everything
/// from the first positional on belongs to another program (`ssh`, `scp`).
fn reach(command: &clap::Command, words: &[String]) -> usize {
    if !command.get_positionals().any(clap::Arg::is_trailing_var_arg_set) {
        return words.len();
    }
    let takes_value = |word: &str| {
        let mut arguments = command.get_arguments();
        let found = arguments.find(|argument| match word.strip_prefix("--") {
            Some(long) => argument.get_long() == Some(long),
            None => argument.get_short().is_some_and(|short| word == format!("-{short}")),
        });
        found.is_some_and(|argument| argument.get_action().takes_values())
    };
    let is_name = |word: &String| {
        word == command.get_name() || command.get_all_aliases().any(|alias| alias == word)
    };
    let start = words.iter().position(is_name).map_or(0, |at| at + 1);
    let mut at = start;
    while let Some(word) = words.get(at) {
        if word == "--" || !word.starts_with('-') {
            break;
        }
        at += if takes_value(word) { 2 } else { 1 };
    }
    at.min(words.len())
}

/// Rewrites `--flag=true` to `--flag` and drops `--flag=false`, for flags without a value.
fn plain_booleans(command: &clap::Command, words: Vec<String>) -> Result<Vec<String>, Ending> {
    let mut booleans: Vec<String> = Vec::new();
    let nested = command.get_subcommands().flat_map(clap::Command::get_arguments);
    for argument in command.get_arguments().chain(nested) {
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            booleans.extend(names.into_iter().map(|name| format!("--{name}")));
            let short = argument.get_short_and_visible_aliases().unwrap_or_default();
            booleans.extend(short.into_iter().map(|name| format!("-{name}")));
        }
    }
    for name in ["quiet", "no-browser-login", "debug", "verbose", "show-log"] {
        booleans.push(format!("--{name}"));
    }
    let mut plain: Vec<String> = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            plain.push(word);
            plain.extend(words);
            break;
        }
        match word.split_once('=') {
            Some((flag, value)) if booleans.iter().any(|name| name == flag) => match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => plain.push(flag.to_owned()),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => plain.retain(|it| it != flag),
                _ => {
                    return Err(Ending::Usage(format!(
                        "invalid boolean value {value:?} for flag {flag}: \
                         write {flag}=true or {flag}=false"
                    )));
                }
            },
            _ => plain.push(word),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests;
