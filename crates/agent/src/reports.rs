//! Effects that do not wait for the end of a hook: statuses, log lines, action messages.
//!
//! They are collected here and sent in batches. A batch goes out when its first report has waited
//! for [`crate::Timing::linger`], or with the unit's next step, whichever comes first: so a short
//! hook costs no call for its log lines, and nobody sees a hook's end before its statuses.
//!
//! Memory is bounded: whoever adds log lines faster than the controller takes them waits. Only when
//! the agent ends are reports thrown away instead.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use tutti_model::agent::{LogLine, Report};

/// Bytes of reports that may wait; who adds more waits.
const CAPACITY: usize = 1024 * 1024;

/// The most one log line holds; longer ones are split by whoever reads them.
pub(crate) const LINE: usize = 16 * 1024;

/// The reports of one unit that are still to be sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Nobody waits any more.
    closed: CancellationToken,
    waiting: Mutex<Waiting>,
    added: Notify,
    taken: Notify,
    /// Held while a batch is on its way, so that batches arrive in order.
    sending: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Waiting {
    reports: Vec<Report>,
    bytes: usize,
}

impl Reports {
    /// No reports yet. Once `closed` is cancelled, what does not fit is thrown away.
    pub(crate) fn new(closed: CancellationToken) -> Self {
        Self { inner: Arc::new(Inner { closed, ..Inner::default() }) }
    }

    /// Adds a report; waits while too much is waiting already.
    pub(crate) async fn send(&self, report: Report) {
        let size = size(&report);
        loop {
            let taken = self.inner.taken.notified();
            {
                let mut waiting = self.lock();
                if waiting.bytes == 0 || waiting.bytes + size <= CAPACITY {
                    waiting.add(report, size);
                    break;
                }
            }
            tokio::select! {
                () = taken => {}
                () = self.inner.closed.cancelled() => return,
            }
        }
        self.inner.added.notify_one();
    }

    /// Adds a log line, stamped with the present time.
    pub(crate) async fn log(&self, level: &str, logger: &str, message: String) {
        let line = LogLine {
            time: Timestamp::now().as_microsecond(),
            level: level.into(),
            logger: logger.into(),
            message,
        };
        self.send(Report::Log { lines: vec![line] }).await;
    }

    /// Waits until there is something to send, and then `linger` for more.
    pub(crate) async fn ready(&self, linger: Duration) {
        loop {
            let added = self.inner.added.notified();
            if self.lock().bytes > 0 {
                break;
            }
            added.await;
        }
        tokio::time::sleep(linger).await;
    }

    /// Takes everything that waits, once the batch before has arrived.
    pub(crate) async fn take(&self) -> Batch {
        let order = Arc::clone(&self.inner.sending).lock_owned().await;
        let taken = mem::take(&mut *self.lock());
        self.inner.taken.notify_waiters();
        Batch { reports: taken.reports, _order: order }
    }

    /// Puts reports back that have not arrived, before all others.
    pub(crate) fn put_back(&self, mut reports: Vec<Report>) {
        let mut waiting = self.lock();
        waiting.bytes += reports.iter().map(size).sum::<usize>();
        reports.append(&mut waiting.reports);
        waiting.reports = reports;
        drop(waiting);
        self.inner.added.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports on their way: until it is dropped, no others are taken.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) reports: Vec<Report>,
    _order: OwnedMutexGuard<()>,
}

impl Waiting {
    fn add(&mut self, report: Report, size: usize) {
        self.bytes += size;
        if let (Report::Log { lines: new }, Some(Report::Log { lines })) =
            (&report, self.reports.last_mut())
        {
            lines.extend_from_slice(new);
            return;
        }
        self.reports.push(report);
    }
}

/// About how much memory a report takes; never 0.
fn size(report: &Report) -> usize {
    let content = match report {
        Report::Log { lines } => {
            lines.iter().map(|line| line.message.len() + line.logger.len() + 64).sum()
        }
        Report::Status { status, .. } => status.message.len(),
        Report::TaskLog { message, .. } => message.len(),
        Report::WorkloadVersion { version } => version.len(),
        Report::LeaderSettings { settings } => {
            settings.iter().map(|(key, value)| key.len() + value.len()).sum()
        }
        Report::Deferred { notices } => notices.len() * 256,
    };
    content + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(batch: &Batch) -> Vec<String> {
        let lines = batch.reports.iter().flat_map(|report| match report {
            Report::Log { lines } => lines.clone(),
            _ => Vec::new(),
        });
        lines.map(|line| line.message).collect()
    }

    #[tokio::test]
    async fn lines_are_joined_and_keep_their_place_among_other_reports() {
        let reports = Reports::default();
        for message in ["a", "b"] {
            reports.log("DEBUG", "unit.x/0", message.into()).await;
        }
        reports.send(Report::WorkloadVersion { version: "1".into() }).await;
        reports.log("DEBUG", "unit.x/0", "c".into()).await;
        let batch = reports.take().await;
        assert_eq!(messages(&batch), ["a", "b", "c"]);
        assert_eq!(batch.reports.len(), 3);
        assert!(matches!(batch.reports[1], Report::WorkloadVersion { .. }));
    }

    #[tokio::test]
    async fn what_is_put_back_comes_first() {
        let reports = Reports::default();
        reports.log("DEBUG", "x", "a".into()).await;
        let mut batch = reports.take().await;
        reports.log("DEBUG", "x", "b".into()).await;
        reports.put_back(std::mem::take(&mut batch.reports));
        drop(batch);
        assert_eq!(messages(&reports.take().await), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_flood_waits_until_the_batch_before_is_taken() {
        let reports = Reports::default();
        let flood = {
            let reports = reports.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    reports.log("DEBUG", "x", "y".repeat(LINE)).await;
                }
            })
        };
        let mut lines = 0;
        while lines < 300 {
            reports.ready(Duration::from_millis(1)).await;
            assert!(reports.lock().bytes <= CAPACITY);
            lines += messages(&reports.take().await).len();
        }
        flood.await.unwrap();
        assert_eq!(lines, 300);
    }

    #[tokio::test]
    async fn nobody_waits_once_it_is_closed() {
        let closed = CancellationToken::new();
        let reports = Reports::new(closed.clone());
        reports.log("DEBUG", "x", "y".repeat(CAPACITY)).await;
        let more = reports.log("DEBUG", "x", "z".into());
        tokio::pin!(more);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut more).await.is_err());
        closed.cancel();
        more.await;
    }

    #[tokio::test]
    async fn the_next_batch_waits_for_the_one_before() {
        let reports = Reports::default();
        let first = reports.take().await;
        let second = reports.take();
        tokio::pin!(second);
        let wait = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
        assert!(wait.is_err());
        drop(first);
        second.await;
    }
}
