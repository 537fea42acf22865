//! The bus as a program sees it: calls, services, events, listeners.
//!
//! [`Bus`] is the handle; [`apis`] is what it knows of each API; [`call`], [`fire`] and [`announce`] send, [`worker`] and
//! [`listener`] receive; [`look`] shows what others do. Every message is checked on its way out and on its way in.

mod announce;
mod apis;
mod bounds;
mod call;
mod counters;
mod dead;
mod delivery;
mod fire;
mod held;
mod hooks;
mod ids;
mod internal;
mod listener;
mod look;
mod settings;
mod worker;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use redis::RedisError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use announce::Announcement;
pub use call::CallOptions;
pub use fire::EventId;
pub use hooks::{Hook, Moment};
pub use internal::{Announcements, StateEvents};
pub use listener::Listen;
pub use look::{ConsumerInfo, EventStream, Following, GroupInfo, Page, Record, StreamInfo};
pub use settings::{ApiSettings, Settings};

pub(crate) use bounds::OutOfBounds;

use crate::transport::streams::EntryId;
use crate::transport::{Transport, queue};
use crate::{Address, Error, Service};
use apis::{Api, Apis};
use counters::{Exposition, ListenerReport};
use delivery::Listener;
use hooks::Hooks;
use ids::Ids;

/// A connection to the bus. Cheap to clone; all clones are one bus. One that serves, listens or has schedules lives until
/// it is shut down, another as long as there is a clone of it.
#[derive(Clone)]
pub struct Bus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    /// `service/process`, for the peers.
    pub(crate) sender: String,
    /// The name of this process on the wire, its alone.
    pub(crate) process: String,
    pub(crate) ids: Ids,
    pub(crate) apis: Apis,
    pub(crate) hooks: Hooks,
    /// One for each call that runs.
    pub(crate) permits: Arc<Semaphore>,
    /// One for each metrics event under way.
    pub(crate) announcing: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// Nothing new is taken.
    pub(crate) closing: CancellationToken,
    /// Whatever still runs is dropped.
    pub(crate) closed: CancellationToken,
    /// Counts changes of the set of APIs served.
    pub(crate) served: AtomicU64,
    workers: Mutex<Vec<Arc<Transport>>>,
    listeners: Mutex<Vec<Arc<Listener>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closing.cancel();
        self.closed.cancel();
    }
}

impl Bus {
    /// Connects, and loads the schemas that are on the bus.
    pub async fn connect(settings: Settings) -> Result<Bus, Error> {
        Bus::connect_with_hooks(settings, Vec::new()).await
    }

    /// Connects a bus that tells hooks of all it does. Settings out of their bounds are refused by name.
    pub async fn connect_with_hooks(
        settings: Settings,
        hooks: Vec<Arc<dyn Hook>>,
    ) -> Result<Bus, Error> {
        settings.check()?;
        let bus = Bus::new(settings, hooks);
        bus.0.apis.load_schemas().await?;
        bus.spawn(keep_schemas(Arc::downgrade(&bus.0), bus.0.closing.clone()));
        bus.0.hooks.after(Moment::Started).await;
        if let Some(events) = bus.0.settings.announcements.state {
            bus.spawn(bus.clone().announce_state(events));
        }
        Ok(bus)
    }

    /// A bus of this process alone, for tests and single programs: services added with [`Bus::serve_here`] can be
    /// called; there is nothing else.
    pub fn offline() -> Bus {
        Bus::offline_with_hooks(Vec::new())
    }

    /// The same with hooks that are told of all it does.
    pub fn offline_with_hooks(hooks: Vec<Arc<dyn Hook>>) -> Bus {
        Bus::new(Settings::new("offline", "1", Address::nowhere()), hooks)
    }

    fn new(settings: Settings, hooks: Vec<Arc<dyn Hook>>) -> Bus {
        let ids = Ids::new();
        let sender = format!("{}/{}", settings.service_name, settings.process_name);
        let process = format!("{sender}/{}", ids.message().simple());
        Bus(Arc::new(Inner {
            apis: Apis::new(settings.clone(), &process),
            hooks: Hooks::new(hooks),
            permits: Arc::new(Semaphore::new(settings.calls_max.max(1))),
            announcing: Arc::new(Semaphore::new(internal::ANNOUNCING_MAX)),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            served: AtomicU64::new(0),
            workers: Mutex::default(),
            listeners: Mutex::default(),
            settings,
            sender,
            process,
            ids,
        }))
    }

    /// Serves an API to callers in this process only.
    pub fn serve_here(&self, service: impl Service) {
        self.0.apis.get(service.schema().name()).serve_here(Arc::new(service));
    }

    /// Serves an API from this process. Its schema is on the bus when this returns.
    pub async fn serve(&self, service: impl Service) -> Result<(), Error> {
        if self.0.closing.is_cancelled() {
            return Err(Error::Closed);
        }
        let name = service.schema().name().to_owned();
        let api = self.0.apis.get(&name);
        api.serve(Arc::new(service));
        self.0.apis.store_schemas().await?;
        self.0.served.fetch_add(1, Ordering::Release);
        if self.begin_worker(&api.calls) {
            self.spawn(self.clone().work(api.calls.clone()));
        } else {
            queue::wake(&api.calls.link, &self.0.process)
                .await
                .map_err(|source| Error::Transport { attempt: format!("serve {name}"), source })?;
        }
        Ok(())
    }

    /// True if there is no worker for this transport yet.
    fn begin_worker(&self, transport: &Arc<Transport>) -> bool {
        let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !workers.iter().any(|other| Arc::ptr_eq(other, transport));
        if is_new {
            workers.push(transport.clone());
        }
        is_new
    }

    pub(crate) fn api(&self, name: &str) -> Arc<Api> {
        self.0.apis.get(name)
    }

    /// Waits until `stop` is done, then shuts down.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) {
        stop.await;
        self.shutdown().await;
    }

    /// Takes nothing new, finishes what runs and acknowledges it, and closes. What is not done after the drain
    /// timeout is dropped: events stay with their group and are delivered again.
    pub async fn shutdown(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        let waking = async {
            self.wake_workers().await;
            std::future::pending::<()>().await;
        };
        let drained = async {
            tokio::select! {
                () = self.0.tasks.wait() => {}
                () = waking => {}
            }
        };
        if tokio::time::timeout(self.0.settings.drain_timeout, drained).await.is_err() {
            tracing::warn!("calls or handlers still run and are dropped");
        }
        self.0.closed.cancel();
        self.0.hooks.after(Moment::Stopped).await;
        self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.apis.close();
    }

    /// Ends the waits of all workers for calls.
    async fn wake_workers(&self) {
        let workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wake = |transport: Arc<Transport>| async move {
            if let Err(error) = queue::wake(&transport.link, &self.0.process).await {
                tracing::debug!(%error, "a worker will notice by itself");
            }
        };
        futures_util::future::join_all(workers.into_iter().map(wake)).await;
    }

    /// Runs a task until it ends or the bus is closed.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(self.until_closed(task));
    }

    /// The task, dropped when the bus is closed.
    pub(crate) fn until_closed(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let closed = self.0.closed.clone();
        async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = task => {}
            }
        }
    }

    /// What this process listens for, each an API and an event.
    pub(crate) fn listening_for(&self) -> Vec<String> {
        let listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: Vec<String> = listeners
            .iter()
            .flat_map(|listener| &listener.wanted)
            .map(|(api, event)| format!("{api}.{event}"))
            .collect();
        wanted.sort();
        wanted.dedup();
        wanted
    }

    /// What this process has counted, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let mut exposition =
            Exposition { service: &self.0.settings.service_name, text: String::new() };
        let apis = self.0.apis.all();
        let counters: Vec<_> = apis.iter().map(|api| (api.name.as_str(), &api.counters)).collect();
        exposition.apis(&counters);
        let listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reports: Vec<_> = listeners
            .iter()
            .map(|listener| ListenerReport {
                api: listener.wanted.first().map_or("", |(api, _)| api),
                event: listener.wanted.first().map_or("", |(_, event)| event),
                listener: &listener.name,
                counters: &listener.counters,
            })
            .collect();
        exposition.listeners(&reports);
        exposition.text
    }
}

/// Reads an id that a user gave.
fn entry_id(id: &str) -> Result<EntryId, Error> {
    id.parse().map_err(|_| Error::Invalid(format!("{id} is not the id of an event in a stream")))
}

fn cannot(attempt: &str, source: RedisError) -> Error {
    Error::Transport { attempt: attempt.to_owned(), source }
}

/// Stores this process's schemas again before they expire, and reads what others stored. It does not keep the bus.
async fn keep_schemas(bus: Weak<Inner>, closing: CancellationToken) {
    loop {
        let Some(period) = bus.upgrade().map(|bus| bus.settings.schema_ttl.mul_f64(0.8)) else {
            return;
        };
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        let Some(bus) = bus.upgrade() else { return };
        for outcome in [bus.apis.store_schemas().await, bus.apis.load_schemas().await] {
            if let Err(error) = outcome {
                tracing::warn!(%error, "schemas are not refreshed");
            }
        }
    }
}
