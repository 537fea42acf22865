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

/// A thread that flushes the file in which SQLite's commits are.
#[derive(Debug)]
pub(crate) struct Flusher {
    dirty: Arc<AtomicBool>,
    thread: Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Flusher {
    pub(crate) fn start(log: &Path) -> std::io::Result<Self> {
        let mut name = log.as_os_str().to_owned();
        name.push("-wal");
        let path = PathBuf::from(name);
        let dirty = Arc::new(AtomicBool::new(true));
        let is_dirty = dirty.clone();
        let (end, ended) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("bus-flush".to_owned()).spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                if is_dirty.swap(false, Ordering::AcqRel)
                    && let Err(error) = File::open(&path).and_then(|file| file.sync_data())
                {
                    tracing::warn!(path = %path.display(), %error, "cannot flush the bus's log");
                    is_dirty.store(true, Ordering::Release);
                }
            }
        })?;
        Ok(Self { dirty, thread: Some((end, thread)) })
    }

    /// Says that something was written.
    pub(crate) fn wrote(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}
