//! A broker of its own: what Lightbus asks of Redis, in this process or a small one beside it.
//!
//! It answers RESP2 on unix sockets, TCP and in memory, so Python services, `redis-cli` and Redis clients of any language work
//! with it unmodified. One thread owns all state ([`engine`]) and all sockets; another writes the log, a SQLite file, and everything
//! that waits shares one commit.
//!
//! ```no_run
//! # async fn example() -> Result<(), tutti_bus::broker::Error> {
//! use tutti_bus::broker::{Broker, Settings};
//!
//! let broker = Broker::open(Settings { data: Some("bus.db".into()), ..Settings::default() }).await?;
//! broker.listen_unix("/run/tutti/bus.sock").await?;
//! let address = broker.listen_tcp(([127, 0, 0, 1], 0).into()).await?;
//! println!("redis://{address}/0");
//! broker.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod engine;
mod log;
mod server;
mod settings;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot},
};

pub use settings::{Durability, Settings};

use server::{Listener, Order};

/// Bytes in flight in each direction of a connection in memory.
const MEMORY_PIPE_BYTES: usize = 256 * 1024;

/// Orders to the broker's thread that wait.
const ORDERS_MAX: usize = 64;

/// Why a broker could not be opened, or cannot listen.
#[derive(Debug, Error)]
pub enum Error {
    /// The file of the log cannot be made.
    #[error("cannot make the bus's log {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of the log cannot be opened.
    #[error("cannot open the bus's log {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another process has the log.
    #[error("the bus's log {path} is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The log belongs to something else, or to a newer version.
    #[error("{path} is not a log this version of the bus can read")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The log is damaged.
    #[error("cannot read the bus's log {path}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What could not be repeated.
        source: engine::ReplayError,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address or path.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Other machines could connect and nothing would be asked of them.
    #[error("will not listen on {0} without a password: other machines can reach it")]
    Unprotected(SocketAddr),
    /// The broker's thread could not be started.
    #[error("cannot start the broker's thread")]
    Thread(#[source] std::io::Error),
    /// The broker was shut down.
    #[error("the broker is shut down")]
    Closed,
}

/// A broker that runs. When the last clone is dropped it ends as by [`shutdown`](Self::shutdown), but nobody waits for it.
#[derive(Debug, Clone)]
pub struct Broker {
    orders: mpsc::Sender<Order>,
    ended: Arc<tokio::sync::Mutex<Option<oneshot::Receiver<()>>>>,
    is_protected: bool,
}

impl Broker {
    /// Reads the log, if there is one, and starts. Nobody can connect yet.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let (opened, is_open) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let is_protected = settings.password.is_some();
        std::thread::Builder::new()
            .name("bus-broker".to_owned())
            .spawn(move || {
                server::run(settings, received, opened);
                let _ = ending.send(());
            })
            .map_err(Error::Thread)?;
        is_open.await.map_err(|_| Error::Closed)??;
        Ok(Self { orders, ended: Arc::new(tokio::sync::Mutex::new(Some(ended))), is_protected })
    }

    /// Listens on a unix socket, which only this user may open. A socket that a dead process left there is replaced.
    pub async fn listen_unix(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let listener = server::bind_unix(path)
            .map_err(|source| Error::Listen { address: path.display().to_string(), source })?;
        self.order(Order::Listen(Listener::Unix(listener, path.to_owned()))).await
    }

    /// Listens on TCP; port 0 takes a free one. Answers the address. One that other machines can reach needs a password.
    pub async fn listen_tcp(&self, address: SocketAddr) -> Result<SocketAddr, Error> {
        if !address.ip().is_loopback() && !self.is_protected {
            return Err(Error::Unprotected(address));
        }
        let failed = |source| Error::Listen { address: address.to_string(), source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        self.order(Order::Listen(Listener::Tcp(listener))).await?;
        Ok(address)
    }

    /// A connection without a socket.
    pub async fn connect_memory(&self) -> Result<DuplexStream, Error> {
        let (client, served) = tokio::io::duplex(MEMORY_PIPE_BYTES);
        self.order(Order::Serve(served)).await?;
        Ok(client)
    }

    /// Ends: no connections are accepted, what was asked is answered, and the log is written to its end.
    pub async fn shutdown(self) {
        let _ = self.orders.send(Order::End).await;
        if let Some(ended) = self.ended.lock().await.take() {
            let _ = ended.await;
        }
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Closed)
    }
}
