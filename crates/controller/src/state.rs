//! What every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tutti_content::Artifacts;
use tutti_content::fetch::Fetcher;
use tutti_content::upload::Uploads;
use tutti_flow::Counters;
use tutti_store::{Store, Tx};

use crate::metrics::Counts;
use crate::poll::Waiting;
use crate::status::Surroundings;
use crate::{Error, Options, clock};

/// What every handler shares.
pub(crate) struct State {
    /// The database.
    pub(crate) store: Store,
    /// Uploaded bytes.
    pub(crate) artifacts: Artifacts,
    /// Fetches files that remotes offer when they are asked for.
    pub(crate) fetcher: Fetcher,
    /// Uploads that come in parts.
    pub(crate) uploads: Uploads,
    /// Wakes the keeper of deadlines when one was set.
    pub(crate) deadlines: Notify,
    /// Requests that wait for news.
    pub(crate) waiting: Waiting,
    /// What is counted for `GET /v1/metrics`.
    pub(crate) counts: Counts,
    /// What the flow engine counts.
    pub(crate) worked: Arc<Counters>,
    /// What status shows of the controller itself.
    pub(crate) around: Surroundings,
    /// How the controller was started.
    pub(crate) options: Options,
    /// The controller's UUID.
    pub(crate) uuid: String,
    /// Where the API listens besides the unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Cancelled when the controller stops: long polls and streams end.
    pub(crate) stopping: CancellationToken,
}

/// The shared state, as axum hands it to handlers.
pub(crate) type Shared = axum::extract::State<Arc<State>>;

/// What decides beside the database how something is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vantage {
    /// Processors of the machine.
    pub(crate) cores: u32,
    /// When the controller started: agents have to be given time to come back.
    pub(crate) started: i64,
    /// After so long without a word from an agent, what depends on it is unknown; microseconds.
    pub(crate) lease: i64,
    /// When it is looked at.
    pub(crate) now: i64,
}

/// What addresses of an API that listens there begin with.
pub(crate) fn origin(address: Option<SocketAddr>) -> Arc<str> {
    address.map(|address| format!("http://{address}")).unwrap_or_default().into()
}

impl State {
    /// From where things are seen.
    pub(crate) fn vantage(&self) -> Vantage {
        Vantage {
            cores: self.around.host.cores,
            started: self.around.started,
            lease: i64::try_from(self.options.agent_lease.as_micros()).unwrap_or(i64::MAX / 2),
            now: clock::now(),
        }
    }

    /// Where content is served; nothing if only a unix socket is there.
    pub(crate) fn origin(&self) -> Arc<str> {
        origin(self.address)
    }

    /// Runs `f` in a reading transaction.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.read(f).await
    }

    /// Runs `f` in a writing transaction; it may run more than once.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.write(f).await
    }
}
