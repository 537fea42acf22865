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

tutti_store::row! {
    /// The row of `bus_cursor`.
    pub(super) struct Cursor {
        /// The last entry that has been fired.
        pub(super) seq: i64,
        /// Which process fires.
        owner: String,
        /// Until when it alone does.
        until: i64,
    }
}

tutti_store::sql! {
    CURSOR = "SELECT seq, owner, until FROM bus_cursor WHERE id = 1";
    HOLD = "UPDATE bus_cursor SET owner = $1, until = $2 \
        WHERE id = 1 AND (owner = $1 OR until <= $3)";
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
    /// Another controller fires, and holds the cursor for so many microseconds.
    Elsewhere(i64),
}

/// Fires what the outbox has.
pub(super) struct Publisher<'a> {
    state: &'a State,
    bus: &'a Bus,
    /// Names this process at the cursor.
    owner: String,
    names: Names,
    /// Whether the schemas are on the bus.
    is_described: bool,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(state: &'a State, bus: &'a Bus) -> Self {
        let owner = state.store.instance().to_string();
        Self { state, bus, owner, names: Names::default(), is_described: false }
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
                        Round::Elsewhere(time) => {
                            let time = Duration::from_micros(u64::try_from(time).unwrap_or(0));
                            let _ = tokio::time::timeout(time, bell.wait()).await;
                            tokio::time::sleep(PACE).await;
                        }
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
        self.state
            .write(move |tx| {
                tx.exec(RELEASE, (&owner,))?;
                tx.ring(OUTBOX);
                Ok(())
            })
            .await
    }

    async fn round(&mut self) -> Result<Round, Error> {
        // Also before there is anything to fire: listeners read schemas when they start.
        if !self.is_described {
            self.bus.own_events(&topics::schemas()).await?;
            self.is_described = true;
        }
        let Cursor { seq, owner, until } = self.state.read(cursor).await?;
        if self.state.store.outbox_last().await? <= seq {
            return Ok(Round::Nothing);
        }
        let now = clock::now();
        // A file has one controller: who held the cursor before is dead.
        let is_shared = self.state.store.backend() == Backend::Postgres;
        if is_shared && owner != self.owner && until > now {
            return Ok(Round::Elsewhere(until - now));
        }
        if until - micros(LEASE / 2) < now || owner != self.owner {
            let free = if is_shared { now } else { i64::MAX };
            if !self.hold(now + micros(LEASE), free).await? {
                return Ok(Round::Elsewhere(0));
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

    /// Holds the cursor for a while, unless somebody else holds it beyond `free`.
    async fn hold(&self, until: i64, free: i64) -> Result<bool, Error> {
        let owner = self.owner.clone();
        let held = self.state.write(move |tx| Ok(tx.exec(HOLD, (&owner, until, free))?)).await?;
        Ok(held == 1)
    }

    /// Moves the cursor, and holds it for longer; unless it has been taken meanwhile, which the next round sees.
    async fn move_to(&self, seq: i64) -> Result<(), Error> {
        let (until, owner) = (clock::now() + micros(LEASE), self.owner.clone());
        self.state.write(move |tx| Ok(tx.exec(MOVE, (&owner, seq, until))?)).await.map(drop)
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

/// How far the outbox has been fired, and who fires.
pub(super) fn cursor(tx: &mut Tx<'_>) -> Result<Cursor, Error> {
    Ok(tx.one(CURSOR, ())?)
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
