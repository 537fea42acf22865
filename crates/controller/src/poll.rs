//! Long polls: look, and look again whenever a bell rang, until there is something or time is over.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::state::State;

/// The longest a caller may wait, so that dead connections are noticed.
const LONGEST: Duration = Duration::from_mins(5);

/// What `look` finds within `wait`, or nothing. The bell is taken before the first look, so news
/// between a look and the wait is never missed. Ends early when the controller stops.
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
    let deadline = Instant::now() + wait.min(LONGEST);
    loop {
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        tokio::select! {
            () = bell.wait() => {}
            () = sleep_until(deadline) => return Ok(None),
            () = state.stopping.cancelled() => return Ok(None),
        }
    }
}
