//! What clap says about a mistake, in Juju's words.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Ending;

/// Turns a clap error into help or one sentence.
pub(super) fn ending(error: &clap::Error) -> Ending {
    let first = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let argument = first(ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Ending::Help(error.render().ansi().to_string())
        }
        ErrorKind::UnknownArgument => Ending::Usage(unknown(&argument)),
        ErrorKind::InvalidSubcommand => {
            let word = first(ContextKind::InvalidSubcommand).unwrap_or_default();
            Ending::Usage(format!("unrecognized command: {word}"))
        }
        ErrorKind::MissingRequiredArgument => {
            Ending::Usage(format!("no {} specified", noun(&argument)))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = first(ContextKind::InvalidValue).unwrap_or_default();
            Ending::Usage(invalid(error, &argument, &value))
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            Ending::Usage(line.strip_prefix("error: ").unwrap_or(line).to_owned())
        }
    }
}

/// A flag nobody defined, or a word too many.
fn unknown(argument: &str) -> String {
    if argument.starts_with('-') && argument.len() > 1 {
        let flag = argument.split('=').next().unwrap_or(argument);
        format!("flag provided but not defined: {flag}")
    } else {
        format!("unrecognized args: [{argument:?}]")
    }
}

fn invalid(error: &clap::Error, argument: &str, value: &str) -> String {
    let flag = argument.split_whitespace().next().unwrap_or(argument);
    if value.is_empty() && flag.starts_with('-') && error.kind() == ErrorKind::InvalidValue {
        return format!("flag needs an argument: {flag}");
    }
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let valid = || match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("use one of {}", values.join(", ")),
        _ => String::from("not understood"),
    };
    let reason = reason.unwrap_or_else(valid);
    if flag.starts_with('-') {
        format!("invalid value {value:?} for flag {flag}: {reason}")
    } else {
        format!("invalid {} {value:?}: {reason}", noun(flag))
    }
}

/// `<UNIT_NAME>...` → `unit name`.
fn noun(argument: &str) -> String {
    let name = argument.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    name.to_lowercase().replace(['_', '|'], " ")
}
