//! Firing what the outbox has, in its order.
//!
//! A round reads what comes after the cursor, fires it as one transaction of the bus, and moves the cursor. Dying in
//! between means that the same is fired again, with the same ids. Among controllers that share a database one holds the
//! cursor for a while; the others look again when that is over.

use std::time::Duration;

use tutti_bus::{Announcement, Bus};
use tutti_store::{Backend, OUTBOX, OutboxEvent, Tx};

use super::topics;
use crate::flows::Names;
use crate::http::sentence;
use crate::state::State;
use crate::{Error, clock, models};

/// Entries fired at a time.
const PAGE: u32 = 256;

/// The least time between two rounds that are not full, for each costs a commit.
const PACE: Duration = Duration::from_millis(20);

/// How long a controller holds the cursor without moving it. Firing is given up much sooner.
const LEASE: Duration = Duration::from_secs(20);

/// The pause after a failure; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

tutti_store::sql! {
    SEQ = "SELECT seq FROM bus_cursor WHERE id = 1";
    HOLD = "UPDATE bus_cursor SET owner = $1, until = $2 \
        WHERE id = 1 AND (owner = $1 OR until <= $3) RETURNING seq";
    HELD_UNTIL = "SELECT until FROM bus_cursor WHERE id = 1";
    MOVE = "UPDATE bus_cursor SET seq = $2, until = $3 WHERE id = 1 AND owner = $1";
    RELEASE = "UPDATE bus_cursor SET until = 0 WHERE id = 1 AND owner = $1";
}

/// What a round came to.
enum Round {
    /// There was nothing to be fired.
    Nothing,
    /// All there was has been fired.
    All,
    /// A page has been fired, and there may be more.
    Page,
    /// Another controller fires, and holds the cursor for so long.
    Elsewhere(Duration),
}

/// Fires what the outbox has.
pub(super) struct Publisher<'a> {
    state: &'a State,
    bus: &'a Bus,
    /// Names this process at the cursor.
    owner: String,
    /// Until when the cursor is held, as far as this process knows.
    held_until: i64,
    names: Names,
    /// Whether the schemas are on the bus.
    is_described: bool,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(state: &'a State, bus: &'a Bus) -> Self {
        let owner = state.store.instance().to_string();
        Self { state, bus, owner, held_until: 0, names: Names::default(), is_described: false }
    }

    /// Fires for ever, round after round.
    pub(super) async fn run(&mut self) {
        // The bell is taken before the first look, so that nothing is missed between the two.
        let mut bell = self.state.store.bell(OUTBOX);
        let mut outage = Outage::default();
        loop {
            match self.round().await {
                Ok(round) => {
                    outage.ended();
                    match round {
                        Round::Nothing => bell.wait().await,
                        Round::All => tokio::time::sleep(PACE).await,
                        Round::Page => {}
                        Round::Elsewhere(time) => tokio::time::sleep(time.max(PACE)).await,
                    }
                }
                Err(error) => {
                    self.is_described = false;
                    self.state.counts.bus_failed();
                    tokio::time::sleep(outage.pause(&error)).await;
                }
            }
        }
    }

    /// Another controller need not wait until this one has been silent for long.
    pub(super) async fn release(&self) -> Result<(), Error> {
        let owner = self.owner.clone();
        self.state.write(move |tx| Ok(tx.exec(RELEASE, (&owner,))?)).await.map(drop)
    }

    async fn round(&mut self) -> Result<Round, Error> {
        // Also before there is anything to fire: listeners read schemas when they start.
        if !self.is_described {
            self.bus.own_events(&topics::schemas()).await?;
            self.is_described = true;
        }
        let mut seq = self.state.read(cursor).await?;
        if self.state.store.outbox_last().await? <= seq {
            return Ok(Round::Nothing);
        }
        if self.held_until - micros(LEASE / 2) < clock::now() {
            match self.hold().await? {
                Ok(held) => seq = held,
                Err(time) => return Ok(Round::Elsewhere(time)),
            }
        }
        let entries = self.state.store.outbox_after(seq, PAGE).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(Round::Nothing) };
        if entries[0].seq != seq + 1 {
            let (from, to) = (seq + 1, entries[0].seq - 1);
            tracing::error!(from, to, "events were forgotten before the bus could be told of them");
        }
        let is_full = entries.len() == PAGE as usize;
        let announcements = self.announcements(entries).await?;
        self.bus.fire_in_order(&announcements).await?;
        self.state.counts.bus_fired(announcements.len());
        self.move_to(last).await?;
        Ok(if is_full { Round::Page } else { Round::All })
    }

    /// Holds the cursor, and answers where it is; or for how long another controller does.
    async fn hold(&mut self) -> Result<Result<i64, Duration>, Error> {
        let (now, owner) = (clock::now(), self.owner.clone());
        let until = now + micros(LEASE);
        // A file has one controller: who held the cursor before is dead.
        let free = if self.state.store.backend() == Backend::Sqlite { i64::MAX } else { now };
        let held = self.state.write(move |tx| hold(tx, &owner, until, free)).await?;
        match held {
            Ok(seq) => {
                self.held_until = until;
                Ok(Ok(seq))
            }
            Err(until) => {
                Ok(Err(Duration::from_micros(u64::try_from(until - now).unwrap_or_default())))
            }
        }
    }

    /// Moves the cursor, and holds it for longer; unless it has been taken meanwhile.
    async fn move_to(&mut self, seq: i64) -> Result<(), Error> {
        let (until, owner) = (clock::now() + micros(LEASE), self.owner.clone());
        let moved = self.state.write(move |tx| Ok(tx.exec(MOVE, (&owner, seq, until))?)).await?;
        self.held_until = if moved == 1 { until } else { 0 };
        Ok(())
    }

    async fn announcements(
        &mut self,
        entries: Vec<OutboxEvent>,
    ) -> Result<Vec<Announcement>, Error> {
        if entries.iter().any(|entry| self.names.lacks(entry)) {
            self.names.learn(self.state.read(models::names).await?);
        }
        let mut announcements = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = self.names.publish(entry);
            match topics::announcement(&self.state.uuid, &entry) {
                Ok(announcement) => announcements.extend(announcement),
                Err(why) => {
                    let (seq, topic) = (entry.seq, &entry.topic);
                    tracing::error!(seq, topic, why, "an event is not fired on the bus");
                }
            }
        }
        Ok(announcements)
    }
}

/// How far the outbox has been fired.
pub(super) fn cursor(tx: &mut Tx<'_>) -> Result<i64, Error> {
    Ok(tx.one(SEQ, ())?)
}

fn hold(tx: &mut Tx<'_>, owner: &str, until: i64, free: i64) -> Result<Result<i64, i64>, Error> {
    match tx.maybe::<i64>(HOLD, (owner, until, free))? {
        Some(seq) => Ok(Ok(seq)),
        None => Ok(Err(tx.one(HELD_UNTIL, ())?)),
    }
}

/// Failures in a row. Only the first that counts and the end are told: one may last for days.
#[derive(Default)]
struct Outage {
    failures: u32,
}

impl Outage {
    /// A bus that is just being started is no news.
    const UNTOLD: u32 = 2;

    fn ended(&mut self) {
        if self.failures > Self::UNTOLD {
            tracing::info!("the bus is told again of what happens");
        }
        self.failures = 0;
    }

    fn pause(&mut self, error: &Error) -> Duration {
        self.failures += 1;
        if self.failures == Self::UNTOLD + 1 {
            tracing::warn!(error = %sentence(error), "the bus is not told of what happens; trying again");
        }
        PAUSE.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
