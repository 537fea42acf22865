//! Binding, serving and ending the listeners.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options};

/// How long requests under way may take to finish when the controller stops.
const GRACE: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

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

/// Binds the loopback address, then the unix socket, readable by its owner only: commands that wait
/// for a controller look for the socket, which must not be there before a start that fails.
pub(crate) async fn bind(options: &Options) -> Result<Bound, Error> {
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
    let socket = options.socket();
    let what = format!("listen on {}", socket.display());
    let unix = bind_unix(&socket).await.map_err(|source| Error::Start { what, source })?;
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
    private_unix(socket)
}

/// A socket that only its owner can ever connect to: Linux gives the path the mode the socket has
/// when it is bound, so there is no moment between bind and `chmod`.
fn private_unix(path: &Path) -> std::io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(StdUnixListener::from(socket))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::Mode;
    use rustix::process::umask;

    #[tokio::test]
    async fn the_socket_is_private_from_the_first_moment() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let before = umask(Mode::empty());
        let listener = super::private_unix(&path).unwrap();
        umask(before);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (accepted, connected) =
            tokio::join!(listener.accept(), tokio::net::UnixStream::connect(&path));
        accepted.unwrap();
        connected.unwrap();
    }
}
