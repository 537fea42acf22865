//! The log: changes in a SQLite file, many in one commit.
//!
//! A row is everything that changed between two commits, as commands of the engine. A thread writes, so that the disk keeps nobody
//! waiting who does not wait for it. A small row for which the disk is not needed is written on the spot: that takes less
//! time than to wake a thread and to be woken by it. Rows that a later pass through all keys made needless are removed a few at a time.

mod file;
mod flush;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc as threads},
};

use tokio::sync::mpsc;

pub(super) use file::LogFile;

use super::{Durability, Error, engine::Engine};

/// Rows that are needless are removed with later ones, so many bytes more than are written.
const REMOVED_BYTES: usize = 1 << 20;

/// Longest row that is written on the spot, in bytes.
const QUICK_BYTES_MAX: usize = 32 << 10;

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
    file: Arc<Mutex<LogFile>>,
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
        let file = Arc::new(Mutex::new(file));
        // The next batch is made when the last one is written: there is one at a time.
        let (batches, received) = threads::sync_channel(1);
        let (sender, written) = mpsc::channel(1);
        let thread = std::thread::Builder::new()
            .name("bus-log".to_owned())
            .spawn({
                let file = file.clone();
                move || write_all(&file, &received, &sender)
            })
            .map_err(Error::Thread)?;
        Ok(Self { batches: Some(batches), written, thread: Some(thread), file, rows })
    }

    pub(super) fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Writes changes; answers whether that is done. If not the thread has them, one batch at a time, and
    /// [`written`](Self::written) says what became of them.
    pub(super) fn write(&mut self, body: Vec<u8>) -> bool {
        let batch = self.rows.batch(body);
        let is_small = batch.needless_to == 0 && batch.body.len() <= QUICK_BYTES_MAX;
        let is_written = is_small
            && self
                .file
                .try_lock()
                .is_ok_and(|mut file| file.is_quick() && file.write(&batch).is_ok());
        if !is_written {
            // What went wrong on the spot will go wrong again, and is told then.
            self.write_again(batch);
        }
        is_written
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
    file: &Mutex<LogFile>,
    batches: &threads::Receiver<Batch>,
    written: &mpsc::Sender<Written>,
) {
    while let Ok(batch) = batches.recv() {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = file.write(&batch);
        if written.blocking_send((batch, outcome)).is_err() {
            break;
        }
        // Nobody waits for this.
        if file.is_long()
            && let Err(error) = file.checkpoint()
        {
            tracing::warn!(%error, "cannot tidy the bus's log");
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
