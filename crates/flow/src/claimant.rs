//! A worker that makes attempts for flows it does not have: it claims what others offer and it can do.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, Failure, OFFERS, Result, TaskContext, Timeouts,
    attempt::Attempt,
    claim::{self, Claim, Claimant},
    graph::Return,
    offer, take,
    task::Kind,
    worker::{Life, Worker},
};

/// The longest sleep between looks for offers: what a lost wake-up costs.
const POLL: Duration = Duration::from_secs(1);

/// Wait before the database is asked again after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

impl Worker {
    /// Claims what there is until the worker stops.
    pub(crate) async fn claim_work(&self) {
        let mut bell = self.store().bell(OFFERS);
        while !self.is_stopping() {
            let pause = match self.claim_some().await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(%error, "looking for tasks of others failed");
                    TROUBLE_PAUSE
                }
            };
            tokio::select! {
                () = self.stopping().cancelled() => {}
                () = bell.wait() => {}
                () = self.unclaimed().notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn claim_some(&self) -> Result<()> {
        let known = self.known().clone();
        let (any, orphans) = self.store().read(move |tx| offer::look(tx, &known)).await?;
        if orphans {
            self.store().write(offer::refuse_orphans).await?;
            self.unclaimed().notify_one();
        }
        let room = self.claims().available_permits();
        if !any || room == 0 {
            return Ok(());
        }
        let life = self.life();
        let has_turn = |name: &&String| {
            let turns = self.turns(name);
            turns.is_none_or(|turns| turns.available_permits() > 0) && !self.is_held(name)
        };
        let claimant = Claimant {
            name: life.id.to_string(),
            handlers: self.known().handlers.iter().filter(has_turn).cloned().collect(),
            labels: self.known().labels.clone(),
        };
        let (id, lease) = (life.id, self.lease());
        let claiming = move |tx: &mut Tx<'_>| match take::is_alive(tx, id)? {
            true => claim::claim(tx, &claimant, room, lease),
            false => Ok(Vec::new()),
        };
        let claimed = self.store().write(claiming).await?;
        for claim in claimed {
            // There is room for so many: nobody else takes it.
            if let Ok(place) = Arc::clone(self.claims()).try_acquire_owned() {
                self.run_claim(claim, &life, place);
            }
        }
        Ok(())
    }

    fn run_claim(&self, claim: Claim, life: &Life, place: OwnedSemaphorePermit) {
        let (worker, id, over) = (self.clone(), life.id, life.over.clone());
        let cancelled = life.claims.child_token();
        self.track(async move {
            over.run_until_cancelled(worker.keep_claim(claim, id, cancelled)).await;
            drop(place);
            worker.unclaimed().notify_one();
        });
    }

    /// Makes the attempt as long as the claim is this worker's, and says what it came to.
    async fn keep_claim(&self, claim: Claim, worker: Uuid, cancelled: CancellationToken) {
        let (id, flow) = (claim.id, claim.flow);
        let in_tx = matches!(self.handlers().get(&claim.name), Some(Kind::InTx(_)));
        let outcome = tokio::select! {
            biased;
            outcome = self.clone().make(self.attempt_of(claim, worker, cancelled.clone())) => outcome,
            () = self.hold_claim(id, &cancelled) => {
                tracing::warn!(%flow, claim = %id, "a task was dropped: it is another's");
                return self.counters().fenced();
            }
        };
        if in_tx && outcome.is_ok() {
            return;
        }
        loop {
            let what = Return::Ended(outcome.clone());
            let end = self.store().write(move |tx| claim::end(tx, id, what.clone()));
            match end.await {
                Ok(()) => return,
                // Written although nobody answered, or another's.
                Err(Error::ClaimLost { .. }) => {
                    tracing::warn!(%flow, claim = %id, "a result was dropped: its task is another's");
                    return self.counters().fenced();
                }
                Err(error) => {
                    tracing::warn!(%error, %flow, "recording a result failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }

    fn attempt_of(&self, claim: Claim, worker: Uuid, cancelled: CancellationToken) -> Attempt {
        let reverting = claim.undo.is_some();
        let context = TaskContext {
            flow: claim.flow,
            task: claim.task,
            attempt: claim.attempt,
            epoch: claim.epoch,
            number: claim.number,
            reverting,
            cancelled: if reverting { CancellationToken::new() } else { cancelled },
            alive: Arc::default(),
            store: self.store().clone(),
            claim: Some(claim.id),
            trace: claim.trace.map(Arc::from),
        };
        // The deadline ends the attempt as well, but by a lapse of the claim, a little later.
        let limit = claim.deadline.map(|at| at.saturating_sub(claim.claimed).unsigned_abs());
        Attempt {
            name: claim.name,
            worker,
            context,
            input: Ok(claim.input.to_string()),
            left: claim.left,
            timeouts: Timeouts {
                attempt: limit.map(Duration::from_micros),
                total: None,
                heartbeat: claim.heartbeat,
                cancel: claim.cancel_limit,
            },
        }
    }

    /// Renews a claim and listens for its cancellation; returns when it is lost.
    async fn hold_claim(&self, id: Uuid, cancelled: &CancellationToken) {
        let mut bell = self.store().bell(OFFERS);
        let lease = self.lease();
        let mut renewed = std::time::Instant::now();
        loop {
            let rung = tokio::select! {
                () = bell.wait() => true,
                () = tokio::time::sleep((lease / 3).saturating_sub(renewed.elapsed())) => false,
            };
            let standing = if rung {
                self.store().read(move |tx| claim::standing(tx, id)).await
            } else {
                self.store().write(move |tx| claim::beat(tx, id, lease)).await
            };
            match standing {
                Ok(standing) if standing.cancelled => cancelled.cancel(),
                Ok(_) => {}
                Err(Error::ClaimLost { .. }) => return,
                Err(error) => {
                    tracing::warn!(%error, "renewing a claim failed");
                    if renewed.elapsed() > lease {
                        return;
                    }
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                    continue;
                }
            }
            if !rung {
                renewed = std::time::Instant::now();
            }
        }
    }

    /// Waits until another attempt at tasks of this name may be made here.
    pub(crate) async fn turn(
        &self,
        name: &str,
        context: &TaskContext,
    ) -> Result<Option<Turn>, Failure> {
        let Some(turns) = self.turns(name) else { return Ok(None) };
        tokio::select! {
            biased;
            turn = Arc::clone(turns).acquire_owned() => {
                Ok(turn.ok().map(|permit| Turn { worker: self.clone(), _permit: permit }))
            }
            () = context.cancelled() => {
                Err(Failure::Retryable("it was cancelled before its turn came".into()))
            }
        }
    }
}

/// A turn taken; when it ends, somebody may have been waiting for it.
pub(crate) struct Turn {
    worker: Worker,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.worker.unclaimed().notify_one();
    }
}
