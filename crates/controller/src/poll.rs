//! Long polls: look, and look again whenever a bell rang, until there is something or time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tutti_store::Backend;

use crate::Error;
use crate::state::State;

/// The longest a caller may wait, so that dead connections are noticed.
pub(crate) const LONGEST: Duration = Duration::from_mins(5);

/// The longest pause between looks where other controllers change things, too: what a lost notification costs.
const LOOK: Duration = Duration::from_secs(5);

/// How many requests may wait at a time: long polls and event streams. Each holds a connection, and
/// looks again whenever its bell rings.
#[derive(Debug)]
pub(crate) struct Waiting {
    max: usize,
    free: Arc<Semaphore>,
}

impl Waiting {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, free: Arc::new(Semaphore::new(max)) }
    }

    /// How many wait now.
    pub(crate) fn count(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }

    /// A place among those that wait, until it is dropped; [`Error::Busy`] if all are taken.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| Error::Busy(self.max))
    }
}

/// What `look` finds within `wait`, or nothing. The bell is taken before the first look, so news
/// between a look and the wait is never missed. Ends early when the controller stops, and with
/// [`Error::Busy`] when too many wait already.
pub(crate) async fn until<T, F>(
    state: &State,
    topic: &'static str,
    wait: Duration,
    mut look: impl FnMut() -> F,
) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    let mut bell = state.store.bell(topic);
    let mut place = None;
    let deadline = Instant::now() + wait.min(LONGEST);
    let is_alone = state.store.backend() == Backend::Sqlite;
    loop {
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        if wait.is_zero() {
            return Ok(None);
        }
        if place.is_none() {
            place = Some(state.waiting.enter()?);
        }
        tokio::select! {
            () = bell.wait() => {}
            () = sleep(LOOK), if !is_alone => {}
            () = sleep_until(deadline) => return Ok(None),
            () = state.stopping.cancelled() => return Ok(None),
        }
    }
}
