//! Waiting for flows: by bell, and by a look now and then, as another process's bell may not be heard here.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};
use tutti_store::{Bell, Store, sql};
use uuid::Uuid;

use crate::{ENDED, Error, FlowRow, FlowState, Result, query};

sql! {
    /// All of them, by their ids: asked for those that have ended, PostgreSQL would go through all that ever have.
    pub(crate) STATES = "SELECT id, state, finished IS NOT NULL FROM flow {rows} WHERE id = $1";
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

type Waiting = HashMap<Uuid, Waited>;

/// A flow somebody waits for.
#[derive(Debug, Default)]
struct Waited {
    /// Who is to be told.
    waiters: Vec<oneshot::Sender<FlowState>>,
    /// It is there, so that it can be looked for.
    queued: bool,
}

/// Waits for many flows. The worker tells of those it ends itself; for others there is one look at the database for each ring.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    waiting: Mutex<Waiting>,
    again: Notify,
}

impl Watch {
    /// Looks for flows that end elsewhere. `held` are those of this worker, which it tells of. Never returns.
    pub(crate) async fn run(&self, store: &Store, held: impl Fn(&Uuid) -> bool) {
        let mut bell = store.bell(ENDED);
        loop {
            let rung = tokio::time::timeout(POLL, async {
                tokio::select! {
                    () = bell.wait() => {}
                    () = self.again.notified() => {}
                }
            });
            let all = rung.await.is_err();
            if let Err(error) = self.look(store, |id| all || !held(id)).await {
                tracing::warn!(%error, "looking for flows that ended failed");
            }
        }
    }

    async fn look(&self, store: &Store, wanted: impl Fn(&Uuid) -> bool) -> Result<()> {
        let looked_for: Vec<Uuid> = {
            let waiting = self.lock();
            let queued = waiting.iter().filter(|(_, waited)| waited.queued);
            queued.map(|(id, _)| *id).filter(wanted).collect()
        };
        if looked_for.is_empty() {
            return Ok(());
        }
        let states: Vec<(Uuid, FlowState, bool)> =
            store.read(move |tx| tx.all_many(STATES, looked_for.iter().map(|id| (id,)))).await?;
        let ended = states.into_iter().filter(|(.., ended)| *ended);
        ended.for_each(|(id, state, _)| self.tell(id, state));
        Ok(())
    }

    /// Tells whoever waits for a flow how it ended.
    pub(crate) fn tell(&self, id: Uuid, state: FlowState) {
        let waited = self.lock().remove(&id).unwrap_or_default();
        for waiter in waited.waiters {
            // Who stopped waiting is not interested.
            let _ = waiter.send(state);
        }
    }

    /// The worker has a flow no more and has not told how it ended: somebody else may have ended it.
    pub(crate) fn let_go(&self, id: &Uuid) {
        if self.lock().contains_key(id) {
            self.again.notify_one();
        }
    }

    /// Nobody looks any more: who still waits is told by the end of the channel.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    /// Begins to wait for a flow that is not there yet; nobody looks for it before it is [`queued`](Self::queued).
    pub(crate) fn expect(&self, id: Uuid) -> oneshot::Receiver<FlowState> {
        let (told, wait) = oneshot::channel();
        self.lock().entry(id).or_default().waiters.push(told);
        wait
    }

    /// A flow that is waited for is there; `here` if this worker has it, which tells of its end.
    pub(crate) fn queued(&self, id: &Uuid, here: bool) {
        let mut waiting = self.lock();
        // Otherwise it has ended.
        if let Some(waited) = waiting.get_mut(id) {
            waited.queued = true;
            if !here {
                self.again.notify_one();
            }
        }
    }

    /// Nobody waits for a flow any more.
    pub(crate) fn forget(&self, id: &Uuid) {
        self.lock().remove(id);
    }

    /// How a flow ended, once it has.
    pub(crate) async fn ended(&self, store: &Store, id: Uuid) -> Result<FlowState> {
        let wait = self.expect(id);
        self.queued(&id, true);
        // It may have ended before anybody waited.
        let known: Option<(FlowState, bool)> = store.read(move |tx| tx.maybe(STATE, (id,))).await?;
        let (state, ended_before) = known.ok_or(Error::NoFlow { id })?;
        if ended_before {
            return Ok(state);
        }
        self.told(store, id, wait).await
    }

    /// What comes of a wait.
    pub(crate) async fn told(
        &self,
        store: &Store,
        id: Uuid,
        wait: oneshot::Receiver<FlowState>,
    ) -> Result<FlowState> {
        match wait.await {
            Ok(state) => Ok(state),
            Err(_) => ended(store, id).await.map(|flow| flow.state),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
