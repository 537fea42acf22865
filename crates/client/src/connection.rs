//! Connections to the controller and the pool of idle ones.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{io, mem};

use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::upload::Body;
use crate::{Address, Error, Result};

/// Idle connections kept for the next calls; more than that are closed after use.
const IDLE: usize = 8;

/// How long a TCP connection may take to open.
const CONNECT: Duration = Duration::from_secs(10);

/// One open connection.
pub(crate) type Connection = SendRequest<Body>;

/// An address with the idle connections to it.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// An idle connection that is still open, the most recently used first.
    pub(crate) async fn reuse(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub(crate) async fn open(&self) -> Result<Connection> {
        let failed = |source| Error::Connect { address: self.address.clone(), source };
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                start(stream).await.map_err(failed)
            }
            Address::Tcp(authority) => {
                let stream = tokio::time::timeout(CONNECT, TcpStream::connect(authority))
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                start(stream).await.map_err(failed)
            }
        }
    }

    /// Takes a connection back whose last answer was read to its end.
    pub(crate) fn give_back(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < IDLE && !connection.is_closed() {
            idle.push(connection);
        }
    }

    /// Closes every idle connection: one of them was stale, so the others are too.
    pub(crate) fn forget(&self) {
        drop(mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts HTTP on a stream; a task drives it until either side closes.
async fn start<S>(stream: S) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "connection to the controller ended");
        }
    });
    Ok(connection)
}
