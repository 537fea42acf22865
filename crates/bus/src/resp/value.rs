//! A reply, read.

use thiserror::Error;

/// How deep arrays may lie in arrays. Redis' deepest reply has six levels.
pub const DEPTH_MAX: usize = 32;

/// Longest line: a status, an error, a number.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Arrays are allocated as their items come, at first for no more than this.
const ITEMS_AT_FIRST_MAX: usize = 1024;

/// One RESP2 reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `+OK`
    Status(String),
    /// `-ERR …`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$…`
    Bulk(Vec<u8>),
    /// `$-1`
    Null,
    /// `*…`
    Array(Vec<Value>),
    /// `*-1`
    NullArray,
}

/// Why bytes are no RESP2 reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The first byte names no kind.
    #[error("a reply cannot begin with byte {0}")]
    Kind(u8),
    /// A length or number is none, or negative where that means nothing.
    #[error("not a length or number")]
    Number,
    /// A bulk does not end where it should.
    #[error("a bulk does not end with CR LF")]
    End,
    /// Arrays lie deeper than [`DEPTH_MAX`].
    #[error("arrays lie too deep in each other")]
    Depth,
    /// A line or bulk is longer than allowed.
    #[error("longer than allowed")]
    Length,
}

impl Value {
    /// Reads the reply at the beginning of `input`, and how many bytes it took; `None` if more bytes are needed.
    /// A bulk or array of more than `length_max` bytes or items is refused before it is complete.
    pub fn decode(input: &[u8], length_max: usize) -> Result<Option<(Self, usize)>, Malformed> {
        let mut decoder = Decoder { input, at: 0, length_max };
        Ok(decoder.value(0)?.map(|value| (value, decoder.at)))
    }

    /// The bytes of a bulk.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
    length_max: usize,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        let Some(&kind) = self.input.get(self.at) else { return Ok(None) };
        if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
            return Err(Malformed::Kind(kind));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        Ok(match kind {
            b'+' => Some(Value::Status(String::from_utf8_lossy(line).into_owned())),
            b'-' => Some(Value::Error(String::from_utf8_lossy(line).into_owned())),
            b':' => Some(Value::Integer(number(line)?)),
            b'$' => match self.length(number(line)?)? {
                None => Some(Value::Null),
                Some(length) => self.bulk(length)?.map(Value::Bulk),
            },
            _ => match self.length(number(line)?)? {
                None => Some(Value::NullArray),
                Some(length) => self.items(length, depth)?.map(Value::Array),
            },
        })
    }

    /// The rest of the line after its first byte.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.input[self.at + 1..];
        let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
        match window.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => {
                self.at += 1 + end + 2;
                Ok(Some(&rest[..end]))
            }
            None if window.len() == LINE_BYTES_MAX => Err(Malformed::Length),
            None => Ok(None),
        }
    }

    fn length(&self, number: i64) -> Result<Option<usize>, Malformed> {
        if number == -1 {
            return Ok(None);
        }
        let length = usize::try_from(number).map_err(|_| Malformed::Number)?;
        if length > self.length_max { Err(Malformed::Length) } else { Ok(Some(length)) }
    }

    fn bulk(&mut self, length: usize) -> Result<Option<Vec<u8>>, Malformed> {
        let rest = &self.input[self.at..];
        let Some(end) = rest.get(length..length + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(Malformed::End);
        }
        self.at += length + 2;
        Ok(Some(rest[..length].to_vec()))
    }

    fn items(&mut self, length: usize, depth: usize) -> Result<Option<Vec<Value>>, Malformed> {
        let mut items = Vec::with_capacity(length.min(ITEMS_AT_FIRST_MAX));
        for _ in 0..length {
            let Some(item) = self.value(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(items))
    }
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_once_it_is_complete() {
        let input = b"*3\r\n:1\r\n*2\r\n$2\r\nab\r\n$-1\r\n*-1\r\n+next\r\n";
        let whole = input.len() - b"+next\r\n".len();
        for end in 0..whole {
            assert_eq!(Value::decode(&input[..end], 100), Ok(None), "after {end} bytes");
        }
        let inner = Value::Array(vec![Value::Bulk(b"ab".to_vec()), Value::Null]);
        let value = Value::Array(vec![Value::Integer(1), inner, Value::NullArray]);
        assert_eq!(Value::decode(input, 100), Ok(Some((value, whole))));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let deep = b"*1\r\n".repeat(DEPTH_MAX + 2);
        let long = [b"+".as_slice(), &vec![b'a'; LINE_BYTES_MAX]].concat();
        let cases: [(&[u8], Malformed); 7] = [
            (b"?1\r\n", Malformed::Kind(b'?')),
            (b":one\r\n", Malformed::Number),
            (b"$-2\r\n", Malformed::Number),
            (b"$1\r\nab\r\n", Malformed::End),
            (b"*101\r\n", Malformed::Length),
            (&deep, Malformed::Depth),
            (&long, Malformed::Length),
        ];
        for (input, expected) in cases {
            assert_eq!(Value::decode(input, 100), Err(expected));
        }
    }
}
