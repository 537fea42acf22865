//! Starting and stopping the controller.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tutti_store::{Migration, Store, Tx};
use uuid::Uuid;

use crate::http::Listeners;
use crate::state::State;
use crate::{Error, clock, http};

tutti_store::sql! {
    IDENTITY = "SELECT uuid FROM controller LIMIT 1";
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

/// A running controller. Stop it with [`Controller::stop`]; dropping it leaves it running as long
/// as the runtime lives.
#[derive(Debug)]
pub struct Controller {
    listeners: Listeners,
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
        std::fs::create_dir_all(&options.data)
            .map_err(failed(format!("create {}", options.data.display())))?;
        let store = Store::open(&options.database(), &migrations()).await?;
        let name = options.name.clone();
        let uuid = store.write(move |tx| identity(tx, &name)).await?;
        let stopping = CancellationToken::new();
        let bound = http::bind(&options).await?;
        let state = Arc::new(State {
            store: store.clone(),
            uuid,
            address: bound.address(),
            stopping: stopping.clone(),
            options,
        });
        let listeners = bound.serve(http::router(state), &stopping);
        Ok(Self { listeners, store, stopping })
    }

    /// Where the API listens besides the unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.address
    }

    /// Path of the unix socket.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.listeners.socket
    }

    /// Ends long polls, finishes requests under way, closes the database.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.listeners.ended().await;
        self.store.close().await;
    }
}

/// Every migration of the controller's database.
pub(crate) fn migrations() -> Vec<Migration> {
    crate::MIGRATIONS.to_vec()
}

/// The controller's UUID, made at the first start.
fn identity(tx: &mut Tx<'_>, name: &str) -> Result<String, Error> {
    if let Some(uuid) = tx.maybe(IDENTITY, ())? {
        return Ok(uuid);
    }
    let uuid = Uuid::now_v7().to_string();
    tx.exec(CREATE_IDENTITY, (&uuid, name, clock::now()))?;
    Ok(uuid)
}
