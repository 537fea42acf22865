//! Waiting for flows: by bell, and by a look now and then, as another process's bell may not be heard here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tutti_store::{Bell, Store, sql};
use uuid::Uuid;

use crate::{ENDED, Error, FlowRow, FlowState, Result, query};

sql! {
    pub(crate) ENDED_OF = "SELECT id, state FROM flow {rows} WHERE id = $1 AND finished IS NOT NULL";
    pub(crate) STATE = "SELECT state, finished IS NOT NULL FROM flow WHERE id = $1";
}

/// The longest pause between looks: what a lost wake-up costs.
const POLL: Duration = Duration::from_secs(2);

async fn rung(bell: &mut Bell) {
    // Time that is over is as good as a bell.
    let _ = tokio::time::timeout(POLL, bell.wait()).await;
}

/// Returns the flow once it has ended; combine it with a timeout. Cancel safe. Whoever waits for many flows uses
/// [`Engine::ended`](crate::Engine::ended).
///
/// # Errors
/// [`Error::NoFlow`]; storage errors.
pub async fn ended(store: &Store, id: Uuid) -> Result<FlowRow> {
    let mut bell = store.bell(ENDED);
    loop {
        let flow = store.read(move |tx| query::flow(tx, id)).await?;
        let flow = flow.ok_or(Error::NoFlow { id })?;
        if flow.state.is_ended() {
            return Ok(flow);
        }
        rung(&mut bell).await;
    }
}

type Waiting = HashMap<Uuid, Vec<oneshot::Sender<FlowState>>>;

/// Waits for many flows with one look at the database for each ring.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Waiting>>);

impl Watch {
    /// Begins to watch, until `over`.
    pub(crate) fn start(store: Store, over: CancellationToken) -> Self {
        let watch = Self::default();
        let watching = watch.clone();
        tokio::spawn(async move {
            over.run_until_cancelled(watching.run(&store)).await;
            // Those who still wait are told by the end of their channel.
            watching.lock().clear();
        });
        watch
    }

    async fn run(&self, store: &Store) {
        let mut bell = store.bell(ENDED);
        loop {
            rung(&mut bell).await;
            if let Err(error) = self.look(store).await {
                tracing::warn!(%error, "looking for flows that ended failed");
            }
        }
    }

    async fn look(&self, store: &Store) -> Result<()> {
        let waiting: Vec<Uuid> = self.lock().keys().copied().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let ended: Vec<(Uuid, FlowState)> =
            store.read(move |tx| tx.all_many(ENDED_OF, waiting.iter().map(|id| (id,)))).await?;
        let mut waiting = self.lock();
        for (id, state) in ended {
            for waiter in waiting.remove(&id).unwrap_or_default() {
                // Who stopped waiting is not interested.
                let _ = waiter.send(state);
            }
        }
        Ok(())
    }

    /// How a flow ended, once it has.
    pub(crate) async fn ended(&self, store: &Store, id: Uuid) -> Result<FlowState> {
        let (told, wait) = oneshot::channel();
        self.lock().entry(id).or_default().push(told);
        // It may have ended before anybody waited.
        let known: Option<(FlowState, bool)> = store.read(move |tx| tx.maybe(STATE, (id,))).await?;
        let (state, ended_before) = known.ok_or(Error::NoFlow { id })?;
        if ended_before {
            return Ok(state);
        }
        match wait.await {
            Ok(state) => Ok(state),
            Err(_) => ended(store, id).await.map(|flow| flow.state),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
