//! Ids of entries: milliseconds and a number within the millisecond.

use std::{fmt, ops::Bound};

use crate::broker::engine::call::Refusal;

/// The id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct StreamId {
    /// Milliseconds since 1970.
    pub(crate) ms: u64,
    /// Counts within the millisecond.
    pub(crate) seq: u64,
}

impl StreamId {
    pub(crate) const MIN: Self = Self { ms: 0, seq: 0 };
    pub(crate) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id after this one.
    pub(crate) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// `{ms}` or `{ms}-{seq}`; the second is `None` if it was left out, and may be `*` where `any` says so.
pub(crate) fn parse_partial(text: &[u8]) -> Result<(u64, Option<u64>), Refusal> {
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Ok((number(ms)?, seq.map(number).transpose()?))
}

/// A number without sign or spaces.
fn number(text: &[u8]) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let parsed = if digits { str::from_utf8(text).ok() } else { None };
    parsed.and_then(|text| text.parse().ok()).ok_or(Refusal::STREAM_ID)
}

/// A whole id; a number that was left out is `seq`.
pub(crate) fn parse_id(text: &[u8], seq: u64) -> Result<StreamId, Refusal> {
    let (ms, given) = parse_partial(text)?;
    Ok(StreamId { ms, seq: given.unwrap_or(seq) })
}

/// One end of a range: `-`, `+`, an id, or `(` and an id. Answers it as an id that is part of the range.
pub(crate) fn parse_bound(text: &[u8], end: Bound<()>) -> Result<StreamId, Refusal> {
    let is_start = matches!(end, Bound::Included(()));
    match text {
        b"-" => return Ok(StreamId::MIN),
        b"+" => return Ok(StreamId::MAX),
        _ => (),
    }
    let missing = if is_start { 0 } else { u64::MAX };
    match text {
        [b'(', text @ ..] if is_start => {
            let id = parse_id(text, missing)?;
            id.next().ok_or(Refusal::new("ERR invalid start ID for the interval"))
        }
        [b'(', text @ ..] => {
            let id = parse_id(text, missing)?;
            id.previous().ok_or(Refusal::new("ERR invalid end ID for the interval"))
        }
        text => parse_id(text, missing),
    }
}
