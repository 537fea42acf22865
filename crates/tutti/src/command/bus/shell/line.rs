//! From a line to a command.

use clap::{Args, Parser, Subcommand};

use super::super::name::Pattern;
use super::super::{ask, dead_letters, history, schema, stats};
use crate::arguments::GoDuration;
use crate::failure::{Failure, Outcome};

/// What `help` prints.
pub(super) const HELP: &str = "\
API.PROCEDURE key=value …      call a procedure ('call' may stand before it)
fire API.EVENT key=value …     fire an event
listen API.EVENT|API.*|* …     print such events while you type; alone: what is listened to
unlisten [API.EVENT …]         stop that
inspect [--api API] …          events that were fired, newest first (also 'history')
apis                           what there is
schema API[.NAME]              what it takes
stats                          how far listeners are, and what waits
dead-letters list|show|replay|drop
ack API.EVENT NATIVE-ID        acknowledge an event in every group
sleep 2s                       wait, for scripts
help, exit

Parameters are key=value, read as the schema wants them, or one JSON object:
  my.auth.check_password username=ann password=\"a b\"
  my.auth.check_password {\"username\": \"ann\", \"password\": \"a b\"}
'COMMAND --help' explains one. # begins a comment.
";

/// A line.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

/// The commands of the shell.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Call a procedure
    Call(ask::Call),
    /// Fire an event
    Fire(ask::Fire),
    /// Print events while you type
    Listen(Watch),
    /// Stop printing events
    Unlisten(Watch),
    /// Print events that were fired, newest first
    #[command(alias = "history")]
    Inspect(Box<history::Inspect>),
    /// List the APIs on the bus
    Apis(schema::Apis),
    /// Show what an API, a procedure or an event takes
    Schema(schema::ShowSchema),
    /// Show how far every listener is, and what waits
    Stats(stats::Stats),
    /// Look at events that listeners gave up; replay or drop them
    DeadLetters(dead_letters::DeadLetters),
    /// Acknowledge an event in every group
    Ack(dead_letters::Ack),
    /// Wait
    Sleep {
        /// How long
        duration: GoDuration,
    },
    /// List the commands
    Help,
    /// End the shell
    #[command(alias = "quit")]
    Exit,
}

/// The commands by name, for completion.
pub(super) const VERBS: &[&str] = &[
    "ack",
    "apis",
    "call",
    "dead-letters",
    "exit",
    "fire",
    "help",
    "inspect",
    "listen",
    "schema",
    "sleep",
    "stats",
    "unlisten",
];

/// Which events.
#[derive(Args, Debug)]
pub(super) struct Watch {
    /// API.EVENT, API.* or *
    pub(super) patterns: Vec<Pattern>,
}

/// The command of a line; nothing if there is none in it.
pub(super) fn command(line: &str) -> Outcome<Option<Verb>> {
    let mut words = words(line).map_err(Failure::usage)?;
    let Some(first) = words.first() else { return Ok(None) };
    // A name alone is a call; no command has a dot.
    if first.contains('.') {
        words.insert(0, "call".to_owned());
    }
    match Line::try_parse_from(words) {
        Ok(line) => Ok(Some(line.verb)),
        Err(error) if !error.use_stderr() => {
            crate::output::write(&error.render().to_string())?;
            Ok(None)
        }
        Err(error) => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            Err(Failure::usage(format!("{first}; 'help' lists the commands")))
        }
    }
}

/// Splits a line at spaces that are not quoted. An object in braces is one word as it stands, to the end of the line.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if rest.starts_with('{') {
            words.push(rest.trim_end().to_owned());
            break;
        }
        let (word, end) = word(rest)?;
        words.push(word);
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// The first word, without its quotes, and where it ends. Quotes in a word that is JSON from its `=` on stay.
fn word(text: &str) -> Result<(String, usize), String> {
    let mut word = String::new();
    let (mut quote, mut depth) = (None, 0_u32);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(open), close) if close == open => {
                quote = None;
                if depth > 0 {
                    word.push(close);
                }
            }
            (Some('"'), '\\') => {
                let (_, escaped) = characters.next().ok_or("a backslash at the end of the line")?;
                if depth > 0 {
                    word.push('\\');
                }
                word.push(escaped);
            }
            (Some(_), other) => word.push(other),
            (None, '"' | '\'') => {
                quote = Some(character);
                if depth > 0 {
                    word.push(character);
                }
            }
            (None, space) if space.is_whitespace() && depth == 0 => return Ok((word, at)),
            (None, other) => {
                let begins_json = depth > 0 || word.ends_with('=');
                match other {
                    '[' | '{' if begins_json => depth += 1,
                    ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                word.push(other);
            }
        }
    }
    match quote {
        Some(quote) => Err(format!("the {quote} is not closed")),
        None => Ok((word, text.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_quoted_and_json_stays() {
        for (line, expected) in [
            ("", vec![]),
            ("  # nothing", vec![]),
            ("a b  c # d", vec!["a", "b", "c"]),
            ("x=\"a b\" y='c \"d'", vec!["x=a b", "y=c \"d"]),
            (r#"x="a \"b\"""#, vec![r#"x=a "b""#]),
            (r#"tags=["a b", "c"] z=1"#, vec![r#"tags=["a b", "c"]"#, "z=1"]),
            (r#"o={"a": [1, 2]} z=1"#, vec![r#"o={"a": [1, 2]}"#, "z=1"]),
            (r#"call a.b {"x": "y z"} "#, vec!["call", "a.b", r#"{"x": "y z"}"#]),
            ("x=", vec!["x="]),
            ("x=a#b", vec!["x=a#b"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        assert!(words("x=\"a").is_err());
        assert!(words("x=\"a\\").is_err());
    }

    #[test]
    fn lines_are_commands() {
        assert!(matches!(command("my.auth.check username=ann"), Ok(Some(Verb::Call(_)))));
        assert!(matches!(command("call my.auth.check {\"a\": 1}"), Ok(Some(Verb::Call(_)))));
        assert!(matches!(command("fire my.auth.gone name='a b'"), Ok(Some(Verb::Fire(_)))));
        assert!(matches!(command("history -l 3"), Ok(Some(Verb::Inspect(_)))));
        assert!(matches!(command("listen my.auth.* *"), Ok(Some(Verb::Listen(_)))));
        assert!(matches!(command("quit"), Ok(Some(Verb::Exit))));
        assert!(matches!(command(" "), Ok(None)));
        let failure = command("nonsense").unwrap_err();
        assert!(failure.message().unwrap().contains("'help'"), "{failure:?}");
        for verb in VERBS {
            assert!(<Line as clap::CommandFactory>::command().find_subcommand(verb).is_some());
        }
    }
}
