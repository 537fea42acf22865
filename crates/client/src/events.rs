//! Server-sent events: a stream the controller writes to as things happen.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{Error, Result};

/// The most one event may hold.
const LIMIT: usize = 16 * 1024 * 1024;

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Where to continue from (`?after=`), or empty.
    pub id: String,
    /// The kind of event, or empty.
    pub event: String,
    /// The payload; several `data:` lines are joined by line breaks.
    pub data: String,
}

/// A stream of server-sent events being read. Dropping it closes the stream.
#[derive(Debug)]
pub struct Events {
    path: String,
    body: Incoming,
    lines: Lines,
}

impl Events {
    pub(crate) fn new(path: &str, body: Incoming) -> Self {
        Self { path: path.into(), body, lines: Lines::default() }
    }

    /// The next event; none when the controller has closed the stream. Comments (keep-alives) are
    /// skipped.
    ///
    /// # Errors
    /// [`Error::Http`] when the connection breaks; [`Error::TooLarge`].
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.lines.next_event() {
                return Ok(Some(event));
            }
            if self.lines.buffer.len() > LIMIT {
                return Err(Error::TooLarge { path: self.path.clone(), limit: LIMIT });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(source)) => {
                    let path = self.path.clone();
                    return Err(Error::Http { method: "GET".into(), path, source });
                }
            }
        }
    }
}

/// Bytes received and not yet handed out.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    event: Event,
    any: bool,
}

impl Lines {
    fn next_event(&mut self) -> Option<Event> {
        let mut read = 0;
        let mut complete = None;
        while let Some(length) = self.buffer[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[read..read + length]).into_owned();
            read += length + 1;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() && self.any {
                self.any = false;
                complete = Some(std::mem::take(&mut self.event));
                break;
            }
            self.take(line);
        }
        self.buffer.drain(..read);
        complete
    }

    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = value.into(),
            "event" => self.event.event = value.into(),
            "data" => {
                if self.any && !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => return,
        }
        self.any = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = ": hello\n\nid: 7\nevent: unit\ndata: a\ndata: b\n\n\n\ndata:{\"x\":1}\r\n\r\n";
        let expected = [
            Event { id: "7".into(), event: "unit".into(), data: "a\nb".into() },
            Event { data: "{\"x\":1}".into(), ..Event::default() },
        ];
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.buffer.extend_from_slice(piece);
                while let Some(event) = lines.next_event() {
                    events.push(event);
                }
            }
            assert_eq!(events, expected, "cut every {size} bytes");
        }
    }
}
