//! What time it is for the broker.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

thread_local! {
    /// When the system's clock was last ahead, and what it said.
    static LAST: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
}

/// Milliseconds since 1970, by the system's clock; but time never stands still or goes back. If the clock is set back, the broker's goes
/// on until the other has caught up: otherwise clients would wait for as long as it was set back.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = milliseconds(since);
    let last = LAST.get().map(|(at, ms)| (at.elapsed(), ms));
    let (now, is_ahead) = later(wall, last);
    if is_ahead {
        LAST.set(Some((Instant::now(), now)));
    }
    now
}

/// What time it is, given what the system's clock says, and what it said so long ago. Also answers whether that clock is ahead.
fn later(wall: i64, last: Option<(Duration, i64)>) -> (i64, bool) {
    let at_least = last.map(|(elapsed, ms)| ms.saturating_add(milliseconds(elapsed)));
    match at_least {
        Some(at_least) if at_least >= wall => (at_least, false),
        _ => (wall, true),
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_clock_is_set_back_and_follows_when_it_is_set_forward() {
        let ago = |ms, said| Some((Duration::from_millis(ms), said));
        assert_eq!(later(1000, None), (1000, true));
        assert_eq!(later(1005, ago(4, 1000)), (1005, true));
        assert_eq!(later(500, ago(4, 1000)), (1004, false));
        assert_eq!(later(900_000, ago(4, 1000)), (900_000, true));
    }
}
