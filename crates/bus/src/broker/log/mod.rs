//! The log: changes in a SQLite file, many in one commit.
//!
//! A row is everything that changed between two commits, as commands of the engine. A thread writes; whoever waits for a change
//! waits for that thread. Rows that a later pass through all keys made needless are removed a few at a time.

mod file;
mod flush;

use std::{path::PathBuf, sync::mpsc as threads};

use tokio::sync::mpsc;

pub(super) use file::LogFile;

use super::{Durability, Error, engine::Engine};
use flush::Flusher;

/// Rows that are needless are removed with later ones, so many bytes more than are written.
const REMOVED_BYTES: usize = 1 << 20;

/// What is written in one commit.
#[derive(Debug)]
pub(super) struct Batch {
    /// The row.
    pub(super) id: i64,
    pub(super) body: Vec<u8>,
    /// Rows up to this one are no longer needed.
    pub(super) needless_to: i64,
}

/// A batch that came back, and what went wrong with it.
type Written = (Batch, Result<(), rusqlite::Error>);

/// The log of a broker that runs.
#[derive(Debug)]
pub(super) struct Log {
    batches: Option<threads::SyncSender<Batch>>,
    written: mpsc::Receiver<Written>,
    thread: Option<std::thread::JoinHandle<()>>,
    rows: Rows,
}

/// The rows there are.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Id and length, oldest first.
    rows: std::collections::VecDeque<(i64, usize)>,
    bytes: usize,
    next_id: i64,
    /// Rows before this one are no longer needed.
    needed_from: i64,
    /// How long the log was when it had last been written anew.
    bytes_after_rewrite: usize,
}

impl Rows {
    pub(super) fn push(&mut self, id: i64, length: usize) {
        self.rows.push_back((id, length));
        self.bytes += length;
        self.next_id = id + 1;
    }

    /// Whether most of the log is likely to be needless; so many bytes are never too many.
    pub(super) fn is_long(&self, bytes_min: usize) -> bool {
        self.bytes > 2 * self.bytes_after_rewrite + bytes_min
    }

    pub(super) fn next_id(&self) -> i64 {
        self.next_id
    }

    /// Says that a pass through all keys, which began with this row, is through.
    pub(super) fn need_from(&mut self, id: i64) {
        self.needed_from = id;
        let needed = self.rows.iter().filter(|(row, _)| *row >= id);
        self.bytes_after_rewrite = needed.map(|(_, length)| length).sum();
    }

    /// Whether there are rows to be removed.
    pub(super) fn has_needless(&self) -> bool {
        self.rows.front().is_some_and(|(id, _)| *id < self.needed_from)
    }

    /// The next batch, with some old rows to be removed.
    fn batch(&mut self, body: Vec<u8>) -> Batch {
        let mut removed = 0;
        let mut needless_to = 0;
        while removed < body.len() + REMOVED_BYTES
            && let Some((id, length)) = self.rows.pop_front_if(|(id, _)| *id < self.needed_from)
        {
            removed += length;
            needless_to = id;
        }
        self.bytes -= removed;
        let id = self.next_id;
        if !body.is_empty() {
            self.push(id, body.len());
        }
        Batch { id, body, needless_to }
    }
}

impl Log {
    /// Opens a log, and makes of an empty engine the one that wrote it.
    pub(super) fn open(
        path: PathBuf,
        durability: Durability,
        engine: &mut Engine,
    ) -> Result<Self, Error> {
        let file = LogFile::open(&path, durability)?;
        let rows = file.read(engine)?;
        let flusher = match durability {
            Durability::Process => Some(Flusher::start(file.path()).map_err(Error::Thread)?),
            Durability::Disk => None,
        };
        // The next batch is made when the last one is written: there is one at a time.
        let (batches, received) = threads::sync_channel(1);
        let (sender, written) = mpsc::channel(1);
        let thread = std::thread::Builder::new()
            .name("bus-log".to_owned())
            .spawn(move || write_all(file, &received, &sender, flusher))
            .map_err(Error::Thread)?;
        Ok(Self { batches: Some(batches), written, thread: Some(thread), rows })
    }

    pub(super) fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Gives changes to the thread, one batch at a time; [`written`](Self::written) says what became of them.
    pub(super) fn write(&mut self, body: Vec<u8>) {
        let batch = self.rows.batch(body);
        self.write_again(batch);
    }

    pub(super) fn write_again(&mut self, batch: Batch) {
        if let Some(batches) = &self.batches {
            // There is room, for there is one batch at a time.
            let _ = batches.try_send(batch);
        }
    }

    /// Waits until the batch is written; `None` if the thread ended.
    pub(super) async fn written(&mut self) -> Option<Written> {
        self.written.recv().await
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(
    mut file: LogFile,
    batches: &threads::Receiver<Batch>,
    written: &mpsc::Sender<Written>,
    flusher: Option<Flusher>,
) {
    while let Ok(batch) = batches.recv() {
        let outcome = file.write(&batch);
        if let Some(flusher) = &flusher {
            flusher.wrote();
        }
        if written.blocking_send((batch, outcome)).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_rows_go_with_new_ones_once_they_are_needless() {
        let mut rows = Rows::default();
        (1..=100).for_each(|id| rows.push(id, 1 << 20));
        assert!(rows.is_long(64 << 20) && !rows.has_needless());
        let first = rows.next_id();
        assert_eq!(rows.batch(vec![0; 10]).needless_to, 0);
        rows.need_from(first);
        assert!(rows.has_needless());
        let batch = rows.batch(vec![0; 10]);
        assert_eq!((batch.id, batch.needless_to), (102, 2));
        while rows.has_needless() {
            rows.batch(Vec::new());
        }
        assert_eq!((rows.bytes, rows.rows.len(), rows.next_id()), (20, 2, 103));
        assert!(!rows.is_long(64 << 20));
    }
}
