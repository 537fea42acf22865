//! The thread that owns the engine and all sockets.

mod clock;
mod commit;
mod connection;
mod hub;

use std::{
    io,
    os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use rustix::{
    fs::{Mode, fchmod},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_local},
};

use super::{Error, Settings, engine::Engine, log::Log};
use clock::now;
use hub::Hub;

/// After an error of the system when a connection is accepted, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections on a unix socket that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long connections have at the end to take what they are still to be sent.
const DRAIN: Duration = Duration::from_secs(5);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Listen(Listener),
    Serve(DuplexStream),
    End,
}

/// A socket on which connections come.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(StdUnixListener, PathBuf),
}

/// Binds a unix socket; one that nobody listens on is replaced.
pub(super) fn bind_unix(path: &Path) -> io::Result<StdUnixListener> {
    match private_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
            std::fs::remove_file(path)?;
            private_unix(path)
        }
        bound => bound,
    }
}

/// A socket that only its owner can ever connect to: Linux gives the path the mode the socket has when it is bound, so there is no
/// moment between bind and `chmod`.
fn private_unix(path: &Path) -> io::Result<StdUnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(StdUnixListener::from(socket))
}

fn is_dead(path: &Path) -> bool {
    StdUnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The thread: reads the log, says whether it could, and serves until it is told to end.
pub(super) fn run(
    settings: Settings,
    orders: mpsc::Receiver<Order>,
    opened: oneshot::Sender<Result<(), Error>>,
) {
    let started = open(&settings).and_then(|(engine, log)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok((runtime.map_err(Error::Thread)?, engine, log))
    });
    let (runtime, engine, log) = match started {
        Ok(started) => started,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let _ = opened.send(Ok(()));
    let local = LocalSet::new();
    local.block_on(&runtime, serve(settings, engine, log, orders));
}

fn open(settings: &Settings) -> Result<(Engine, Option<Log>), Error> {
    let mut engine = Engine::new(settings.engine(now()));
    let log = match &settings.data {
        Some(path) => Some(Log::open(path.clone(), settings.durability, &mut engine)?),
        None => None,
    };
    engine.begin(now());
    Ok((engine, log))
}

async fn serve(
    settings: Settings,
    engine: Engine,
    log: Option<Log>,
    mut orders: mpsc::Receiver<Order>,
) {
    let hub = Rc::new(Hub::new(settings, engine));
    let writes = spawn_local(commit::run(hub.clone(), log));
    let ticks = spawn_local(commit::tick(hub.clone()));
    let mut listening = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(listener) => listening.push(spawn_local(listen(hub.clone(), listener))),
            Order::Serve(stream) => begin(&hub, stream, "memory".to_owned()),
            Order::End => break,
        }
    }
    for listener in listening {
        listener.abort();
        let _ = listener.await;
    }
    hub.end();
    let drained = tokio::time::timeout(DRAIN, hub.empty()).await;
    if drained.is_err() {
        tracing::warn!("connections were cut off at the end: they did not take their replies");
    }
    ticks.abort();
    if tokio::time::timeout(DRAIN, writes).await.is_err() {
        tracing::error!("the broker ended before its log was written to the end");
    }
}

fn begin(hub: &Rc<Hub>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, address: String) {
    spawn_local(connection::serve(hub.clone(), stream, address));
}

/// Removes the socket's path when nobody listens any more.
struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn listen(hub: Rc<Hub>, listener: Listener) {
    let result = match listener {
        Listener::Tcp(listener) => listen_tcp(&hub, listener).await,
        Listener::Unix(listener, path) => {
            let path = SocketPath(path);
            listen_unix(&hub, listener, &path.0).await
        }
    };
    if let Err(error) = result {
        tracing::error!(%error, "cannot listen any more");
    }
}

async fn listen_tcp(hub: &Rc<Hub>, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Replies are small and waited for.
                let _ = stream.set_nodelay(true);
                begin(hub, stream, address.to_string());
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn listen_unix(hub: &Rc<Hub>, listener: StdUnixListener, path: &Path) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => begin(hub, stream, format!("{}:0", path.display())),
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_socket_is_private_from_the_first_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let before = rustix::process::umask(Mode::empty());
        let bound = private_unix(&path);
        rustix::process::umask(before);
        let listener = bound.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!is_dead(&path));
        drop(listener);
        assert!(is_dead(&path));
        bind_unix(&path).unwrap();
    }
}
