//! Waking whoever waits for news of a topic.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// All bells of a store. A topic's count grows with every ring, so a ring between two waits is never missed.
#[derive(Default)]
pub(crate) struct Bells(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Bells {
    pub(crate) fn bell(self: &Arc<Self>, topic: &'static str) -> Bell {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = topics.entry(topic).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Bell { rings, _bells: Arc::clone(self) }
    }

    /// Rings a topic nobody may listen to.
    pub(crate) fn ring(&self, topic: &str) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rings) = topics.get(topic) {
            rings.send_modify(|count| *count += 1);
        }
    }

    /// Rings every topic: news may have been missed.
    pub(crate) fn ring_all(&self) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for rings in topics.values() {
            rings.send_modify(|count| *count += 1);
        }
    }
}

/// Waits for commits that rang a topic. Get it before looking at the data, then look, then wait, in a loop.
pub struct Bell {
    rings: watch::Receiver<u64>,
    _bells: Arc<Bells>,
}

impl Bell {
    /// Returns once the topic rang since the bell was made or since the last `wait` returned. Several rings in between
    /// are one. Cancel safe.
    pub async fn wait(&mut self) {
        self.rings.changed().await.expect("the sender lives as long as the bells this holds");
    }
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bell")
    }
}
