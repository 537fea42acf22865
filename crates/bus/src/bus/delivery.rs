//! A running listener: it reads events, runs the handler, and acknowledges.
//!
//! The reader takes as many events as there is room for and hands each to a lane (in order) or a task of its own.
//! Whoever has an event *holds* it ([`held`](super::held)) until it is acknowledged or given up, and another task says so
//! to the server often enough that no other consumer takes it over. Acknowledgements go out together, some milliseconds
//! later.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::{RedisResult, Value};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::counters::{ListenerCounters, microseconds};
use super::held::Held;
use super::listener::{Handle, Refusal};
use super::{ApiSettings, Bus, Moment};
use crate::api::{Context, Origin};
use crate::codec::{EventIn, keys};
use crate::schema::{Direction, Subject};
use crate::transport::streams::{Entry, EntryId, Group, GroupReader, Pending};
use crate::transport::{Patience, dead_letters};
use crate::{Backoff, Failure};

/// How long an acknowledgement may wait for others to go with it.
const LINGER: Duration = Duration::from_millis(2);
/// Acknowledgements in one command.
const ACKNOWLEDGED_MAX: usize = 1_000;
/// Held or abandoned events looked at in one command.
const PAGE: usize = 100;
/// How often something is sent that may be repeated, before it is left to a later delivery.
const TRIES: u32 = 8;

/// How a listener wants to be told.
pub(crate) struct Policy {
    pub(crate) deliveries_max: u32,
    pub(crate) backoff: Backoff,
    pub(crate) concurrency: usize,
    /// The field, with its colon, whose value orders.
    pub(crate) ordered_by: Option<Vec<u8>>,
    pub(crate) deduplicate: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            deliveries_max: 5,
            backoff: Backoff::default(),
            concurrency: 1,
            ordered_by: None,
            deduplicate: None,
        }
    }
}

/// An event is done with: acknowledge it, and remember its id if it was handled and that is asked for.
struct Done {
    stream: usize,
    id: EntryId,
    event_id: Option<String>,
}

/// What the bus knows of a listener.
pub(crate) struct Listener {
    pub(crate) name: String,
    /// Each an API and an event, or `*`.
    pub(crate) wanted: Vec<(String, String)>,
    pub(crate) counters: ListenerCounters,
}

/// A running listener.
pub(crate) struct Delivery {
    bus: Bus,
    listener: Arc<Listener>,
    handle: Arc<Handle>,
    policy: Policy,
    group: Arc<Group>,
    settings: ApiSettings,
    held: Held,
    /// Held by whoever asks the server for what it has already given to somebody.
    claiming: tokio::sync::Mutex<()>,
    done: Mutex<Vec<Done>>,
    is_done: Notify,
    /// Handlers that may run.
    handlers: Semaphore,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is acknowledged, or will be at once.
    Ended,
    /// It stays with this consumer, to be taken up at the next start.
    Left,
}

/// What to do when there is no room for an event.
#[derive(Clone, Copy, Debug)]
enum Room {
    WhenThereIs,
    AsThereIs,
}

/// Where events go.
enum Lanes {
    /// Each lane handles one event after another.
    Ordered(Vec<mpsc::Sender<Entry>>),
    /// Each event has a task.
    Apart(TaskTracker),
}

impl Delivery {
    /// Begins to listen.
    pub(crate) fn begin(
        bus: Bus,
        listener: Arc<Listener>,
        handle: Arc<Handle>,
        policy: Policy,
        group: Arc<Group>,
        settings: ApiSettings,
    ) {
        let room = settings.batch_size.max(policy.concurrency) * 2;
        bus.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener.clone());
        let delivery = Arc::new(Delivery {
            listener,
            handle,
            group,
            settings,
            held: Held::new(room),
            claiming: tokio::sync::Mutex::default(),
            done: Mutex::default(),
            is_done: Notify::new(),
            handlers: Semaphore::new(policy.concurrency),
            policy,
            bus: bus.clone(),
        });
        bus.spawn(delivery.run(room));
    }

    /// Reads until the bus closes, then finishes what has been read.
    async fn run(self: Arc<Self>, room: usize) {
        let finished = CancellationToken::new();
        let mut acknowledging = JoinSet::new();
        acknowledging.spawn(self.clone().acknowledge_until(finished.clone()));
        let running = TaskTracker::new();
        let lanes = Arc::new(self.lanes(room, &running));
        let mut keeping = JoinSet::new();
        keeping.spawn(self.clone().keep(lanes.clone()));
        let mut reader = GroupReader::new(self.group.clone());
        tokio::select! {
            () = self.bus.0.closing.cancelled() => {}
            () = self.read_for_ever(&mut reader, &lanes) => {}
        }
        keeping.shutdown().await;
        // What the server gave in this instant is not lost: it is asked for again.
        drop(reader);
        if let Err(error) = self.resume(&lanes, Room::AsThereIs).await {
            tracing::debug!(%error, "events may be left for the next start");
        }
        drop(lanes);
        running.close();
        running.wait().await;
        finished.cancel();
        while acknowledging.join_next().await.is_some() {}
    }

    async fn read_for_ever(self: &Arc<Self>, reader: &mut GroupReader, lanes: &Lanes) {
        let mut patience = Patience::default();
        loop {
            match self.read(reader, lanes).await {
                Ok(()) => patience = Patience::default(),
                Err(error) => {
                    tracing::warn!(group = self.group.name, %error, "events cannot be read; trying again");
                    patience.wait().await;
                }
            }
        }
    }

    fn lanes(self: &Arc<Self>, room: usize, running: &TaskTracker) -> Lanes {
        if self.policy.concurrency > 1 && self.policy.ordered_by.is_none() {
            return Lanes::Apart(running.clone());
        }
        let senders = (0..self.policy.concurrency).map(|_| {
            let (sender, mut receiver) = mpsc::channel::<Entry>(room + PAGE);
            let delivery = self.clone();
            running.spawn(self.bus.until_closed(async move {
                while let Some(entry) = receiver.recv().await {
                    // What comes after an event that was left must not overtake it.
                    if delivery.deliver(entry).await == Ending::Left {
                        break;
                    }
                }
            }));
            sender
        });
        Lanes::Ordered(senders.collect())
    }

    /// Reads once: what this consumer holds, after a connection broke and at the start, and then what is new.
    async fn read(self: &Arc<Self>, reader: &mut GroupReader, lanes: &Lanes) -> RedisResult<()> {
        if !reader.is_connected() {
            self.resume(lanes, Room::WhenThereIs).await?;
        }
        let room = self.held.wait_for_room().await;
        let entries = reader.read(room.min(self.settings.batch_size)).await?;
        let is_empty = entries.is_empty();
        for entry in entries {
            self.route(lanes, entry).await;
        }
        if !is_empty {
            // The handlers go first: they are under way before more is asked for.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Takes up again what this consumer was given and does not have. Without room for it, it waits for room or leaves
    /// the rest to the next start.
    async fn resume(self: &Arc<Self>, lanes: &Lanes, room: Room) -> RedisResult<()> {
        let _one_at_a_time = self.claiming.lock().await;
        for stream in 0..self.group.streams.len() {
            let mut after = EntryId::default();
            loop {
                // Looked at first: what is acknowledged in between is no longer with the server, and here it is held.
                let held = self.held.of_stream(stream);
                let page = self.group.pending(stream, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                let lost: Vec<Pending> =
                    page.into_iter().filter(|pending| !held.contains(&pending.id)).collect();
                let mut lost = lost.as_slice();
                while !lost.is_empty() {
                    let count = match room {
                        Room::WhenThereIs => self.held.wait_for_room().await,
                        Room::AsThereIs => self.held.room(),
                    };
                    if count == 0 {
                        return Ok(());
                    }
                    let (some, rest) = lost.split_at(count.min(lost.len()));
                    for entry in self.group.claim(stream, some).await? {
                        self.route(lanes, entry).await;
                    }
                    lost = rest;
                }
            }
        }
        Ok(())
    }

    async fn route(self: &Arc<Self>, lanes: &Lanes, entry: Entry) {
        if !self.held.insert(entry.stream, entry.id) {
            return;
        }
        match lanes {
            Lanes::Ordered(senders) => {
                let lane = self.lane(&entry, senders.len());
                // A lane that has ended leaves it with the server.
                drop(senders[lane].send(entry).await);
            }
            Lanes::Apart(tasks) => {
                let delivery = self.clone();
                tasks.spawn(self.bus.until_closed(async move {
                    delivery.deliver(entry).await;
                }));
            }
        }
    }

    fn lane(&self, entry: &Entry, lanes: usize) -> usize {
        let Some(field) = self.policy.ordered_by.as_deref().filter(|_| lanes > 1) else { return 0 };
        let mut hasher = DefaultHasher::new();
        entry.pairs().find(|(name, _)| *name == field).map(|(_, value)| value).hash(&mut hasher);
        usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default()
    }

    /// Brings one event to its end, or leaves it for a later delivery.
    async fn deliver(&self, entry: Entry) -> Ending {
        let (stream, id) = (entry.stream, entry.id);
        if entry.fields.is_empty() {
            tracing::warn!(group = self.group.name, %id, "an event was trimmed away before it was handled");
            return self.finish(stream, id, None);
        }
        let (api, name) = EventIn::peek(entry.pairs());
        if let (Some(api), Some(name)) = (api, name)
            && !self.is_wanted(api, name)
        {
            return self.finish(stream, id, None);
        }
        match EventIn::decode(&id.to_string(), entry.pairs()) {
            Ok(None) => self.finish(stream, id, None),
            Ok(Some(event)) => self.handle_event(entry, event).await,
            Err(error) => self.give_up(&entry, &crate::failure::chain(&error)).await,
        }
    }

    fn is_wanted(&self, api: &[u8], event: &[u8]) -> bool {
        self.listener.wanted.iter().any(|(wanted_api, wanted)| {
            wanted_api.as_bytes() == api && (wanted == "*" || wanted.as_bytes() == event)
        })
    }

    async fn handle_event(&self, mut entry: Entry, event: EventIn) -> Ending {
        let api = self.bus.api(&event.api);
        let checked =
            api.check(Direction::Incoming, Subject::Event, &event.name, event.parameters.get());
        if let Err(error) = checked {
            return self.give_up(&entry, &error.to_string()).await;
        }
        if self.was_handled(&event.id).await {
            return self.finish(entry.stream, entry.id, None);
        }
        while entry.deliveries <= self.policy.deliveries_max {
            match self.try_once(&entry, &event).await {
                Ok(()) => return self.finish(entry.stream, entry.id, Some(event.id)),
                Err(Refusal::Unreadable(error)) => {
                    return self.give_up(&entry, &format!("it cannot be read: {error}")).await;
                }
                Err(Refusal::Failed(failure)) => {
                    self.listener.counters.errors.add(1);
                    tracing::warn!(
                        group = self.group.name, id = event.id, deliveries = entry.deliveries, %failure,
                        "a handler failed"
                    );
                    if entry.deliveries >= self.policy.deliveries_max {
                        return self.give_up(&entry, &failure.message).await;
                    }
                }
            }
            if !self.pause(&entry).await {
                return Ending::Left;
            }
            entry.deliveries += 1;
        }
        let what = format!("it was delivered {} times and never handled", entry.deliveries);
        self.give_up(&entry, &what).await
    }

    /// Waits before the next try. False if the bus closes meanwhile: the event stays with its consumer.
    async fn pause(&self, entry: &Entry) -> bool {
        let next = Some(entry.deliveries + 1);
        if let Err(error) = self.group.hold(entry.stream, &[entry.id], next).await {
            tracing::debug!(%error, "the server was not told of a retry");
        }
        tokio::select! {
            () = self.bus.0.closing.cancelled() => false,
            () = tokio::time::sleep(self.policy.backoff.delay(entry.deliveries)) => true,
        }
    }

    async fn try_once(&self, entry: &Entry, event: &EventIn) -> Result<(), Refusal> {
        // The semaphore is never closed.
        let _one_of_many = self.handlers.acquire().await;
        let context = context(entry, event);
        let parameters = &*event.parameters;
        let begun = Instant::now();
        let before = Moment::BeforeHandling { context: &context, parameters };
        self.bus.before(before).await.map_err(Refusal::Failed)?;
        let handling = async { (self.handle)(parameters, context.clone()).await };
        let span = tracing::info_span!(
            "event",
            group = self.group.name,
            api = event.api,
            name = event.name,
            id = event.id,
            trace = context.trace()
        );
        let handling = AssertUnwindSafe(handling).catch_unwind().instrument(span);
        let handling = context.clone().scope(handling);
        let outcome = handling
            .await
            .unwrap_or_else(|_| Err(Refusal::Failed(Failure::message("the handler panicked"))));
        let took = begun.elapsed();
        self.listener.counters.processed.add(1);
        self.listener.counters.processing_us.add(microseconds(took));
        if self.bus.is_watched() {
            let unreadable = Failure::message("the event cannot be read");
            let outcome = match &outcome {
                Ok(()) => Ok(()),
                Err(Refusal::Failed(failure)) => Err(failure),
                Err(Refusal::Unreadable(_)) => Err(&unreadable),
            };
            self.bus
                .after(Moment::AfterHandling { context: &context, parameters, outcome, took })
                .await;
        }
        outcome
    }

    /// True if events are to be handled once, and this one has been.
    async fn was_handled(&self, event_id: &str) -> bool {
        if self.policy.deduplicate.is_none() {
            return false;
        }
        let mut command = redis::cmd("EXISTS");
        command.arg(keys::seen(&self.group.name, event_id));
        match self.group.link.run(&command).await {
            Ok(reply) => reply == Value::Int(1),
            Err(error) => {
                tracing::warn!(%error, "it is not known whether an event was handled; it is handled");
                false
            }
        }
    }

    /// Puts an event aside and acknowledges it.
    async fn give_up(&self, entry: &Entry, why: &str) -> Ending {
        tracing::error!(group = self.group.name, id = %entry.id, why, "an event is given up");
        self.listener.counters.dead.add(1);
        let mut commands = redis::pipe();
        let stream = &self.group.streams[entry.stream];
        dead_letters::put(&mut commands, &self.group.name, stream, entry, why);
        self.group.acknowledge(&mut commands, &[(entry.stream, entry.id)]);
        let put = self.group.link.insist(&commands, TRIES).await;
        if let Err(error) = put {
            tracing::error!(%error, "an event could not be put aside; it will be delivered again");
        }
        self.held.remove(&[(entry.stream, entry.id)]);
        Ending::Ended
    }

    fn finish(&self, stream: usize, id: EntryId, event_id: Option<String>) -> Ending {
        let event_id = event_id.filter(|_| self.policy.deduplicate.is_some());
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(Done { stream, id, event_id });
        // The others are found when the first is looked at.
        if done.len() == 1 {
            self.is_done.notify_one();
        }
        Ending::Ended
    }

    async fn acknowledge_until(self: Arc<Self>, finished: CancellationToken) {
        loop {
            tokio::select! {
                () = finished.cancelled() => break,
                () = self.is_done.notified() => {}
            }
            tokio::select! {
                () = finished.cancelled() => {}
                () = tokio::time::sleep(LINGER) => {}
            }
            self.acknowledge_done().await;
        }
        self.acknowledge_done().await;
    }

    async fn acknowledge_done(&self) {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        for some in done.chunks(ACKNOWLEDGED_MAX) {
            let entries: Vec<_> = some.iter().map(|done| (done.stream, done.id)).collect();
            let mut commands = redis::pipe();
            let remembered = self.policy.deduplicate.unwrap_or_default().as_secs().max(1);
            for event_id in some.iter().filter_map(|done| done.event_id.as_deref()) {
                let key = keys::seen(&self.group.name, event_id);
                commands.cmd("SET").arg(key).arg(1).arg("EX").arg(remembered);
            }
            self.group.acknowledge(&mut commands, &entries);
            if let Err(error) = self.group.link.insist(&commands, TRIES).await {
                tracing::warn!(%error, "events were not acknowledged and will be delivered again");
            }
            self.held.remove(&entries);
        }
    }

    /// Now and then tells the server what is held, looks for what others abandoned, and how much is left to read.
    async fn keep(self: Arc<Self>, lanes: Arc<Lanes>) {
        let period =
            (self.settings.acknowledgement_timeout / 3).min(self.settings.reclaim_interval);
        let mut reclaimed: Option<Instant> = None;
        loop {
            let is_due = reclaimed.is_none_or(|at| at.elapsed() >= self.settings.reclaim_interval);
            if let Err(error) = self.keep_once(is_due.then_some(&*lanes)).await {
                tracing::warn!(group = self.group.name, %error, "held events were not looked after");
            }
            if is_due {
                reclaimed = Some(Instant::now());
            }
            tokio::time::sleep(period).await;
        }
    }

    async fn keep_once(self: &Arc<Self>, reclaim_to: Option<&Lanes>) -> RedisResult<()> {
        let mut lag = 0;
        let long_ago = self.settings.acknowledgement_timeout / 4;
        for stream in 0..self.group.streams.len() {
            for ids in self.held.untold(stream, long_ago).chunks(PAGE) {
                self.group.hold(stream, ids, None).await?;
            }
            lag += self.group.observe(stream).await?.unwrap_or_default();
            if let Some(lanes) = reclaim_to {
                self.reclaim(stream, lanes).await?;
            }
        }
        self.listener.counters.lag.set(lag);
        Ok(())
    }

    async fn reclaim(self: &Arc<Self>, stream: usize, lanes: &Lanes) -> RedisResult<()> {
        // While this consumer takes up its own, what others left can wait.
        let Ok(_one_at_a_time) = self.claiming.try_lock() else { return Ok(()) };
        let idle = self.settings.acknowledgement_timeout;
        let mut from = EntryId::default();
        // No more than there is room for: the rest is left to others, or to the next time.
        loop {
            let count = self.held.room().min(PAGE);
            if count == 0 {
                return Ok(());
            }
            let held = self.held.of_stream(stream);
            let (next, entries) = self.group.reclaim(stream, idle, from, count).await?;
            for entry in entries.into_iter().filter(|entry| !held.contains(&entry.id)) {
                self.route(lanes, entry).await;
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }
}

fn context(entry: &Entry, event: &EventIn) -> Context {
    Context::new(Origin {
        id: event.id.clone(),
        api: event.api.clone(),
        name: event.name.clone(),
        native_id: Some(entry.id.to_string()),
        sender: event.extension.sender.clone(),
        trace: event.extension.trace.clone(),
        version: event.version,
        deadline: None,
        deliveries: entry.deliveries,
    })
}
