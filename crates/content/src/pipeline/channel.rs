//! What joins two stages: a queue with a bound, and an end.
//!
//! Whoever writes waits for room, so a fast stage never runs far ahead of a slow one. The end is said, not guessed: a stream
//! that breaks off because its stage failed has no end, and its reader waits until the pipeline is dropped. So no stage takes
//! the first half of something for the whole.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;

use super::Error;

/// Items between two stages: as many as a batch has.
pub(super) const ITEMS_MAX: usize = 500;

/// Where a stage reads.
#[derive(Debug)]
pub struct Input<T> {
    items: mpsc::Receiver<T>,
    is_ended: Arc<AtomicBool>,
}

/// Where a stage writes. Clones write into the same stream.
#[derive(Debug)]
pub struct Output<T> {
    items: mpsc::Sender<T>,
    is_ended: Arc<AtomicBool>,
}

pub(super) fn channel<T>(bound: usize) -> (Output<T>, Input<T>) {
    let (sender, receiver) = mpsc::channel(bound);
    let is_ended = Arc::new(AtomicBool::new(false));
    let output = Output { items: sender, is_ended: Arc::clone(&is_ended) };
    (output, Input { items: receiver, is_ended })
}

impl<T> Input<T> {
    /// The next item, in order; none at the end.
    pub async fn next(&mut self) -> Option<T> {
        match self.items.recv().await {
            Some(item) => Some(item),
            None => self.end().await,
        }
    }

    /// All items that have accumulated, up to `most`, but at least one; none at the end.
    pub async fn batch(&mut self, most: usize) -> Option<Vec<T>> {
        let mut items = Vec::new();
        match self.items.recv_many(&mut items, most.max(1)).await {
            0 => self.end().await,
            _ => Some(items),
        }
    }

    async fn end<N>(&self) -> Option<N> {
        if self.is_ended.load(Ordering::Acquire) {
            return None;
        }
        std::future::pending().await
    }
}

impl<T> Output<T> {
    /// Hands an item on, once there is room.
    ///
    /// # Errors
    /// [`Error::Closed`] if nobody reads any more.
    pub async fn send(&self, item: T) -> Result<(), Error> {
        self.items.send(item).await.map_err(|_| Error::Closed)
    }

    /// Nothing more comes, from any clone.
    pub(super) fn end(self) {
        self.is_ended.store(true, Ordering::Release);
    }
}

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), is_ended: Arc::clone(&self.is_ended) }
    }
}
