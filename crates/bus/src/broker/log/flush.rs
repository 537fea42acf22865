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
    /// Whether the disk is being waited for.
    busy: Arc<AtomicBool>,
    thread: Option<(mpsc::SyncSender<()>, std::thread::JoinHandle<()>)>,
}

impl Flusher {
    pub(crate) fn start(log: &Path) -> std::io::Result<Self> {
        let mut name = log.as_os_str().to_owned();
        name.push("-wal");
        let path = PathBuf::from(name);
        let dirty = Arc::new(AtomicBool::new(false));
        let busy = Arc::new(AtomicBool::new(false));
        let (is_dirty, is_busy) = (dirty.clone(), busy.clone());
        let (note, noted) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("bus-flush".to_owned())
            .spawn(move || flush_all(&path, &noted, &is_dirty, &is_busy))?;
        let flusher = Self { dirty, busy, thread: Some((note, thread)) };
        // What a predecessor wrote may not have reached the disk.
        flusher.wrote();
        Ok(flusher)
    }

    /// Whether the disk is being waited for, so that who writes may have to wait as well.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
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
fn flush_all(path: &Path, noted: &mpsc::Receiver<()>, dirty: &AtomicBool, busy: &AtomicBool) {
    // Notes come only when this has said that it knows of nothing: what is written in between is flushed with it.
    while noted.recv().is_ok() {
        loop {
            if noted.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Disconnected) {
                return;
            }
            dirty.store(false, Ordering::Release);
            busy.store(true, Ordering::Release);
            let flushed = File::open(path).and_then(|file| file.sync_data());
            busy.store(false, Ordering::Release);
            let Err(error) = flushed else { break };
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
