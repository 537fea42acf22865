//! The text that Prometheus reads (exposition format 0.0.4), and distributions of durations.

use std::fmt::{Display, Write as _};
use std::time::Duration;

/// The upper bounds of a distribution, seconds.
const BOUNDS: [f64; 15] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0];

/// How durations are distributed.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    /// Up to each bound, and not up to the one before.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Durations {
    /// Counts one more.
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.within[at] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
    }
}

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
}

/// The labels of a line, by name.
pub(super) type Labels<'l> = &'l [(&'l str, &'l str)];

impl Text {
    /// Begins a metric: `counter`, `gauge` or `histogram`.
    pub(super) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value.
    pub(super) fn value(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if at == 0 { "{" } else { "," });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A metric of one value.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, &[], value);
    }

    /// One distribution of a histogram.
    pub(super) fn durations(&mut self, name: &str, labels: Labels<'_>, durations: &Durations) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(durations.within) {
            below += count;
            let bound = bound.to_string();
            self.value(&bucket, &[labels, &[("le", &bound)]].concat(), below);
        }
        self.value(&bucket, &[labels, &[("le", "+Inf")]].concat(), durations.count);
        self.value(&format!("{name}_sum"), labels, durations.sum.as_secs_f64());
        self.value(&format!("{name}_count"), labels, durations.count);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        let mut text = Text::default();
        text.single("up", "gauge", "Whether it is.", 1);
        text.value("x", &[("a", "b\"\\\n"), ("c", "d")], 0.5);
        let expected =
            "# HELP up Whether it is.\n# TYPE up gauge\nup 1\nx{a=\"b\\\"\\\\\\n\",c=\"d\"} 0.5\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn buckets_hold_all_that_took_no_longer() {
        let mut durations = Durations::default();
        for milliseconds in [1, 2, 70, 3_600_000] {
            durations.add(Duration::from_millis(milliseconds));
        }
        let mut text = Text::default();
        text.durations("t", &[("name", "x")], &durations);
        let text = text.finish();
        for line in [
            "t_bucket{name=\"x\",le=\"0.001\"} 1\n",
            "t_bucket{name=\"x\",le=\"0.1\"} 3\n",
            "t_bucket{name=\"x\",le=\"1800\"} 3\n",
            "t_bucket{name=\"x\",le=\"+Inf\"} 4\n",
            "t_sum{name=\"x\"} 3600.073\n",
            "t_count{name=\"x\"} 4\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
