//! The same commands to a real Redis and to the broker get the same replies.

use proptest::{prelude::*, test_runner::TestRunner};
use tutti_bus::{broker::Settings, resp::Value};

use crate::client::{Client, Redis, Served};

/// Commands of one case.
const COMMANDS_MAX: usize = 60;

/// Cases, where nothing else is asked for by `PROPTEST_CASES`.
const CASES: u32 = 80;

pub(crate) type Command = Vec<String>;

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(words).prop_map(str::to_owned).boxed()
}

/// A command in which `{…}` stands for something drawn.
fn shape(shape: &'static str) -> BoxedStrategy<Command> {
    let parts: Vec<BoxedStrategy<Command>> = shape.split(' ').map(part).collect();
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn part(part: &'static str) -> BoxedStrategy<Command> {
    let one = |strategy: BoxedStrategy<String>| strategy.prop_map(|word| vec![word]).boxed();
    match part {
        "{key}" => one(one_of(&["a", "b", "c", "rpc_expiry_key:d"])),
        "{keys}" => prop::collection::vec(one_of(&["a", "b", "c", "d"]), 1..3).boxed(),
        "{value}" => one(one_of(&["1", "-7", "x", "", "two words", "9223372036854775807", "007"])),
        "{values}" => prop::collection::vec(one_of(&["1", "2", "3", "x y"]), 1..4).boxed(),
        "{number}" => one(one_of(&["0", "1", "2", "-1", "-2", "3", "100", "x", ""])),
        "{seconds}" => one(one_of(&["100", "1000", "0", "-1", "x"])),
        "{index}" => one(one_of(&["0", "1", "2", "-1", "-2", "-100", "100"])),
        "{side}" => one(one_of(&["LEFT", "RIGHT", "left", "UP"])),
        "{stream}" => one(one_of(&["s", "s", "s", "t", "a"])),
        "{group}" => one(one_of(&["g", "g", "h"])),
        "{consumer}" => one(one_of(&["ann", "bob", "cy"])),
        "{id}" => one(one_of(&[
            "1-1", "1-2", "2-1", "2-2", "3-1", "3-5", "4-0", "5", "6-7", "7-1", "8-1", "9-9",
            "0-0", "x", "1-x",
        ])),
        "{new}" => one(one_of(&[
            "1-1", "1-*", "2-1", "2-*", "3-1", "3-*", "4-0", "5", "5-*", "6-1", "7-*", "8-1",
            "9-*", "11-1", "12-*",
        ])),
        "{ids}" => prop::collection::vec(
            one_of(&["1-1", "1-2", "2-1", "3-1", "4-0", "5-0", "6-1", "7-0"]),
            1..4,
        )
        .boxed(),
        "{start}" => one(one_of(&["-", "0", "1-1", "2", "(1-1", "(3-1", "3", "+", "x"])),
        "{end}" => one(one_of(&["+", "9", "3-1", "4", "(5-0", "(3-1", "-", "1"])),
        "{from}" => one(one_of(&["$", "0", "0-0", "1-1", "3", "x"])),
        "{read}" => one(one_of(&[">", ">", ">", "0", "1-1", "3", "$", "x"])),
        "{idle}" => one(one_of(&["0", "0", "100000000", "x"])),
        "{count}" => prop_oneof![Just(Vec::new()), shape_count()].boxed(),
        "{trim}" => one(one_of(&["MAXLEN", "MINID"])),
        "{set}" => prop::collection::vec(
            one_of(&[
                "NX",
                "XX",
                "GET",
                "KEEPTTL",
                "EX 100",
                "PX 100000",
                "EX 0",
                "EX x",
                "EXAT 4102444800",
                "BAD",
            ]),
            0..3,
        )
        .prop_map(|options| {
            options.iter().flat_map(|option| option.split(' ').map(str::to_owned)).collect()
        })
        .boxed(),
        "{claim}" => one_of(&[
            "",
            "",
            "JUSTID",
            "FORCE",
            "FORCE JUSTID",
            "IDLE 5000",
            "RETRYCOUNT 7",
            "LASTID 4-0",
            "TIME 1000",
            "BAD",
        ])
        .prop_map(|options| options.split_whitespace().map(str::to_owned).collect())
        .boxed(),
        "{justid}" => prop_oneof![Just(Vec::new()), Just(vec!["JUSTID".to_owned()])].boxed(),
        "{noack}" => prop_oneof![Just(Vec::new()), Just(vec!["NOACK".to_owned()])].boxed(),
        word => Just(vec![word.to_owned()]).boxed(),
    }
}

fn shape_count() -> BoxedStrategy<Command> {
    one_of(&["1", "2", "10", "0", "-1", "x"])
        .prop_map(|count| vec!["COUNT".to_owned(), count])
        .boxed()
}

pub(crate) const PLAIN: &[&str] = &[
    "SET {key} {value} {set}",
    "GET {key}",
    "MGET {keys}",
    "INCR {key}",
    "DECR {key}",
    "INCRBY {key} {number}",
    "SETNX {key} {value}",
    "SETEX {key} {seconds} {value}",
    "DEL {keys}",
    "UNLINK {keys}",
    "EXISTS {keys}",
    "TYPE {key}",
    "EXPIRE {key} {seconds}",
    "PEXPIRE {key} {seconds}",
    "EXPIRE {key} 500 NX",
    "EXPIRE {key} 500 GT",
    "EXPIRE {key} 500 XX",
    "EXPIRE {key} 50 LT",
    "PERSIST {key}",
    "TTL {key}",
    "PTTL {key}",
    "DBSIZE",
    "KEYS *",
    "KEYS [ab]",
    "SCAN 0",
    "SCAN 0 MATCH a* COUNT 100",
    "LPUSH {key} {values}",
    "RPUSH {key} {values}",
    "LPOP {key}",
    "RPOP {key}",
    "LPOP {key} {number}",
    "LLEN {key}",
    "LRANGE {key} {index} {index}",
    "BLPOP {keys} -1",
    "LMPOP 1 {key} {side} {count}",
    "LMPOP 2 a {key} {side}",
    "SADD {key} {values}",
    "SREM {key} {values}",
    "SCARD {key}",
    "SMEMBERS {key}",
    "SISMEMBER {key} {value}",
    "SELECT {number}",
    "MULTI",
    "EXEC",
    "DISCARD",
    "ECHO {value}",
    "PING",
    "PING {value}",
    "FLUSHDB",
    "NOTHING {value} {key}",
    "GET",
    "SET a",
    "CLIENT SETNAME {value}",
    "CLIENT GETNAME",
    "AUTH {value}",
];

pub(crate) const STREAMS: &[&str] = &[
    "XADD {stream} {new} f {value}",
    "XADD {stream} {new} f {value}",
    "XADD {stream} {new} f 1 g 2",
    "XADD {stream} {new} f",
    "XADD {stream} NOMKSTREAM {new} f 1",
    "XADD {stream} {trim} 3 {new} f 1",
    "XADD {stream} MAXLEN = 2 {new} f 1",
    "XLEN {stream}",
    "XRANGE {stream} {start} {end}",
    "XRANGE {stream} - + {count}",
    "XREVRANGE {stream} {end} {start} {count}",
    "XDEL {stream} {ids}",
    "XTRIM {stream} MAXLEN {number}",
    "XTRIM {stream} MINID {id}",
    "XTRIM {stream} MAXLEN 5 LIMIT 1",
    "XGROUP CREATE {stream} {group} {from}",
    "XGROUP CREATE {stream} {group} {from} MKSTREAM",
    "XGROUP CREATE {stream} {group} {from} MKSTREAM ENTRIESREAD {number}",
    "XGROUP SETID {stream} {group} {from}",
    "XGROUP DESTROY {stream} {group}",
    "XGROUP CREATECONSUMER {stream} {group} {consumer}",
    "XGROUP DELCONSUMER {stream} {group} {consumer}",
    "XGROUP CREATE {stream} {group}",
    "XGROUP FOO",
    "XGROUP SETID {stream} {group} {id} ENTRIESREAD 3",
    "XREADGROUP GROUP {group} {consumer} {count} {noack} STREAMS {stream} {read}",
    "XREADGROUP GROUP {group} {consumer} {count} STREAMS {stream} {read}",
    "XREADGROUP GROUP {group} {consumer} COUNT 2 STREAMS s t > >",
    "XREADGROUP GROUP {group} {consumer} STREAMS s t >",
    "XREAD {count} STREAMS {stream} {id}",
    "XREAD COUNT 2 STREAMS s t 1-1 0",
    "XREAD STREAMS {stream} $",
    "XREAD STREAMS {stream} >",
    "XACK {stream} {group} {ids}",
    "XACK {stream} {group} {id}",
    "XPENDING {stream} {group}",
    "XPENDING {stream} {group} {start} {end} {number}",
    "XPENDING {stream} {group} - + 10 {consumer}",
    "XPENDING {stream} {group} IDLE {idle} - + 10",
    "XCLAIM {stream} {group} {consumer} {idle} {ids} {claim}",
    "XAUTOCLAIM {stream} {group} {consumer} {idle} {start} {count} {justid}",
    "XINFO STREAM {stream}",
    "XINFO GROUPS {stream}",
    "XINFO CONSUMERS {stream} {group}",
    "XINFO FOO {stream}",
    "DEL {stream}",
    "TYPE {stream}",
];

pub(crate) fn commands(shapes: &'static [&'static str]) -> BoxedStrategy<Vec<Command>> {
    let shapes: Vec<_> = shapes.iter().map(|text| shape(text)).collect();
    prop::collection::vec(prop::strategy::Union::new(shapes), 1..COMMANDS_MAX).boxed()
}

/// What may differ: the order of sets and keys, and times.
pub(crate) fn normal(command: &Command, reply: Value) -> Value {
    let name = command[0].to_uppercase();
    let what = command.get(1).map(|word| word.to_uppercase()).unwrap_or_default();
    match (name.as_str(), what.as_str(), reply) {
        ("SMEMBERS" | "KEYS", _, reply) => sorted(reply),
        ("SCAN", _, Value::Array(mut parts)) if parts.len() == 2 => {
            parts[1] = sorted(parts[1].clone());
            Value::Array(parts)
        }
        ("PTTL", _, Value::Integer(ms)) if ms > 0 => Value::Integer(ms / 10_000),
        ("XPENDING", _, Value::Array(entries)) => {
            Value::Array(entries.into_iter().map(without_idle).collect())
        }
        ("XINFO", "CONSUMERS", Value::Array(consumers)) => Value::Array(
            consumers.into_iter().map(|consumer| without_value(consumer, "idle")).collect(),
        ),
        ("XINFO", "STREAM", reply) => ["radix-tree-keys", "radix-tree-nodes"]
            .iter()
            .fold(reply, |reply, name| without_value(reply, name)),
        ("EXEC", _, Value::Array(replies)) => {
            // Which commands they belong to is not known here.
            let is_plain = |reply: &Value| !matches!(reply, Value::Array(_) | Value::Integer(_));
            Value::Array(replies.into_iter().filter(is_plain).collect())
        }
        (_, _, reply) => reply,
    }
}

fn sorted(reply: Value) -> Value {
    let Value::Array(mut items) = reply else { return reply };
    items.sort_by(|a, b| a.as_bytes().cmp(&b.as_bytes()));
    Value::Array(items)
}

/// An entry of `XPENDING`: id, consumer, idle time, deliveries.
fn without_idle(entry: Value) -> Value {
    match entry {
        Value::Array(mut parts) if parts.len() == 4 => {
            parts[2] = Value::Null;
            Value::Array(parts)
        }
        entry => entry,
    }
}

fn without_value(pairs: Value, name: &str) -> Value {
    let Value::Array(mut parts) = pairs else { return pairs };
    if let Some(at) = parts.iter().position(|part| part.as_bytes() == Some(name.as_bytes())) {
        parts[at + 1] = Value::Null;
    }
    Value::Array(parts)
}

fn replies(client: &mut Client, commands: &[Command]) -> Vec<Value> {
    client.send_all(commands);
    commands.iter().map(|command| normal(command, client.receive())).collect()
}

fn compare(shapes: &'static [&'static str]) {
    let Some(redis) = Redis::start() else { return };
    let broker = Served::open(Settings::default());
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Default::default()
    });
    let outcome = runner.run(&commands(shapes), |commands| {
        let (mut theirs, mut ours) = (Client::connect(redis.address), broker.client());
        for client in [&mut theirs, &mut ours] {
            client.call(&["FLUSHALL"]);
        }
        let (theirs, ours) = (replies(&mut theirs, &commands), replies(&mut ours, &commands));
        for (at, command) in commands.iter().enumerate() {
            prop_assert_eq!(
                &ours[at],
                &theirs[at],
                "ours, theirs, of {:?} after {:#?}",
                command,
                &commands[..at]
            );
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn plain_commands_are_answered_as_by_redis() {
    compare(PLAIN);
}

#[test]
fn stream_commands_are_answered_as_by_redis() {
    compare(STREAMS);
}
