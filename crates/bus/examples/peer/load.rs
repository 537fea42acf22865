//! Events fired and counted while servers are killed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tutti_bus::{Bus, Error, EventId};

use crate::api::UserRegistered;

/// The pause of one that fires between its events, so that the servers, not the processor, are what is tested.
const PAUSE: Duration = Duration::from_millis(2);

/// When things happened, and the longest time in which none did.
#[derive(Default)]
struct Gap {
    last: Option<Instant>,
    longest: Duration,
}

impl Gap {
    fn happens(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.longest = self.longest.max(now - last);
        }
        self.last = Some(now);
    }
}

/// Some that fire one event after another.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    fired: Arc<Mutex<Fired>>,
    firing: JoinSet<()>,
}

#[derive(Default)]
struct Fired {
    ids: Vec<String>,
    errors: Vec<String>,
    gap: Gap,
}

impl Fired {
    fn note(&mut self, outcome: Result<EventId, Error>) {
        match outcome {
            Ok(event) => {
                self.ids.push(event.id);
                self.gap.happens();
            }
            Err(error) => self.errors.push(error.to_string()),
        }
    }
}

impl Load {
    pub(crate) fn begin(bus: &Bus, in_flight: usize) -> Load {
        let (stopped, fired) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let mut firing = JoinSet::new();
        for number in 0..in_flight {
            firing.spawn(fire(bus.clone(), number, stopped.clone(), fired.clone()));
        }
        Load { stopped, fired, firing }
    }

    /// Stops; the ids of all events whose firing was acknowledged.
    pub(crate) async fn stop(self) -> Value {
        self.stopped.store(true, Ordering::Relaxed);
        self.firing.join_all().await;
        let fired = self.fired.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "ids": fired.ids,
            "errors": fired.errors,
            "longest_gap_s": fired.gap.longest.as_secs_f64(),
        })
    }
}

async fn fire(bus: Bus, number: usize, stopped: Arc<AtomicBool>, fired: Arc<Mutex<Fired>>) {
    while !stopped.load(Ordering::Relaxed) {
        let event = UserRegistered {
            username: format!("number {number}"),
            email: String::new(),
            is_admin: false,
        };
        let outcome = bus.fire(event).await;
        fired.lock().unwrap_or_else(PoisonError::into_inner).note(outcome);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts how often each event was heard.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    times: HashMap<String, u32>,
    gap: Gap,
}

impl Counter {
    pub(crate) fn count(&self, id: &str) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.times.entry(id.to_owned()).or_default() += 1;
        counted.gap.happens();
    }

    pub(crate) fn report(&self) -> Value {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "times": counted.times, "longest_gap_s": counted.gap.longest.as_secs_f64() })
    }
}
