//! Looking for flows to take, and taking them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::OwnedSemaphorePermit;
use tutti_store::Tx;
use uuid::Uuid;

use super::{Life, REFUSALS_MAX, TROUBLE_PAUSE, Worker, lock};
use crate::{
    Point, Result, TOPIC, change,
    policy::micros,
    take::{self, Taken, Work},
};

/// The longest sleep between looks for work: what a lost wake-up costs.
const POLL: Duration = Duration::from_secs(1);

/// How long a busy worker takes flows without looking what else there is.
const LOOK: Duration = Duration::from_millis(50);

/// The shortest sleep between two looks that found nothing, when another worker is about to do what is due.
const PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    /// Takes flows until the worker stops.
    pub(super) async fn take_work(&self) {
        let mut bell = self.0.store.bell(TOPIC);
        let mut hungry = None;
        loop {
            let due = match self.look(&mut hungry).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "looking for work failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                    continue;
                }
            };
            tokio::select! {
                biased;
                () = self.0.stopping.cancelled() => return,
                () = bell.wait() => {}
                () = self.0.freed.notified() => {}
                () = self.clock().reaches(due) => {}
            }
            // What was written together frees several places: they are filled together.
            tokio::task::yield_now().await;
        }
    }

    /// Takes what there is; answers when to look again if nothing wakes the worker before. `hungry` is set if there is
    /// probably more than was taken last: the time of the last look around, which is not needed again so soon.
    async fn look(&self, hungry: &mut Option<Instant>) -> Result<i64> {
        if self.0.unsure.load(Ordering::Relaxed) > 0 {
            self.disown().await?;
        }
        let now = self.clock().now();
        let life = self.life();
        let id = life.id;
        // What is freed from here on is told.
        self.0.full.store(true, Ordering::SeqCst);
        let room = self.0.places.available_permits();
        if hungry.is_some_and(|looked| looked.elapsed() < LOOK) && room > 0 && !self.is_stopping() {
            let nudged = self.0.store.read(move |tx| take::nudged(tx, id));
            let (taken, nudged) = tokio::join!(self.take(&life, room, false), nudged);
            self.nudge(&nudged?);
            if taken? == room {
                return Ok(now + micros(LOOK));
            }
            *hungry = None;
        }
        let looked = Instant::now();
        let outlook = self.0.store.read(move |tx| take::outlook(tx, id, room, now)).await?;
        self.nudge(&outlook.nudged);
        if !outlook.work || self.is_stopping() {
            self.0.full.store(room == 0, Ordering::SeqCst);
            let poll = now + micros(POLL);
            return Ok(outlook.next_at.map_or(poll, |at| at.min(poll)));
        }
        let looked_at = self.take(&life, room, outlook.due).await?;
        *hungry = (room > 0 && looked_at == room).then_some(looked);
        Ok(if looked_at == 0 { now + micros(PAUSE) } else { now })
    }

    /// Tells flows that there is news for them.
    fn nudge(&self, flows: &[Uuid]) {
        let held = lock(&self.0.held);
        flows.iter().filter_map(|flow| held.get(flow)).for_each(|held| held.nudge.notify_one());
    }

    /// Takes up to `room` flows; answers how many it looked at.
    async fn take(&self, life: &Life, room: usize, due: bool) -> Result<usize> {
        let (id, known, now) = (life.id, self.0.known.clone(), self.clock().now());
        let places = self.free_places();
        let room = room.min(places.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        self.reach(Point::BeforeTake, None).await?;
        self.is_unsure();
        let taking = move |tx: &mut Tx<'_>| take::work(tx, id, room, &known, due, now);
        let work = match self.0.store.write(taking).await {
            Err(error) if error.is_refusal() => self.take_singly(id, room).await?,
            work => work?,
        };
        self.reach(Point::AfterTake, None).await?;
        self.0.unsure.fetch_sub(1, Ordering::Relaxed);
        if let Some(places) = places {
            self.accept(work.taken, places, life);
        }
        Ok(work.looked_at)
    }

    /// Takes flows each by itself, after the database refused to begin them together: one that it refuses again and again
    /// is set aside, so that it does not keep the others.
    async fn take_singly(&self, worker: Uuid, room: usize) -> Result<Work> {
        let store = &self.0.store;
        let mut all = Work::default();
        for id in store.read(move |tx| take::ready(tx, room)).await? {
            let mut refusals = 0;
            let one = loop {
                let (known, now) = (self.0.known.clone(), self.clock().now());
                let take = move |tx: &mut Tx<'_>| take::these(tx, worker, vec![id], &known, now);
                match store.write(take).await {
                    Err(error) if error.is_refusal() => {
                        tracing::warn!(%error, flow = %id, "beginning a flow was refused");
                        refusals += 1;
                        if refusals == REFUSALS_MAX {
                            let message = format!("it cannot be begun: {}", error.with_causes());
                            let aside =
                                move |tx: &mut Tx<'_>| change::set_aside(tx, id, &message, now);
                            store.write(aside).await?;
                            break Work { looked_at: 1, ..Work::default() };
                        }
                    }
                    one => break one?,
                }
            };
            all.taken.extend(one.taken);
            all.looked_at += one.looked_at;
        }
        Ok(all)
    }

    /// Gives back what a take may have given to this worker without its knowing.
    async fn disown(&self) -> Result<()> {
        let id = self.life().id;
        let unsure = self.0.unsure.load(Ordering::Relaxed);
        let known: Vec<String> =
            lock(&self.0.held).iter().map(|(id, held)| format!("{id} {}", held.epoch)).collect();
        self.0.store.write(move |tx| take::disown(tx, id, &known)).await?;
        self.0.unsure.fetch_sub(unsure, Ordering::Relaxed);
        Ok(())
    }

    /// Begins what was taken in a life, each in one of the places.
    pub(crate) fn accept(&self, taken: Vec<Taken>, mut places: OwnedSemaphorePermit, life: &Life) {
        if life.over.is_cancelled() {
            // Whoever ended it has given the flows to others, or will when the lease ends.
            return;
        }
        self.0.counters.taken(taken.len());
        for taken in taken {
            self.run_flow(taken, places.split(1), life);
        }
    }

    /// All places for flows that are free.
    fn free_places(&self) -> Option<OwnedSemaphorePermit> {
        let free = u32::try_from(self.0.places.available_permits()).unwrap_or(u32::MAX);
        Arc::clone(&self.0.places).try_acquire_many_owned(free).ok()
    }
}
