//! Command lines as tools and people write them.

use clap::Parser as _;

use super::*;
use crate::command;

fn read(line: &[&str]) -> Result<CommandLine, Ending> {
    parse(Personality::Juju, line.iter().map(|&word| word.to_owned()).collect())
}

/// The command, as its `Debug` form.
fn shown(line: &[&str]) -> String {
    match read(line) {
        Ok(line) => format!("{:?}", line.command),
        Err(ending) => panic!("{line:?}: {ending:?}"),
    }
}

fn usage(line: &[&str]) -> String {
    match read(line) {
        Err(Ending::Usage(message)) => message,
        other => panic!("{line:?} was read as {other:?}"),
    }
}

#[test]
fn clap_finds_no_mistake_in_the_definitions() {
    CommandLine::command().debug_assert();
    let _ = CommandLine::parse_from(["tutti", "version"]);
}

/// Lines recorded from jubilant's methods, and those that suites and people write.
#[test]
fn every_known_line_is_read() {
    let mut count = 0;
    for line in include_str!("../../tests/fixtures/argv.jsonl").lines() {
        let words: Vec<String> = serde_json::from_str(line).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = shown(&words);
        assert_eq!(command.starts_with("Other"), is_for_later(words[0]), "{line}: {command}");
        count += 1;
    }
    assert!(count > 100);
}

fn is_for_later(word: &str) -> bool {
    let later = [
        "offer",
        "consume",
        "add-cloud",
        "update-cloud",
        "add-credential",
        "add-ssh-key",
        "remove-ssh-key",
    ];
    later.contains(&word)
}

#[test]
fn every_command_has_its_line_and_is_in_one_group() {
    let groups = command::groups();
    let mut grouped: Vec<String> = groups
        .iter()
        .flat_map(|(_, group)| group.get_subcommands())
        .map(|command| command.get_name().to_owned())
        .collect();
    grouped.sort();
    let root = CommandLine::command();
    let mut all: Vec<String> =
        root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    all.sort();
    assert_eq!(all, grouped);
    for command in root.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty(), "{}", command.get_name());
        assert!(about.chars().count() < 80, "{about}");
    }
}

#[test]
fn flags_are_read_as_go_reads_them() {
    for (line, part) in [
        // A value may begin with a dash, and stand behind a space or an equals sign.
        (&["status", "--model", "-x"][..], "model: Some(\"-x\")"),
        (&["status", "--model=-x"], "model: Some(\"-x\")"),
        // The last one counts.
        (&["status", "-m", "a", "--model=b"], "model: Some(\"b\")"),
        (&["status", "--relations", "--relations"], "relations: true"),
        // Booleans may have a value.
        (&["deploy", "x", "--trust=true"], "trust: true"),
        (&["deploy", "x", "--trust=false"], "trust: false"),
        (&["deploy", "x", "--trust", "--trust=0"], "trust: false"),
        (&["refresh", "x", "--trust=false"], "trust: Some(false)"),
        (&["refresh", "x", "--trust"], "trust: Some(true)"),
        (&["refresh", "x"], "trust: None"),
        (&["destroy-model", "x", "-y"], "no_prompt: true"),
        // What may stand without a value takes no flag for one.
        (&["flow", "show", "abcdef", "--graph", "--format", "json"], "graph: Some(Mermaid)"),
        (&["flow", "show", "abcdef", "--graph", "dot"], "graph: Some(Dot)"),
        (&["flow", "show", "--graph=dot", "abcdef"], "graph: Some(Dot)"),
        // Repeated and comma-joined.
        (&["deploy", "x", "--to", "1,2", "--to", "3"], "to: [\"1\", \"2\", \"3\"]"),
        (&["deploy", "x", "--config", "a=1", "--config", "b=2"], "config: [\"a=1\", \"b=2\"]"),
        // Flags of all commands, before and behind it.
        (&["--debug", "--logging-config", "x", "status", "-B", "--verbose"], "Status"),
        // Flags and positionals mix.
        (&["config", "app", "--reset", "a", "b=1", "-m", "m", "c=2"], "words: [\"b=1\", \"c=2\"]"),
    ] {
        let command = shown(line);
        assert!(command.contains(part), "{line:?} was read as {command}");
    }
}

#[test]
fn the_words_of_other_programs_are_left_alone() {
    for (line, part) in [
        (
            &["ssh", "-m", "m", "u@0", "-i", "k", "ls", "-l", "--model=x", "--proxy=true"][..],
            r#"words: ["u@0", "-i", "k", "ls", "-l", "--model=x", "--proxy=true"]"#,
        ),
        (
            &["ssh", "--container", "c", "a/0", "cat", "--", "-x"],
            r#"words: ["a/0", "cat", "--", "-x"]"#,
        ),
        (&["scp", "--", "-r", "a", "b/0:c"], r#"words: ["-r", "a", "b/0:c"]"#),
        (
            &["exec", "--unit", "a/0", "--", "echo", "--wait", "--all=true"],
            r#"command: ["echo", "--wait", "--all=true"]"#,
        ),
        (&["exec", "--unit", "a/0", "echo foo"], r#"command: ["echo foo"]"#),
    ] {
        let command = shown(line);
        assert!(command.contains(part), "{line:?} was read as {command}");
    }
}

#[test]
fn mistakes_are_told_in_jujus_words() {
    for (line, message) in [
        (&["status", "--foo"][..], "flag provided but not defined: --foo"),
        (&["status", "--foo=bar"], "flag provided but not defined: --foo"),
        (&["status", "-Z"], "flag provided but not defined: -Z"),
        (&["version", "x"], "unrecognized args: [\"x\"]"),
        (&["config"], "no application name specified"),
        (
            &["status", "--format", "xml"],
            "invalid value \"xml\" for flag --format: use one of json, yaml, tabular, oneline, summary",
        ),
        (
            &["run", "a/0", "b", "--wait", "5"],
            "invalid value \"5\" for flag --wait: time: missing unit in duration \"5\"",
        ),
        (&["status", "--model"], "flag needs an argument: --model"),
        (
            &["deploy", "x", "--trust=maybe"],
            "invalid boolean value \"maybe\" for flag --trust: write --trust=true or --trust=false",
        ),
        (&["scale-application", "a", "x"], "invalid number \"x\": invalid digit found in string"),
    ] {
        assert_eq!(usage(line), message, "{line:?}");
    }
    assert!(usage(&["show-secret", "x", "--reveal", "--revisions"]).contains("--reveal"));
    assert!(usage(&["refresh", "x", "--path", "p", "--revision", "1"]).contains("--revision"));
}

#[test]
fn help_is_an_answer() {
    for line in [&[][..], &["--help"], &["help"], &["help", "deploy"], &["deploy", "--help"]] {
        let Err(Ending::Help(text)) = read(line) else { panic!("{line:?}") };
        assert!(text.contains("Usage:"), "{line:?}: {text}");
    }
    let Err(Ending::Help(text)) = read(&[]) else { panic!() };
    let text = anstream::adapter::strip_str(&text).to_string();
    assert!(text.contains("  deploy "), "{text}");
    assert!(text.contains("Relations:"), "{text}");
}
