//! What a Python charm has deferred.
//!
//! `ops` keeps deferred events as *notices* in `.unit-state.db` in the charm directory and brings
//! them back with the next event, whatever that is. Without help that can be minutes away. So
//! after each hook the agent reads which notices are pending, shows them at the controller, and
//! runs an early `update-status` for them: after 5 s, then ever later while the queue stays as it
//! is. Only names are read; the events' contents are pickles, which are never opened.
//!
//! Since when, and how often in vain, is kept in a file beside the charm, so that it survives the
//! agent.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;
use tutti_model::agent::DeferredNotice;
use tutti_model::operation::deferral_delay;

use crate::error::{Result, chain, file};

/// What was last shown, in the unit's directory.
const SHOWN_FILE: &str = "deferred.json";

/// The most notices shown per unit; a charm may defer without bound.
const SHOWN: usize = 1000;

/// The notices of one unit as last seen.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    /// By sequence: first seen and dispatches since.
    known: BTreeMap<i64, DeferredNotice>,
    /// Dispatches that left the queue as it was.
    attempt: u32,
    /// When the early `update-status` is due.
    due: Option<Instant>,
    /// Whether what is known was told to the controller.
    reported: bool,
}

impl Deferrals {
    /// Begins with what an agent before has shown.
    pub(crate) fn resume(shown: Vec<DeferredNotice>) -> Self {
        let known = shown.into_iter().map(|notice| (notice.sequence, notice)).collect();
        Self { known, ..Self::default() }
    }

    /// When to bring the notices back.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes note of what is pending, after a dispatch or when the agent begins. Returns the
    /// report, unless the controller knows that there is nothing.
    pub(crate) fn seen(
        &mut self,
        pending: Vec<DeferredNotice>,
        dispatched: bool,
        retries: bool,
        pace: f64,
    ) -> Option<Vec<DeferredNotice>> {
        let before: Vec<i64> = self.known.keys().copied().collect();
        let now: Vec<i64> = pending.iter().map(|notice| notice.sequence).collect();
        if before.is_empty() && now.is_empty() && self.reported {
            return None;
        }
        self.reported = true;
        let dispatches = u32::from(dispatched);
        self.attempt = if before == now { self.attempt.saturating_add(dispatches) } else { 0 };
        self.known = self.merged(pending, dispatches);
        Some(self.schedule(retries, pace))
    }

    /// Follows the application's setting. Returns the report, if that changed anything.
    pub(crate) fn allow(&mut self, retries: bool, pace: f64) -> Option<Vec<DeferredNotice>> {
        if self.known.is_empty() || retries == self.due.is_some() {
            return None;
        }
        Some(self.schedule(retries, pace))
    }

    /// Sets when the notices come back, and answers them.
    fn schedule(&mut self, retries: bool, pace: f64) -> Vec<DeferredNotice> {
        let wait = deferral_delay(self.attempt).mul_f64(pace);
        let back = (retries && !self.known.is_empty()).then_some(wait);
        self.due = back.map(|wait| Instant::now() + wait);
        let now = Timestamp::now().as_microsecond();
        let micros = |wait: Duration| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let next = back.map_or(0, |wait| now.saturating_add(micros(wait)));
        self.known.values_mut().for_each(|notice| notice.next = next);
        self.known.values().cloned().collect()
    }

    fn merged(
        &self,
        pending: Vec<DeferredNotice>,
        dispatches: u32,
    ) -> BTreeMap<i64, DeferredNotice> {
        let now = Timestamp::now().as_microsecond();
        let merge = |notice: DeferredNotice| {
            let (attempts, since) = (self.known.get(&notice.sequence))
                .filter(|known| known.event == notice.event)
                .map_or((0, now), |known| (known.attempts.saturating_add(dispatches), known.since));
            (notice.sequence, DeferredNotice { attempts, since, ..notice })
        };
        pending.into_iter().map(merge).collect()
    }
}

/// What was last shown of a unit. Without the file, or with one that cannot be read, nothing.
pub(crate) fn last_shown(unit: &Path) -> Vec<DeferredNotice> {
    let path = unit.join(SHOWN_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read what was deferred");
            return Vec::new();
        }
    };
    // Cut off by a power failure, most likely.
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps what is shown of a unit for the next agent. Counting anew is all that a failure costs.
pub(crate) fn keep_shown(unit: &Path, notices: &[DeferredNotice]) {
    if let Err(error) = write_shown(&unit.join(SHOWN_FILE), notices) {
        tracing::warn!(error = chain(&error), "cannot keep what is deferred");
    }
}

fn write_shown(path: &Path, notices: &[DeferredNotice]) -> Result<()> {
    if notices.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(file("remove", path)(error)),
            _ => Ok(()),
        };
    }
    let temporary = path.with_extension("new");
    let text = serde_json::to_vec(notices).map_err(|error| file("write", path)(error.into()))?;
    fs::write(&temporary, text).map_err(file("write", &temporary))?;
    fs::rename(&temporary, path).map_err(file("write", path))
}

/// Reads the notices pending in a charm directory, oldest first. A charm without notices, without
/// the file, or with a file that cannot be read has none.
pub(crate) fn pending(charm: &Path) -> Vec<DeferredNotice> {
    let path = charm.join(".unit-state.db");
    if !path.exists() {
        return Vec::new();
    }
    read(&path).unwrap_or_else(|error| {
        tracing::debug!(path = %path.display(), %error, "cannot read deferred notices");
        Vec::new()
    })
}

fn read(path: &Path) -> rusqlite::Result<Vec<DeferredNotice>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(200))?;
    let mut statement = connection.prepare(
        "SELECT sequence, event_path, observer_path, method_name FROM notice \
         ORDER BY sequence LIMIT ?1",
    )?;
    let limit = i64::try_from(SHOWN).unwrap_or(i64::MAX);
    let notices = statement.query_map([limit], |row| {
        Ok(DeferredNotice {
            sequence: row.get(0)?,
            event: row.get(1)?,
            observer: row.get(2)?,
            method: row.get(3)?,
            ..DeferredNotice::default()
        })
    })?;
    notices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(sequence: i64) -> DeferredNotice {
        let event = format!("Charm/on/start[{sequence}]");
        DeferredNotice { sequence, event, ..DeferredNotice::default() }
    }

    #[test]
    fn reads_what_ops_writes_and_nothing_else() {
        let charm = tempfile::tempdir().unwrap();
        assert!(pending(charm.path()).is_empty());
        let path = charm.path().join(".unit-state.db");
        let connection = Connection::open(&path).unwrap();
        assert!(pending(charm.path()).is_empty());
        let schema = "CREATE TABLE snapshot (handle TEXT PRIMARY KEY, data BLOB);
             CREATE TABLE notice (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event_path TEXT,
                                  observer_path TEXT, method_name TEXT);
             INSERT INTO notice VALUES (7, 'C/on/b[2]', 'C', '_on_b'), (3, 'C/on/a[1]', 'C', 'm');";
        connection.execute_batch(schema).unwrap();
        let notices = pending(charm.path());
        assert_eq!(notices.iter().map(|notice| notice.sequence).collect::<Vec<_>>(), [3, 7]);
        assert_eq!((notices[1].event.as_str(), notices[1].method.as_str()), ("C/on/b[2]", "_on_b"));
        std::fs::write(&path, "no database").unwrap();
        assert!(pending(charm.path()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn notices_come_back_ever_later_until_the_queue_changes() {
        let mut deferrals = Deferrals::default();
        let mut wait = |pending: Vec<DeferredNotice>| {
            let report = deferrals.seen(pending, true, true, 1.0);
            (deferrals.due().map(|due| (due - Instant::now()).as_secs()), report)
        };
        assert_eq!(wait(Vec::new()), (None, Some(Vec::new())));
        assert_eq!(wait(Vec::new()), (None, None));
        assert_eq!(wait(vec![notice(1)]).0, Some(5));
        assert_eq!(wait(vec![notice(1)]).0, Some(15));
        let (due, report) = wait(vec![notice(1)]);
        assert_eq!((due, report.unwrap()[0].attempts), (Some(45), 2));
        let (due, report) = wait(vec![notice(1), notice(2)]);
        let attempts: Vec<u32> = report.unwrap().iter().map(|notice| notice.attempts).collect();
        assert_eq!((due, attempts), (Some(5), vec![3, 0]));
        assert_eq!(wait(Vec::new()), (None, Some(Vec::new())));
    }

    #[tokio::test]
    async fn without_retries_notices_are_only_shown() {
        let mut deferrals = Deferrals::default();
        let report = deferrals.seen(vec![notice(1)], true, false, 1.0).unwrap();
        assert_eq!((deferrals.due(), report[0].next), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_that_is_scheduled_goes_with_the_setting_and_comes_back_with_it() {
        let mut deferrals = Deferrals::default();
        assert_eq!(deferrals.allow(true, 1.0), None, "there is nothing to bring back");
        deferrals.seen(vec![notice(1)], true, true, 1.0);
        assert_eq!(deferrals.allow(true, 1.0), None);
        let report = deferrals.allow(false, 1.0).unwrap();
        assert_eq!((deferrals.due(), report[0].next), (None, 0));
        assert_eq!(deferrals.allow(false, 1.0), None);
        let report = deferrals.allow(true, 1.0).unwrap();
        assert_eq!((report[0].attempts, report[0].next > report[0].since), (0, true));
        assert_eq!(deferrals.due(), Some(Instant::now() + Duration::from_secs(5)));
    }

    #[tokio::test]
    async fn the_next_agent_counts_on() {
        let unit = tempfile::tempdir().unwrap();
        assert_eq!(last_shown(unit.path()), []);
        let mut deferrals = Deferrals::default();
        deferrals.seen(vec![notice(1)], true, true, 1.0);
        let shown = deferrals.seen(vec![notice(1)], true, true, 1.0).unwrap();
        keep_shown(unit.path(), &shown);
        let mut deferrals = Deferrals::resume(last_shown(unit.path()));
        let begun = deferrals.seen(vec![notice(1)], false, true, 1.0).unwrap();
        assert_eq!((begun[0].attempts, begun[0].since), (1, shown[0].since));
        let shown = deferrals.seen(vec![notice(1)], true, true, 1.0).unwrap();
        assert_eq!(shown[0].attempts, 2);
        keep_shown(unit.path(), &[]);
        assert_eq!(fs::read_dir(unit.path()).unwrap().count(), 0);
        fs::write(unit.path().join(SHOWN_FILE), "[{").unwrap();
        assert_eq!(last_shown(unit.path()), []);
    }
}
