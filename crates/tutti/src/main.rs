//! Tutti: deploys, connects, upgrades and removes the services of a small team.
//!
//! One binary for everything. `main` looks at the name it was started under: a hook tool is run
//! at once, before anything else is set up; otherwise the command line is read ([`arguments`]) and
//! its [`command`] run, against the controller that [`context`] finds or starts. Only `main`
//! decides exit codes.
//!
//! - [`personality`]: which program this is, by its name;
//! - [`arguments`]: from `argv` to a command, by Juju's rules;
//! - [`command`]: the commands, a file per noun;
//! - [`context`], [`client_store`], [`controller_process`], [`directories`]: which controller and
//!   which model;
//! - [`wildcard`]: patterns of names;
//! - [`output`], [`failure`]: stdout for the answer, stderr for everything else.

mod arguments;
mod client_store;
mod command;
mod context;
mod controller_process;
mod directories;
mod failure;
mod local_charm;
mod model_name;
mod output;
mod personality;
mod status;
mod wildcard;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Ending;
use context::Context;
use failure::{Failure, Outcome};
use personality::Personality;

fn main() -> ExitCode {
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    if let Some(tool) = personality::hook_tool(&program) {
        // Called hundreds of times by hooks that wait for it: nothing else may be set up before.
        return ExitCode::from(tutti_charm::hook_tool::run(tool, words));
    }
    let words: Vec<OsString> = words.collect();
    match run(Personality::of(&program), words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output::tell(&format!("ERROR {message}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(personality: Personality, words: Vec<OsString>) -> Outcome {
    let words = readable(words)?;
    if personality == Personality::Charmcraft {
        return command::charmcraft(words);
    }
    if personality == Personality::JujuExec {
        let mut context = Context::open(personality, true)?;
        return client_runtime()?.block_on(command::juju_exec(&mut context, &words));
    }
    let line = match arguments::parse(personality, words) {
        Ok(line) => line,
        Err(Ending::Help(text)) => return output::write(&text),
        Err(Ending::Usage(message)) => return Err(Failure::Usage(message)),
    };
    let mut context = Context::open(personality, line.common.quiet)?;
    let runtime = if line.command.is_service() { service_runtime()? } else { client_runtime()? };
    let outcome = runtime.block_on(line.command.run(&mut context));
    // A blocking read of stdin must not keep a finished command alive.
    runtime.shutdown_background();
    outcome
}

/// Arguments as text; file names that are not UTF-8 cannot be named here.
fn readable(words: Vec<OsString>) -> Outcome<Vec<String>> {
    let read = |word: OsString| {
        word.into_string()
            .map_err(|word| Failure::usage(format!("argument {word:?} is not valid UTF-8")))
    };
    words.into_iter().map(read).collect()
}

/// One call and its answer: one thread is enough, and starts fastest.
fn client_runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn service_runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
