//! Binding, serving and ending the listeners.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options};

/// How long requests under way may take to finish when the controller stops.
const GRACE: Duration = Duration::from_secs(5);

/// Sockets that are bound and not served yet.
pub(crate) struct Bound {
    socket: PathBuf,
    unix: UnixListener,
    tcp: Option<TcpListener>,
}

/// Sockets that are being served.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Path of the unix socket.
    pub(crate) socket: PathBuf,
    /// The TCP address, if any.
    pub(crate) address: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

/// Binds the unix socket, readable by its owner only, and the loopback address.
pub(crate) async fn bind(options: &Options) -> Result<Bound, Error> {
    let socket = options.socket();
    let what = format!("listen on {}", socket.display());
    let unix = bind_unix(&socket).await.map_err(|source| Error::Start { what, source })?;
    let tcp = match options.listen {
        None => None,
        Some(address) => {
            let failed = |source| Error::Start { what: format!("listen on {address}"), source };
            if !address.ip().is_loopback() {
                let reason = "only loopback addresses are served without TLS";
                return Err(failed(std::io::Error::other(reason)));
            }
            Some(TcpListener::bind(address).await.map_err(failed)?)
        }
    };
    Ok(Bound { socket, unix, tcp })
}

/// A socket left behind by a dead process is replaced, a live one is respected.
async fn bind_unix(socket: &Path) -> std::io::Result<UnixListener> {
    if socket.exists() {
        if UnixStream::connect(socket).await.is_ok() {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Bound {
    /// The TCP address, if any.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Serves until `stopping` is cancelled.
    pub(crate) fn serve(self, router: Router, stopping: &CancellationToken) -> Listeners {
        let address = self.address();
        let unix = axum::serve(self.unix, router.clone())
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let mut tasks = vec![tokio::spawn(async { report(unix.await) })];
        if let Some(tcp) = self.tcp {
            let tcp =
                axum::serve(tcp, router).with_graceful_shutdown(stopping.clone().cancelled_owned());
            tasks.push(tokio::spawn(async { report(tcp.await) }));
        }
        Listeners { socket: self.socket, address, tasks }
    }
}

impl Listeners {
    /// Waits for requests under way, for a while, and removes the socket.
    pub(crate) async fn ended(self) {
        let deadline = tokio::time::Instant::now() + GRACE;
        for mut task in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn report(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "listener ended");
    }
}
