//! Durations and counts as people read them.

/// A duration in a few characters: `0.1s`, `59s`, `2m05s`, `2h03m`, `2d02h`.
pub(crate) fn duration(milliseconds: i128) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 if milliseconds % 1000 >= 50 => format!("{:.1}s", milliseconds as f64 / 1000.0),
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (milliseconds, text) in [
            (0, "0s"),
            (120, "0.1s"),
            (9_040, "9s"),
            (59_999, "59s"),
            (125_000, "2m05s"),
            (7_380_000, "2h03m"),
            (180_000_000, "2d02h"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0, "event"), "0 events");
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(2, "group"), "2 groups");
    }
}
