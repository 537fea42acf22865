//! What the bus counts, and the text Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A number that only grows, or a level.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one API in this process.
#[derive(Debug, Default)]
pub(crate) struct ApiCounters {
    /// Calls made.
    pub(crate) called: Counter,
    /// Calls made that were not answered with a result.
    pub(crate) call_errors: Counter,
    /// Calls served.
    pub(crate) processed: Counter,
    /// Calls served whose answer was a failure.
    pub(crate) processing_errors: Counter,
    /// Time spent in procedures, in microseconds.
    pub(crate) processing_us: Counter,
    fired: Mutex<BTreeMap<String, Arc<Counter>>>,
}

impl ApiCounters {
    /// Events of this name that were fired.
    pub(crate) fn fired(&self, event: &str) -> Arc<Counter> {
        let mut fired = self.fired.lock().unwrap_or_else(PoisonError::into_inner);
        match fired.get(event) {
            Some(counter) => counter.clone(),
            None => fired.entry(event.to_owned()).or_default().clone(),
        }
    }

    fn all_fired(&self) -> Vec<(String, u64)> {
        let fired = self.fired.lock().unwrap_or_else(PoisonError::into_inner);
        fired.iter().map(|(event, counter)| (event.clone(), counter.get())).collect()
    }
}

/// What is counted of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerCounters {
    /// Events handled, whatever came of it.
    pub(crate) processed: Counter,
    /// Handlers' failures, also of events that were tried again.
    pub(crate) errors: Counter,
    /// Events given up.
    pub(crate) dead: Counter,
    /// Time spent in handlers, in microseconds.
    pub(crate) processing_us: Counter,
    /// Events in the streams that the group has not read, when it last looked.
    pub(crate) lag: Counter,
}

/// A duration as counters have it.
pub(crate) fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The counters of a listener, for the text.
pub(crate) struct ListenerReport<'a> {
    pub(crate) api: &'a str,
    pub(crate) event: &'a str,
    pub(crate) listener: &'a str,
    pub(crate) counters: &'a ListenerCounters,
}

/// Prometheus's text format 0.0.4.
pub(crate) struct Exposition<'a> {
    pub(crate) service: &'a str,
    pub(crate) text: String,
}

impl Exposition<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
        }
    }

    fn labels(&self, api: &str, event: Option<&str>, listener: Option<&str>) -> String {
        let mut labels = format!("api_name=\"{}\"", escaped(api));
        for (name, value) in [("event_name", event), ("listener_name", listener)] {
            if let Some(value) = value {
                let _ = write!(labels, ",{name}=\"{}\"", escaped(value));
            }
        }
        let _ =
            write!(labels, ",service_name=\"{}\",transport_name=\"redis\"", escaped(self.service));
        labels
    }

    /// Writes what is counted of APIs.
    pub(crate) fn apis(&mut self, apis: &[(&str, &ApiCounters)]) {
        type Read = fn(&ApiCounters) -> f64;
        let families: [(&str, &str, Read); 5] = [
            ("lightbus_called_rpcs", "Calls made.", |api| number(&api.called)),
            ("lightbus_called_rpcs_errors", "Calls made without a result.", |api| {
                number(&api.call_errors)
            }),
            ("lightbus_processed_rpcs", "Calls served.", |api| number(&api.processed)),
            ("lightbus_processed_rpcs_errors", "Calls served that failed.", |api| {
                number(&api.processing_errors)
            }),
            ("lightbus_processed_rpcs_seconds", "Time spent in procedures.", |api| {
                seconds(&api.processing_us)
            }),
        ];
        for (name, help, read) in families {
            let samples: Vec<_> = apis
                .iter()
                .map(|(api, counters)| (self.labels(api, None, None), read(counters)))
                .collect();
            self.family(name, "counter", help, &samples);
        }
        let fired: Vec<_> = apis
            .iter()
            .flat_map(|(api, counters)| {
                counters.all_fired().into_iter().map(move |(event, count)| (*api, event, count))
            })
            .map(|(api, event, count)| (self.labels(api, Some(&event), None), count as f64))
            .collect();
        self.family("lightbus_events_total", "counter", "Events fired.", &fired);
    }

    /// Writes what is counted of listeners.
    pub(crate) fn listeners(&mut self, listeners: &[ListenerReport<'_>]) {
        type Read = fn(&ListenerCounters) -> f64;
        let families: [(&str, &str, &str, Read); 5] = [
            ("lightbus_listener_lag_events", "gauge", "Events not read yet.", |all| {
                number(&all.lag)
            }),
            ("lightbus_listener_processed_events", "counter", "Events handled.", |all| {
                number(&all.processed)
            }),
            ("lightbus_listener_processed_seconds", "counter", "Time spent in handlers.", |all| {
                seconds(&all.processing_us)
            }),
            ("lightbus_listener_errors", "counter", "Failures of handlers.", |all| {
                number(&all.errors)
            }),
            ("lightbus_listener_dead_events", "counter", "Events given up.", |all| {
                number(&all.dead)
            }),
        ];
        for (name, kind, help, read) in families {
            let samples: Vec<_> = listeners
                .iter()
                .map(|one| {
                    let labels = self.labels(one.api, Some(one.event), Some(one.listener));
                    (labels, read(one.counters))
                })
                .collect();
            self.family(name, kind, help, &samples);
        }
    }
}

fn number(counter: &Counter) -> f64 {
    counter.get() as f64
}

fn seconds(counter: &Counter) -> f64 {
    counter.get() as f64 / 1e6
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
