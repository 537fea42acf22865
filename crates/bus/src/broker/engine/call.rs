//! One command being carried out: what it was given, what it may touch, how it can end.

use std::borrow::Cow;

use super::{Engine, database::Database};
use crate::resp::Request;

/// A command that is refused, in the words of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Cow<'static, str>);

impl Refusal {
    pub(super) const SYNTAX: Self = Self::new("ERR syntax error");
    pub(super) const INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    pub(super) const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub(super) const STREAM_ID: Self =
        Self::new("ERR Invalid stream ID specified as stream command argument");
    pub(super) const NO_KEY: Self = Self::new("ERR no such key");

    pub(super) const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(super) fn arity(command: &str) -> Self {
        Self(format!("ERR wrong number of arguments for '{command}' command").into())
    }
}

/// How a command ended that was not refused. What it says to the client is in the reply.
#[derive(Debug)]
pub(super) enum Flow {
    /// It is answered.
    Done,
    /// It waits for something to come to one of these keys.
    Wait(Wait),
    /// It is answered, and the connection is to be closed.
    Close,
}

/// What a command waits for.
#[derive(Debug)]
pub(super) struct Wait {
    /// Places of the keys among the arguments.
    pub(super) keys: std::ops::Range<usize>,
    /// How long, in milliseconds; `None` for ever.
    pub(super) timeout_ms: Option<i64>,
}

pub(super) type Handled = Result<Flow, Refusal>;

/// One command.
pub(super) struct Call<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) client: u64,
    pub(super) database: usize,
    pub(super) request: Request<'a>,
    /// Milliseconds since 1970.
    pub(super) now: i64,
    /// Whether it may wait: not within a transaction.
    pub(super) may_wait: bool,
    /// The key to which something came, if it had been waiting: as in Redis, it then takes from this one only.
    pub(super) only: Option<&'a [u8]>,
    /// Whether it comes from the log, and not from a client.
    pub(super) replays: bool,
    pub(super) reply: &'a mut Vec<u8>,
}

impl<'a> Call<'a> {
    /// An argument that the command's arity says is there.
    pub(super) fn argument(&self, index: usize) -> &'a [u8] {
        self.request.get(index).unwrap_or_default()
    }

    /// Whether a key is looked at, of those it may take from.
    pub(super) fn takes_from(&self) -> impl Fn(&&[u8]) -> bool + use<'a> {
        let only = self.only;
        move |key| only.is_none_or(|only| only == *key)
    }

    pub(super) fn key(&self) -> &'a [u8] {
        self.argument(1)
    }

    pub(super) fn integer(&self, index: usize) -> Result<i64, Refusal> {
        integer(self.argument(index))
    }

    pub(super) fn data(&mut self) -> &mut Database {
        &mut self.engine.databases[self.database]
    }

    /// Writes a change to the log. Its reply waits until it is there.
    pub(super) fn record(&mut self, parts: &[&[u8]]) {
        self.engine.effects.record(self.database, parts);
        self.engine.effects.require();
    }

    /// Writes a change to the log, for which no reply waits.
    pub(super) fn record_lazily(&mut self, parts: &[&[u8]]) {
        self.engine.effects.record(self.database, parts);
    }

    /// The same command again goes to the log.
    pub(super) fn record_request(&mut self) {
        self.engine.effects.record_request(self.database, self.request);
        self.engine.effects.require();
    }
}

/// A number as Redis reads it: no spaces, no plus sign, no leading zeros.
pub(super) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    let number: i64 =
        str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Refusal::INTEGER)?;
    let plain = matches!(text, b"0" | [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..]);
    if plain { Ok(number) } else { Err(Refusal::INTEGER) }
}

/// Seconds with a fraction, as blocking commands take them; answers milliseconds, `None` for ever.
pub(super) fn timeout(text: &[u8]) -> Result<Option<i64>, Refusal> {
    const NO_NUMBER: Refusal = Refusal::new("ERR timeout is not a float or out of range");
    let seconds: f64 =
        str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NO_NUMBER)?;
    if seconds.is_nan() || seconds * 1000.0 > i64::MAX as f64 / 2.0 {
        return Err(NO_NUMBER);
    }
    if seconds < 0.0 {
        return Err(Refusal::new("ERR timeout is negative"));
    }
    Ok(Some((seconds * 1000.0).ceil() as i64).filter(|ms| *ms > 0))
}

/// Milliseconds; answers `None` for ever.
pub(super) fn timeout_ms(text: &[u8]) -> Result<Option<i64>, Refusal> {
    let ms = integer(text)
        .ok()
        .filter(|ms| *ms <= i64::MAX / 2)
        .ok_or(Refusal::new("ERR timeout is not an integer or out of range"))?;
    if ms < 0 {
        return Err(Refusal::new("ERR timeout is negative"));
    }
    Ok(Some(ms).filter(|ms| *ms > 0))
}

/// Whether an argument is this word, in capitals or not.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}
