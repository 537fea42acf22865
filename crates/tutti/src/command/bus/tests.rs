//! The command lines, as clap reads them.

use clap::{CommandFactory as _, Parser};

use super::BusCommand;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: BusCommand,
}

fn parse(line: &str) -> Result<String, clap::Error> {
    let words = ["tutti", "bus"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| format!("{:?}", line.command))
}

#[test]
fn the_definitions_hold() {
    Line::command().debug_assert();
}

#[test]
fn command_lines_are_read() {
    for (line, contains) in [
        ("call a.b.c x=1 y=-2 --timeout 2s", "api: \"a.b\", member: \"c\""),
        ("call a.b {} --url redis://h", "redis://h"),
        ("fire a.b x=1 --format json", "Json"),
        ("listen a.* --listener l --since 0", "Beginning"),
        ("listen a.b c.d --since 1795164389852-0 --count 3", "1795164389852-0"),
        ("inspect -a a.* -e x -w user.name=ann -l 3 -f", "/user/name"),
        ("inspect --json-path $.x --version 2 -F pretty", "Pretty"),
        ("stats --watch", "2s"),
        ("stats a.* --watch=5s -c", "5s"),
        ("stats --watch 5s a.*", "api: \"a.*\""),
        ("stats a.* -w 5s", "5s"),
        ("stats --watch -c", "consumers: true"),
        ("dead-letters list", "List"),
        ("dead-letters replay g --all", "all: true"),
        ("dead-letters drop g 1-0 2-0", "2-0"),
        ("ack a.b.c 1795164389852-0", "1795164389852-0"),
        ("dumpschema -o x", "\"x\""),
        ("dumpconfigschema", "DumpConfigSchema"),
        ("check-config lightbus.yaml", "lightbus.yaml"),
        ("shell --listen *", "Shell"),
        (
            "serve --listen 127.0.0.1:0 --unix a --memory-only --max-memory 1M",
            "max_memory: 1048576",
        ),
    ] {
        let read = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(read.contains(contains), "{line}: {read}");
    }
}

#[test]
fn slips_are_refused() {
    for line in [
        "call",
        "call check",
        "listen",
        "listen a.b --since yesterday",
        "dead-letters replay g",
        "dead-letters replay g 1-0 --all",
        "inspect -w =x",
        "ack a.b",
        "stats --watch a.b",
        "serve --listen here",
        "serve --max-memory much",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
