//! Requests: arrays of bulks, or inline commands.

use std::ops::Range;

use thiserror::Error;

use super::inline;

/// Longest inline command, and longest line that holds a length. Source: Redis, `PROTO_INLINE_MAX_SIZE`.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Arguments of a client that has not given its password. Source: Redis, 7.0.
const ARGUMENTS_UNKNOWN_MAX: usize = 10;
/// Longest argument of a client that has not given its password, in bytes. Source: Redis, 7.0.
const BULK_BYTES_UNKNOWN_MAX: usize = 16 * 1024;

/// What one request may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Arguments, the command's name included.
    pub arguments_max: usize,
    /// One argument, in bytes.
    pub bulk_bytes_max: usize,
    /// The whole request, in bytes.
    pub request_bytes_max: usize,
    /// Whether the client has still to give its password.
    pub unknown: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            arguments_max: 1024 * 1024,
            bulk_bytes_max: 64 << 20,
            request_bytes_max: 128 << 20,
            unknown: false,
        }
    }
}

/// Why a connection cannot go on. The text is Redis'; it is sent as `-ERR Protocol error: …` before the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// A line that does not end.
    #[error("too big inline request")]
    Inline,
    /// An inline command with an open quote.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A length line that does not end.
    #[error("too big mbulk count string")]
    CountLine,
    /// The number of arguments is none, or too large.
    #[error("invalid multibulk length")]
    Arguments,
    /// The length of an argument is none, or too large.
    #[error("invalid bulk length")]
    Bulk,
    /// Something else where an argument should begin.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    /// Too many arguments before the password.
    #[error("unauthenticated multibulk length")]
    ArgumentsUnknown,
    /// Too large an argument before the password.
    #[error("unauthenticated bulk length")]
    BulkUnknown,
    /// The arguments together are too large.
    #[error("request too large")]
    Request,
}

/// Finds requests in what a connection receives. It remembers how far it came, so bytes that come in pieces are looked at once.
#[derive(Debug, Default)]
pub struct RequestParser {
    ranges: Vec<Range<usize>>,
    inline: Option<Vec<u8>>,
    /// Where the next argument begins.
    at: usize,
    /// Arguments still to come; `None` before the head was read.
    missing: Option<usize>,
}

impl RequestParser {
    /// Looks at `input`, which begins where the last request ended. Answers how many bytes the request takes, once it is whole;
    /// [`request`](Self::request) then has it.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        if self.missing == Some(0) {
            self.reset();
        }
        let missing = match self.missing {
            Some(missing) => missing,
            None => match input.first() {
                None => return Ok(None),
                Some(b'*') => match self.head(input, limits)? {
                    None => return Ok(None),
                    Some(missing) => missing,
                },
                Some(_) => return self.parse_inline(input),
            },
        };
        for missing in (0..missing).rev() {
            if !self.argument(input, limits)? {
                return Ok(None);
            }
            self.missing = Some(missing);
        }
        Ok(Some(self.at))
    }

    /// The request that [`parse`](Self::parse) found whole, in the same `input`. It may have no arguments at all, which Redis ignores.
    pub fn request<'a>(&'a self, input: &'a [u8]) -> Request<'a> {
        Request { bytes: self.inline.as_deref().unwrap_or(input), ranges: &self.ranges }
    }

    fn reset(&mut self) {
        self.ranges.clear();
        self.inline = None;
        self.at = 0;
        self.missing = None;
    }

    /// Reads `*3`; answers the number.
    fn head(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = line_end(input, 1, ProtocolError::CountLine)? else { return Ok(None) };
        let count = number(&input[1..end]).ok_or(ProtocolError::Arguments)?;
        if count > limits.arguments_max as i64 {
            return Err(ProtocolError::Arguments);
        }
        if limits.unknown && count > ARGUMENTS_UNKNOWN_MAX as i64 {
            return Err(ProtocolError::ArgumentsUnknown);
        }
        let count = usize::try_from(count).unwrap_or(0);
        self.at = end + 2;
        self.missing = Some(count);
        Ok(Some(count))
    }

    /// Reads one `$3…abc…`; answers whether it was whole.
    fn argument(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let Some(&kind) = input.get(self.at) else { return Ok(false) };
        if kind != b'$' {
            return Err(ProtocolError::NotBulk(kind));
        }
        let Some(end) = line_end(input, self.at + 1, ProtocolError::CountLine)? else {
            return Ok(false);
        };
        let length = number(&input[self.at + 1..end])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= limits.bulk_bytes_max)
            .ok_or(ProtocolError::Bulk)?;
        if limits.unknown && length > BULK_BYTES_UNKNOWN_MAX {
            return Err(ProtocolError::BulkUnknown);
        }
        let start = end + 2;
        if start + length > limits.request_bytes_max {
            return Err(ProtocolError::Request);
        }
        // As in Redis, which bytes end an argument is not looked at.
        if input.len() < start + length + 2 {
            return Ok(false);
        }
        self.ranges.push(start..start + length);
        self.at = start + length + 2;
        Ok(true)
    }

    fn parse_inline(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let window = &input[..input.len().min(LINE_BYTES_MAX)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            let whole = window.len() == LINE_BYTES_MAX;
            return if whole { Err(ProtocolError::Inline) } else { Ok(None) };
        };
        let line = window[..end].strip_suffix(b"\r").unwrap_or(&window[..end]);
        let words = inline::split(line).ok_or(ProtocolError::Quotes)?;
        let mut bytes = Vec::with_capacity(line.len());
        for word in words {
            let start = bytes.len();
            bytes.extend_from_slice(&word);
            self.ranges.push(start..bytes.len());
        }
        self.inline = Some(bytes);
        self.at = end + 1;
        self.missing = Some(0);
        Ok(Some(self.at))
    }
}

/// Where the line ends that begins at `start`.
fn line_end(
    input: &[u8],
    start: usize,
    too_long: ProtocolError,
) -> Result<Option<usize>, ProtocolError> {
    let rest = input.get(start..).unwrap_or_default();
    let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match window.iter().position(|byte| *byte == b'\r') {
        Some(end) if rest.len() > end + 1 => Ok(Some(start + end)),
        None if window.len() == LINE_BYTES_MAX => Err(too_long),
        _ => Ok(None),
    }
}

fn number(line: &[u8]) -> Option<i64> {
    str::from_utf8(line).ok()?.parse().ok()
}

/// A request: the command's name and its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Request<'a> {
    /// How many arguments there are, the name included.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is nothing at all, not even a name.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// An argument by its place; the name is at 0.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.ranges.get(index).map(|range| &self.bytes[range.clone()])
    }

    /// The arguments from a place on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        let ranges = self.ranges.get(index..).unwrap_or_default();
        ranges.iter().map(move |range| &bytes[range.clone()])
    }

    /// A copy that needs no input buffer.
    pub fn to_owned(&self) -> OwnedRequest {
        self.from(0).collect()
    }
}

/// A request with bytes of its own.
#[derive(Debug, Clone, Default)]
pub struct OwnedRequest {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl OwnedRequest {
    /// The request, to be read.
    pub fn request(&self) -> Request<'_> {
        Request { bytes: &self.bytes, ranges: &self.ranges }
    }

    /// Bytes it takes.
    pub fn weight(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.ranges.capacity() * size_of::<Range<usize>>()
    }
}

impl<'a> FromIterator<&'a [u8]> for OwnedRequest {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(arguments: T) -> Self {
        let mut owned = Self::default();
        for argument in arguments {
            let start = owned.bytes.len();
            owned.bytes.extend_from_slice(argument);
            owned.ranges.push(start..owned.bytes.len());
        }
        owned.bytes.shrink_to_fit();
        owned.ranges.shrink_to_fit();
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every request in `input`, given in pieces of `step` bytes, until something is wrong.
    fn all(
        input: &[u8],
        step: usize,
        limits: &Limits,
    ) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let mut parser = RequestParser::default();
        let mut requests = Vec::new();
        let (mut start, mut end) = (0, 0);
        loop {
            match parser.parse(&input[start..end], limits) {
                Ok(Some(taken)) => {
                    let request = parser.request(&input[start..end]);
                    requests.push(request.from(0).map(<[u8]>::to_vec).collect());
                    start += taken;
                }
                Ok(None) if end == input.len() => return (requests, None),
                Ok(None) => end = (end + step).min(input.len()),
                Err(error) => return (requests, Some(error)),
            }
        }
    }

    #[test]
    fn requests_are_the_same_in_whatever_pieces_they_come() {
        let input = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*-1\r\n*0\r\nPING \"a b\"\r\n\r\n*1\r\n$0\r\n\r\nlast\n";
        let expected: Vec<Vec<&[u8]>> = vec![
            vec![b"GET", b"a\r\nb"],
            vec![],
            vec![],
            vec![b"PING", b"a b"],
            vec![],
            vec![b""],
            vec![b"last"],
        ];
        for step in 1..=input.len() {
            let (requests, error) = all(input, step, &Limits::default());
            assert_eq!(
                (
                    requests
                        .iter()
                        .map(|r| r.iter().map(Vec::as_slice).collect())
                        .collect::<Vec<Vec<_>>>(),
                    error
                ),
                (expected.clone(), None)
            );
        }
    }

    #[test]
    fn what_is_no_request_is_refused_in_the_words_of_redis() {
        let known = Limits {
            arguments_max: 20,
            bulk_bytes_max: 20_000,
            request_bytes_max: 25_000,
            unknown: false,
        };
        let unknown = Limits { unknown: true, ..known };
        let long = vec![b'a'; LINE_BYTES_MAX];
        let big = [b"*2\r\n$20000\r\n".as_slice(), &vec![b'a'; 20_000], b"\r\n$20000\r\n"].concat();
        let cases: [(&[u8], &Limits, &str); 12] = [
            (&long, &known, "too big inline request"),
            (b"SET \"a\r\n", &known, "unbalanced quotes in request"),
            (&[b"*".as_slice(), &long].concat(), &known, "too big mbulk count string"),
            (b"*x\r\n", &known, "invalid multibulk length"),
            (b"*21\r\n", &known, "invalid multibulk length"),
            (b"*1\r\n+OK\r\n", &known, "expected '$', got '+'"),
            (b"*1\r\n$-5\r\n", &known, "invalid bulk length"),
            (b"*1\r\n$20001\r\n", &known, "invalid bulk length"),
            (b"*1\r\n$99999999999999999999\r\n", &known, "invalid bulk length"),
            (&big, &known, "request too large"),
            (b"*11\r\n", &unknown, "unauthenticated multibulk length"),
            (b"*1\r\n$16385\r\n", &unknown, "unauthenticated bulk length"),
        ];
        for (input, limits, text) in cases {
            let (requests, error) = all(input, 1000, limits);
            assert_eq!(
                (requests.len(), error.map(|error| error.to_string()).as_deref()),
                (0, Some(text))
            );
        }
    }
}
