//! Reading an open file at a position of one's own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const BUFFER_BYTES: usize = 64 << 10;

/// Reads a file through a buffer. Several can read one open file, each at its own position; and seeking within what
/// is buffered reads nothing again, where `BufReader` starts afresh: a zip's reader seeks twice for every entry.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<File>,
    position: u64,
    buffer: Box<[u8]>,
    /// Where in the file the buffer begins, and how much of it is filled.
    buffered_from: u64,
    buffered: usize,
}

impl Reader {
    pub(super) fn new(file: Arc<File>) -> Reader {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Reader { file, position: 0, buffer, buffered_from: 0, buffered: 0 }
    }

    /// Another reader of the same open file, at its start.
    pub(super) fn another(&self) -> Reader {
        Reader::new(Arc::clone(&self.file))
    }

    /// What is buffered from the position on.
    fn available(&self) -> &[u8] {
        let skipped = self.position.checked_sub(self.buffered_from);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.buffer[..self.buffered].get(skipped..)).unwrap_or_default()
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.available().is_empty() {
            self.buffered = 0;
            self.buffered = self.file.read_at(&mut self.buffer, self.position)?;
            self.buffered_from = self.position;
        }
        let available = self.available();
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_reads_at_its_own_position() {
        let bytes: Vec<u8> = (0..3 * BUFFER_BYTES).map(|at| (at / 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut one = Reader::new(Arc::new(file));
        let mut other = one.another();
        let mut whole = Vec::new();
        other.read_to_end(&mut whole).unwrap();
        assert_eq!(whole, bytes);
        let mut check = |to, at: usize| {
            assert_eq!(one.seek(to).unwrap(), at as u64);
            let mut found = [0; 300];
            one.read_exact(&mut found).unwrap();
            assert_eq!(found, bytes[at..at + 300]);
        };
        check(SeekFrom::Start(0), 0);
        check(SeekFrom::Current(1000), 1300);
        check(SeekFrom::Current(-1500), 100);
        check(SeekFrom::Start(BUFFER_BYTES as u64 - 10), BUFFER_BYTES - 10);
        check(SeekFrom::End(-300), bytes.len() - 300);
        check(SeekFrom::Start(50), 50);
        assert!(one.seek(SeekFrom::Current(-1000)).is_err());
        one.seek(SeekFrom::End(7)).unwrap();
        assert_eq!(one.read(&mut [0; 10]).unwrap(), 0, "beyond the end is nothing");
        one.seek(SeekFrom::Start(u64::MAX)).unwrap();
        assert!(one.read(&mut [0; 10]).is_err());
    }
}
