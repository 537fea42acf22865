//! Once a second, what was written reaches the disk.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Time after which a change has reached the disk, about.
const INTERVAL: Duration = Duration::from_secs(1);

/// A thread that flushes the file in which SQLite's commits are. Where nothing is written it sleeps.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// Whether something was written since the last flush, so that the thread knows.
    dirty: Arc<AtomicBool>,
    thread: Option<(mpsc::SyncSender<()>, std::thread::JoinHandle<()>)>,
}

impl Flusher {
    pub(crate) fn start(log: &Path) -> std::io::Result<Self> {
        let mut name = log.as_os_str().to_owned();
        name.push("-wal");
        let path = PathBuf::from(name);
        let dirty = Arc::new(AtomicBool::new(false));
        let is_dirty = dirty.clone();
        let (note, noted) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("bus-flush".to_owned())
            .spawn(move || flush_all(&path, &noted, &is_dirty))?;
        let flusher = Self { dirty, thread: Some((note, thread)) };
        // What a predecessor wrote may not have reached the disk.
        flusher.wrote();
        Ok(flusher)
    }

    /// Says that something was written.
    pub(crate) fn wrote(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel)
            && let Some((note, _)) = &self.thread
        {
            // There is room: the thread took the last note before it said that it knows of nothing.
            let _ = note.try_send(());
        }
    }
}

/// Flushes a while after something was written, until nobody is left who writes.
fn flush_all(path: &Path, noted: &mpsc::Receiver<()>, dirty: &AtomicBool) {
    // Notes come only when this has said that it knows of nothing: what is written in between is flushed with it.
    while noted.recv().is_ok() {
        loop {
            if noted.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Disconnected) {
                return;
            }
            dirty.store(false, Ordering::Release);
            let Err(error) = File::open(path).and_then(|file| file.sync_data()) else { break };
            tracing::warn!(path = %path.display(), %error, "cannot flush the bus's log");
            dirty.store(true, Ordering::Release);
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if let Some((note, thread)) = self.thread.take() {
            drop(note);
            let _ = thread.join();
        }
    }
}
