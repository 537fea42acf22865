//! Starting and stopping the controller.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tutti_content::Artifacts;
use tutti_content::fetch::Fetcher;
use tutti_content::upload::Uploads;
use tutti_flow::Engine;
use tutti_model::address::first_unit_address;
use tutti_store::{Migration, Store, Tx};
use uuid::Uuid;

use crate::bus::{self, BusOptions};
use crate::host::Host;
use crate::http::Listeners;
use crate::metrics::Counts;
use crate::poll::Waiting;
use crate::state::State;
use crate::status::Surroundings;
use crate::{Error, clock, http, keeper, metrics, pulp, state, tasks};

tutti_store::sql! {
    IDENTITY = "SELECT uuid FROM controller LIMIT 1";
    FIRST_ADDRESS = "UPDATE sequence SET value = $1 WHERE name = 'address'";
    CREATE_IDENTITY = "INSERT INTO controller (uuid, name, created) VALUES ($1, $2, $3)";
}

/// Where and how a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Database URL (`sqlite://…`, `postgres://…`); none: `tutti.db` in the data directory.
    pub database: Option<String>,
    /// Directory of everything the controller keeps; created if absent.
    pub data: PathBuf,
    /// Path of the unix socket; none: `tutti.sock` in the data directory.
    pub socket: Option<PathBuf>,
    /// Loopback address to listen on besides the socket; port 0 picks a free one.
    pub listen: Option<SocketAddr>,
    /// Name of the controller.
    pub name: String,
    /// Cloud of models that name none: `localhost` or `local-k8s`.
    pub default_cloud: String,
    /// How long `--force` waits for agents before it removes records itself.
    pub force_wait: Duration,
    /// How many requests may wait for news at a time, agents' included; more are refused with 503.
    pub waiting_max: usize,
    /// How many changes may wait in the queue of one resource, whoever has it included; more are
    /// refused with 429, except for removals.
    pub queue_max: usize,
    /// How many flows of one model may be unfinished; more are refused with 429, except for removals.
    pub flows_max: u32,
    /// How long an agent may be silent before what depends on it is unknown.
    pub agent_lease: Duration,
    /// The bus.
    pub bus: Option<BusOptions>,
}

impl Options {
    /// The defaults, for a data directory.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            database: None,
            data: data.into(),
            socket: None,
            listen: None,
            name: "local".into(),
            default_cloud: "localhost".into(),
            force_wait: Duration::from_mins(1),
            waiting_max: 512,
            queue_max: 256,
            flows_max: 10_000,
            agent_lease: Duration::from_mins(2),
            bus: None,
        }
    }

    /// The path of the unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.data.join("tutti.sock"))
    }

    fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| self.data.join("tutti.db").display().to_string())
    }
}

/// A running controller. End it with [`Controller::stop`]; dropping it drops the work under way, as
/// a crash would.
#[derive(Debug)]
pub struct Controller {
    listeners: Listeners,
    engine: Engine,
    keeper: JoinHandle<()>,
    counter: JoinHandle<()>,
    publisher: Option<JoinHandle<()>>,
    store: Store,
    stopping: CancellationToken,
}

impl Controller {
    /// Opens the database, binds the listeners and serves.
    ///
    /// # Errors
    /// [`Error::Start`] when a directory or listener cannot be made; [`Error::Store`] when the
    /// database cannot be opened, e.g. because another controller has it.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let failed = |what: String| move |source| Error::Start { what, source };
        create_data_directory(&options.data)
            .map_err(failed(format!("create {}", options.data.display())))?;
        let store = Store::open(&options.database(), &migrations()).await?;
        match Self::serve(&store, options).await {
            Ok(controller) => Ok(controller),
            Err(error) => {
                // The database's lock must not outlive a failed start.
                store.close().await;
                Err(error)
            }
        }
    }

    async fn serve(store: &Store, options: Options) -> Result<Self, Error> {
        let artifacts = Artifacts::open(&options.data.join("artifacts"))?;
        let name = options.name.clone();
        let uuid = store.write(move |tx| identity(tx, &name)).await?;
        let bound = http::bind(&options).await?;
        let uploads = Uploads::open(&options.data.join("uploads"))?;
        let engine = tasks::handlers(Engine::builder(store.clone()), store, &artifacts)
            .tx_task(pulp::Change { origin: state::origin(bound.address()) })
            .task(pulp::Effort {
                store: store.clone(),
                artifacts: artifacts.clone(),
                uploads: uploads.clone(),
            })
            .start()
            .await?;
        let stopping = CancellationToken::new();
        let state = Arc::new(State {
            store: store.clone(),
            artifacts: artifacts.clone(),
            fetcher: Fetcher::new(store, &artifacts),
            uploads,
            deadlines: Notify::new(),
            waiting: Waiting::new(options.waiting_max),
            counts: Counts::default(),
            worked: engine.counters(),
            around: Surroundings {
                controller: options.name.clone(),
                started: clock::now(),
                host: Host::read(),
            },
            uuid,
            address: bound.address(),
            stopping: stopping.clone(),
            options,
        });
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&state)));
        let counter = tokio::spawn(metrics::follow(Arc::clone(&state)));
        let bus = state.options.bus.clone();
        let publisher = bus.map(|bus| tokio::spawn(bus::run(Arc::clone(&state), bus.address)));
        let listeners = bound.serve(http::router(state), &stopping);
        Ok(Self { listeners, engine, keeper, counter, publisher, store: store.clone(), stopping })
    }

    /// Where the API listens besides the unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.address
    }

    /// Path of the unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.listeners.socket
    }

    /// Resolves when this process has to be replaced, with the reason; [`stop`](Self::stop) it then.
    pub async fn failed(&self) -> Error {
        self.engine.failed().await.into()
    }

    /// Ends long polls, finishes requests under way, lets running tasks end, closes the database.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.listeners.ended().await;
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the keeper of deadlines panicked");
        }
        if let Err(error) = self.counter.await {
            tracing::error!(%error, "the counter of flows panicked");
        }
        if let Some(publisher) = self.publisher
            && let Err(error) = publisher.await
        {
            tracing::error!(%error, "what tells the bus panicked");
        }
        self.engine.stop().await;
        self.store.close().await;
    }
}

/// Makes a data directory. Others may pass through it, as workloads that run as users of their own
/// must to reach their charm and storage, but not look around; what is private in it (database,
/// socket, artifacts, log) is for its owner alone.
///
/// # Errors
/// The directory, or one above it, cannot be made.
pub fn create_data_directory(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Every migration of the controller's database.
pub(crate) fn migrations() -> Vec<Migration> {
    [crate::MIGRATIONS, tutti_flow::MIGRATIONS, tutti_content::MIGRATIONS].concat()
}

/// The controller's UUID, made at the first start.
fn identity(tx: &mut Tx<'_>, name: &str) -> Result<String, Error> {
    if let Some(uuid) = tx.maybe(IDENTITY, ())? {
        return Ok(uuid);
    }
    let uuid = Uuid::now_v7();
    tx.exec(FIRST_ADDRESS, (first_unit_address(uuid.as_u128()),))?;
    let uuid = uuid.to_string();
    tx.exec(CREATE_IDENTITY, (&uuid, name, clock::now()))?;
    Ok(uuid)
}
