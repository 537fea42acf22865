//! Request bodies: bytes at hand, or a file streamed with its length known beforehand.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read from a file and sent at once. Each read is a visit to another thread.
const CHUNK: usize = 256 * 1024;

/// Told after each piece: bytes sent, bytes in all.
pub(crate) type Progress = Box<dyn FnMut(u64, u64) + Send + Sync>;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Body {
    /// Bytes at hand.
    Bytes(Bytes),
    /// A file.
    File(FileBody),
}

/// A file on its way to the controller.
pub(crate) struct FileBody {
    file: File,
    sent: u64,
    length: u64,
    buffer: Vec<u8>,
    progress: Progress,
}

impl FileBody {
    pub(crate) fn new(file: File, length: u64, progress: Progress) -> Self {
        Self { file, sent: 0, length, buffer: vec![0; CHUNK], progress }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.length - self.sent;
        if left == 0 {
            return Poll::Ready(None);
        }
        let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let mut buffer = ReadBuf::new(&mut self.buffer[..want]);
        if let Err(error) = ready!(Pin::new(&mut self.file).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let chunk = Bytes::copy_from_slice(buffer.filled());
        if chunk.is_empty() {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
            return Poll::Ready(Some(Err(error)));
        }
        self.sent += chunk.len() as u64;
        (self.progress)(self.sent, self.length);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileBody({} of {} bytes)", self.sent, self.length)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File(file) => file.poll_chunk(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::File(file) => file.sent == file.length,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.length - file.sent,
        })
    }
}
