//! What a charm's process writes: log lines, and a bounded copy for tasks.

use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::process::Destination;
use crate::reports::LINE;

/// The most of each output that is kept for a task's results.
const CAPTURE: usize = 1024 * 1024;

/// The kept part of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    bytes: Vec<u8>,
    /// Bytes that did not fit.
    lost: usize,
}

impl Captured {
    fn add(&mut self, bytes: &[u8]) {
        let room = CAPTURE - self.bytes.len();
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.lost += bytes.len() - kept;
    }

    /// As text. What was cut off is told at the end.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        match self.lost {
            0 => text.into_owned(),
            lost => format!("{text}\n[{lost} more bytes left out]\n"),
        }
    }
}

/// Something the agent can read a child's output from.
pub(crate) trait Pipe {
    /// The descriptor.
    fn descriptor(self) -> std::io::Result<OwnedFd>;
}

impl Pipe for tokio::process::ChildStdout {
    fn descriptor(self) -> std::io::Result<OwnedFd> {
        self.into_owned_fd()
    }
}

impl Pipe for tokio::process::ChildStderr {
    fn descriptor(self) -> std::io::Result<OwnedFd> {
        self.into_owned_fd()
    }
}

/// Starts reading an output, up to its end or, once `exited` is cancelled, up to what has been
/// written by then: a process left in the background may hold the pipe for ever.
pub(crate) fn read(
    pipe: Option<impl Pipe>,
    level: &'static str,
    destination: &Destination,
    exited: &CancellationToken,
) -> JoinHandle<Captured> {
    let receiver = pipe.and_then(|pipe| pipe.descriptor().and_then(Receiver::from_owned_fd).ok());
    let lines = Lines {
        level,
        destination: destination.clone(),
        partial: Vec::new(),
        captured: Captured::default(),
    };
    let exited = exited.clone();
    tokio::spawn(async move {
        match receiver {
            Some(receiver) => lines.read(receiver, &exited).await,
            None => Captured::default(),
        }
    })
}

struct Lines {
    level: &'static str,
    destination: Destination,
    partial: Vec<u8>,
    captured: Captured,
}

impl Lines {
    async fn read(mut self, mut receiver: Receiver, exited: &CancellationToken) -> Captured {
        let mut buffer = vec![0; LINE];
        loop {
            let length = tokio::select! {
                biased;
                length = receiver.read(&mut buffer) => length.unwrap_or(0),
                () = exited.cancelled() => break,
            };
            if length == 0 {
                break;
            }
            self.take(&buffer[..length]).await;
        }
        // Asks the kernel itself: what the process wrote before it ended is in the pipe.
        while let Ok(length @ 1..) = rustix::io::read(&receiver, &mut buffer) {
            self.take(&buffer[..length]).await;
        }
        if !self.partial.is_empty() {
            self.log(String::from_utf8_lossy(&self.partial).into_owned()).await;
        }
        self.captured
    }

    async fn take(&mut self, bytes: &[u8]) {
        if self.destination.capture {
            self.captured.add(bytes);
        }
        self.partial.extend_from_slice(bytes);
        for line in split(&mut self.partial) {
            self.log(line).await;
        }
    }

    async fn log(&self, line: String) {
        self.destination.reports.log(self.level, &self.destination.logger, line).await;
    }
}

/// Takes the whole lines, and pieces of lines that grow too long, out of a buffer. A piece never
/// ends within a character.
fn split(buffer: &mut Vec<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut read = 0;
    loop {
        let rest = &buffer[read..];
        let (line, next) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(length) if length <= LINE => (&rest[..length], length + 1),
            _ if rest.len() > LINE => {
                let back = (0..4).find(|back| rest[LINE - back] & 0xc0 != 0x80).unwrap_or(0);
                (&rest[..LINE - back], LINE - back)
            }
            _ => break,
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.push(String::from_utf8_lossy(line).into_owned());
        read += next;
    }
    buffer.drain(..read);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_split_at_their_ends() {
        let mut buffer = b"a\nb\r\n\nc".to_vec();
        assert_eq!(split(&mut buffer), ["a", "b", ""]);
        assert_eq!(buffer, b"c");
    }

    #[test]
    fn capture_is_bounded_and_says_so() {
        let mut captured = Captured::default();
        captured.add(&vec![b'x'; CAPTURE - 1]);
        captured.add(b"yz");
        assert!(captured.text().ends_with("xy\n[1 more bytes left out]\n"));
        captured.add(b"1234");
        assert_eq!((captured.bytes.len(), captured.lost), (CAPTURE, 5));
    }

    proptest! {
        #[test]
        fn long_lines_come_in_pieces_without_loss(
            pieces in proptest::collection::vec("[aü€😀]{0,9000}", 0..6),
            cut in 1..5000_usize,
        ) {
            let text = pieces.concat();
            let (mut buffer, mut lines) = (Vec::new(), Vec::new());
            for bytes in text.as_bytes().chunks(cut) {
                buffer.extend_from_slice(bytes);
                lines.extend(split(&mut buffer));
                prop_assert!(buffer.len() <= LINE + cut);
            }
            prop_assert!(lines.iter().all(|line| line.len() <= LINE));
            lines.push(String::from_utf8(buffer).unwrap());
            prop_assert_eq!(lines.concat(), text);
        }
    }
}
