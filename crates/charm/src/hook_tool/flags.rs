//! Flags as Juju's tools take them (Go's gnuflag): before, between or after the other arguments, up to `--`;
//! `--flag value`, `--flag=value`, `-f value`, `-fvalue`, several one-letter switches in one word; a switch
//! takes a value only as `--flag=false`.

use std::collections::VecDeque;

use super::ToolError;

/// One flag of a tool.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names without hyphens, one-letter ones first; the first is the key its value is read by.
    pub(super) names: &'static [&'static str],
    /// Whether it takes a value.
    pub(super) takes: Takes,
    /// The default that the help shows.
    pub(super) default: &'static str,
    /// One sentence.
    pub(super) help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, or `=true`/`=false`.
    Switch,
    /// A value.
    Text,
}

/// What the flags and other arguments of a command line are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Key of the flag, the name as it was given (with hyphens), value; in the order of the line.
    pub(super) flags: Vec<(&'static str, String, String)>,
    /// Everything that is not a flag.
    pub(super) others: VecDeque<String>,
    /// `--help` was given.
    pub(super) help: bool,
}

impl Arguments {
    /// The value of a flag and the name it was given by; the last one counts.
    pub(super) fn given(&self, key: &str) -> Option<(&str, &str)> {
        let (_, name, value) = self.flags.iter().rev().find(|(flag, ..)| *flag == key)?;
        Some((name, value))
    }
}

/// Reads a command line without the command.
pub(super) fn read(known: &[&'static Flag], line: Vec<String>) -> Result<Arguments, ToolError> {
    let mut arguments = Arguments::default();
    let mut line = line.into_iter();
    while let Some(word) = line.next() {
        if arguments.help {
            break;
        }
        if word == "--" {
            arguments.others.extend(line);
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            read_long(known, long, &mut line, &mut arguments)?;
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            read_letters(known, letters, &mut line, &mut arguments)?;
        } else {
            arguments.others.push_back(word);
        }
    }
    Ok(arguments)
}

fn read_long(
    known: &[&'static Flag],
    word: &str,
    line: &mut impl Iterator<Item = String>,
    arguments: &mut Arguments,
) -> Result<(), ToolError> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    let shown = format!("--{name}");
    if name == "help" {
        arguments.help = true;
        return Ok(());
    }
    let flag = find(known, name).ok_or_else(|| unknown(&shown))?;
    let value = match (flag.takes, value) {
        (Takes::Switch, None) => "true".to_owned(),
        (Takes::Switch, Some(value)) => switch(&shown, &value)?.to_string(),
        (Takes::Text, Some(value)) => value,
        (Takes::Text, None) => line.next().ok_or_else(|| incomplete(&shown))?,
    };
    arguments.flags.push((flag.names[0], shown, value));
    Ok(())
}

fn read_letters(
    known: &[&'static Flag],
    letters: &str,
    line: &mut impl Iterator<Item = String>,
    arguments: &mut Arguments,
) -> Result<(), ToolError> {
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        let (name, after) = rest.split_at(letter.len_utf8());
        let shown = format!("-{name}");
        if name == "h" {
            arguments.help = true;
            return Ok(());
        }
        let flag = find(known, name).ok_or_else(|| unknown(&shown))?;
        let value = match (flag.takes, after.strip_prefix('=')) {
            (Takes::Switch, Some(value)) => {
                rest = "";
                switch(&shown, value)?.to_string()
            }
            (Takes::Switch, None) => {
                rest = after;
                "true".to_owned()
            }
            (Takes::Text, value) => {
                rest = "";
                match value.unwrap_or(after) {
                    "" if value.is_none() => line.next().ok_or_else(|| incomplete(&shown))?,
                    value => value.to_owned(),
                }
            }
        };
        arguments.flags.push((flag.names[0], shown, value));
    }
    Ok(())
}

fn find(known: &[&'static Flag], name: &str) -> Option<&'static Flag> {
    known.iter().find(|flag| flag.names.contains(&name)).copied()
}

fn unknown(shown: &str) -> ToolError {
    ToolError::argument(format!("option provided but not defined: {shown}"))
}

fn incomplete(shown: &str) -> ToolError {
    ToolError::argument(format!("option needs an argument: {shown}"))
}

/// The words Go's `strconv.ParseBool` knows.
fn switch(shown: &str, value: &str) -> Result<bool, ToolError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(ToolError::argument(format!(
            "invalid boolean value {value:?} for option {shown}: invalid syntax"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ALL: Flag = Flag { names: &["a", "all"], takes: Takes::Switch, default: "", help: "" };
    static BIG: Flag = Flag { names: &["b"], takes: Takes::Switch, default: "", help: "" };
    static OUT: Flag = Flag { names: &["o", "output"], takes: Takes::Text, default: "", help: "" };

    type Read = (Vec<(&'static str, String)>, Vec<String>);
    type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

    fn check(line: &str) -> Result<Read, String> {
        let words = line.split_whitespace().map(str::to_owned).collect();
        read(&[&ALL, &BIG, &OUT], words)
            .map(|arguments| {
                let flags = arguments.flags.into_iter().map(|(key, _, value)| (key, value));
                (flags.collect(), arguments.others.into())
            })
            .map_err(|error| error.message)
    }

    #[test]
    fn flags_stand_anywhere() {
        let table: &[Row] = &[
            ("x -a y", &[("a", "true")], &["x", "y"]),
            ("x --all y --output f", &[("a", "true"), ("o", "f")], &["x", "y"]),
            ("--output=f=g", &[("o", "f=g")], &[]),
            ("--output= x", &[("o", "")], &["x"]),
            ("-o f", &[("o", "f")], &[]),
            ("-of", &[("o", "f")], &[]),
            ("-o=f", &[("o", "f")], &[]),
            ("-o= x", &[("o", "")], &["x"]),
            ("-o -- x", &[("o", "--")], &["x"]),
            ("-ab x", &[("a", "true"), ("b", "true")], &["x"]),
            ("-abof", &[("a", "true"), ("b", "true"), ("o", "f")], &[]),
            ("--all=False", &[("a", "false")], &[]),
            ("--all=1 --all=F", &[("a", "true"), ("a", "false")], &[]),
            ("-a=false", &[("a", "false")], &[]),
            ("- x", &[], &["-", "x"]),
            ("x -- -a --all -- y", &[], &["x", "-a", "--all", "--", "y"]),
            ("--all False", &[("a", "true")], &["False"]),
        ];
        for (line, flags, others) in table {
            let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
            let others: Vec<_> = others.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(check(line), Ok((flags, others)), "{line}");
        }
    }

    #[test]
    fn wrong_flags_are_named() {
        let table = [
            ("--nope", "option provided but not defined: --nope"),
            ("-n", "option provided but not defined: -n"),
            ("-an", "option provided but not defined: -n"),
            ("-é", "option provided but not defined: -é"),
            ("--output", "option needs an argument: --output"),
            ("x -o", "option needs an argument: -o"),
            ("--all=maybe", "invalid boolean value \"maybe\" for option --all: invalid syntax"),
        ];
        for (line, message) in table {
            assert_eq!(check(line).unwrap_err(), message, "{line}");
        }
    }
}
