//! Answers on stdout, everything else on stderr.
//!
//! - [`Answer`]: one value in the form the caller asked for, to stdout or a file;
//! - [`json`]: JSON as Go's encoder writes it;
//! - [`measure`]: durations and counts;
//! - [`table`]: aligned columns for people, with [`style`] giving colours their meaning;
//! - [`progress`]: bars and lines while something takes long.

pub(crate) mod json;
pub(crate) mod measure;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod table;

use std::fs;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::arguments::OutputArguments;
use crate::failure::{Attempt as _, Failure, Outcome};

/// How often it is looked whether anybody still reads stdout.
const READER_LOOK: Duration = Duration::from_millis(200);

/// The forms an answer can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line of JSON
    Json,
    /// YAML
    Yaml,
    /// Columns
    #[value(alias = "plain", alias = "smart", alias = "text")]
    Tabular,
    /// One line per unit
    #[value(alias = "short", alias = "line")]
    Oneline,
    /// Counts
    Summary,
}

impl OutputArguments {
    /// The form asked for, or the command's own.
    pub(crate) fn form(&self, default: Format) -> Format {
        self.format.unwrap_or(default)
    }

    /// Prints `value` in the form asked for; `tabular` makes the form for people.
    pub(crate) fn print<T: Serialize>(
        &self,
        default: Format,
        value: &T,
        tabular: impl FnOnce() -> String,
    ) -> Outcome {
        let text = match self.form(default) {
            Format::Json => json::line(value)?,
            Format::Yaml => tutti_charm::yaml::to_string(value)?,
            Format::Tabular => tabular(),
            form => return Err(unknown_form(form)),
        };
        self.write(&text)
    }

    /// Prints a finished text.
    pub(crate) fn write(&self, text: &str) -> Outcome {
        match &self.output {
            Some(path) => {
                fs::write(path, text).attempt(|| format!("cannot write {}", path.display()))
            }
            None => write(text),
        }
    }
}

/// A form the command does not have.
pub(crate) fn unknown_form(form: Format) -> Failure {
    let name = form.to_possible_value().map_or_else(String::new, |value| value.get_name().into());
    Failure::usage(format!(
        "invalid value {name:?} for flag --format: this command prints json, yaml or tabular"
    ))
}

/// Writes a part of the answer to stdout, colours included if stdout shows them.
pub(crate) fn write(text: &str) -> Outcome {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Ends when whoever read stdout has gone. For commands that may have nothing to say for long: others
/// find out when they write. Never ends where nobody can go, as with a file.
pub(crate) async fn reader_gone() {
    let stdout = io::stdout();
    loop {
        tokio::time::sleep(READER_LOOK).await;
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let looked = poll(&mut polled, Some(&Timespec::default()));
        if looked.is_ok() && polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
            return;
        }
    }
}

/// Writes bytes to stdout as they are.
pub(crate) fn write_bytes(bytes: &[u8]) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// Tells the person something that is not the answer: one line on stderr.
pub(crate) fn tell(text: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// MiB as Juju prints sizes: `512 MiB`, `1.5 GiB`; nothing for nothing.
pub(crate) fn mebibytes(size: u64) -> String {
    match size {
        0 => String::new(),
        1..1024 => format!("{size} MiB"),
        _ => format!("{}.{} GiB", size / 1024, size % 1024 * 10 / 1024),
    }
}
