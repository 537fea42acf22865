//! When to try again.

use std::time::Duration;

use super::SourceSettings;

/// However often it failed, no longer than this is waited.
const DELAY_MAX: Duration = Duration::from_mins(1);

/// A server that wants to be left alone for longer is asked again after this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// How long to wait before the next round of attempts. `chance` is between 0 and 1: so that many that failed together do not
/// come back together, up to half of the delay is left out.
pub(super) fn delay(
    settings: &SourceSettings,
    round: u32,
    retry_after: Option<Duration>,
    chance: f64,
) -> Duration {
    let doubled = settings.retry_delay_ms.saturating_mul(1 << round.min(16));
    let delay = Duration::from_millis(doubled).min(DELAY_MAX);
    let spread = delay.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0);
    retry_after.map_or(spread, |wish| wish.min(RETRY_AFTER_MAX).max(spread))
}

/// Between 0 and 1.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all come back together, which is no reason to fail.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_heed_the_server() {
        let settings = SourceSettings::default();
        let seconds = Duration::from_secs;
        for (round, retry_after, chance, expected) in [
            (0, None, 0.0, seconds(1)),
            (0, None, 1.0, Duration::from_millis(500)),
            (3, None, 0.0, seconds(8)),
            (40, None, 0.0, seconds(60)),
            (0, Some(seconds(7)), 0.0, seconds(7)),
            (4, Some(seconds(7)), 0.0, seconds(16)),
            (0, Some(seconds(86_400)), 0.0, seconds(300)),
        ] {
            assert_eq!(delay(&settings, round, retry_after, chance), expected);
        }
    }
}
