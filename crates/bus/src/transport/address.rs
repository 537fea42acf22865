//! Where the bus is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;

use crate::broker::Broker;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may go without an acknowledgement before the connection counts as dead.
const DEAD_AFTER_MS: u32 = 10_000;

/// A stream of bytes, whatever carries it.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Opening = BoxFuture<'static, std::io::Result<Box<dyn ByteStream>>>;
type Open = dyn Fn() -> Opening + Send + Sync;

/// Where the bus is: a Redis database, or a broker in this process.
#[derive(Clone)]
pub struct Address {
    place: Place,
    /// Database, user and password.
    login: RedisConnectionInfo,
}

#[derive(Clone)]
enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
    Process(Arc<Open>),
}

/// A connection, which knows when it has ended: whatever is sent after that has certainly not arrived.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) commands: MultiplexedConnection,
    has_ended: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Connection {
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Closes it, whatever is under way.
    pub(crate) fn close(&self) {
        self.driver.abort();
    }
}

impl Address {
    /// A URL: `redis://user:password@host:port/database`, `redis+unix:///path?db=0`.
    pub fn url(url: &str) -> RedisResult<Address> {
        let info = url.into_connection_info()?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => {
                let what = "only redis:// and redis+unix:// are supported";
                return Err((redis::ErrorKind::InvalidClientConfig, what).into());
            }
        };
        Ok(Address { place, login: info.redis_settings().clone().set_skip_set_lib_name() })
    }

    /// The unix socket at a path, with the password that is wanted there.
    pub fn unix(path: impl Into<PathBuf>, password: Option<&str>) -> Address {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let address = Address { place: Place::Unix(path.into()), login };
        match password {
            Some(password) => address.with_password(password),
            None => address,
        }
    }

    /// The same with another password.
    pub fn with_password(mut self, password: &str) -> Address {
        self.login = self.login.set_password(password);
        self
    }

    /// A broker in this process, without a socket.
    pub fn broker(broker: &Broker) -> Address {
        let broker = broker.clone();
        Address::process(move || {
            let broker = broker.clone();
            Box::pin(async move {
                let stream = broker.connect_memory().await.map_err(std::io::Error::other)?;
                Ok(Box::new(stream) as Box<dyn ByteStream>)
            })
        })
    }

    fn process(open: impl Fn() -> Opening + Send + Sync + 'static) -> Address {
        Address {
            place: Place::Process(Arc::new(open)),
            login: RedisConnectionInfo::default().set_skip_set_lib_name(),
        }
    }

    /// True if both are the same database, entered in the same way.
    pub(crate) fn is_same(&self, other: &Address) -> bool {
        let is_same_place = match (&self.place, &other.place) {
            (Place::Tcp(host, port), Place::Tcp(other, other_port)) => {
                host == other && port == other_port
            }
            (Place::Unix(path), Place::Unix(other)) => path == other,
            (Place::Process(open), Place::Process(other)) => Arc::ptr_eq(open, other),
            _ => false,
        };
        let (login, other) = (&self.login, &other.login);
        is_same_place
            && login.db() == other.db()
            && login.username() == other.username()
            && login.password() == other.password()
    }

    /// Where nothing is.
    pub(crate) fn nowhere() -> Address {
        Address::process(|| Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) }))
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, self.open());
        let stream = connect.await.map_err(std::io::Error::from)??;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let login = MultiplexedConnection::new_with_config(&self.login, stream, config);
        let (commands, driver) =
            tokio::time::timeout(CONNECT_TIMEOUT, login).await.map_err(std::io::Error::from)??;
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = has_ended.clone();
        let driver = tokio::spawn(async move {
            driver.await;
            ended.store(true, Ordering::Release);
        });
        Ok(Connection { commands, has_ended, driver: driver.abort_handle() })
    }

    async fn open(&self) -> std::io::Result<Box<dyn ByteStream>> {
        Ok(match &self.place {
            Place::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // A call is several small writes, each of which somebody waits for.
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, DEAD_AFTER_MS)?;
                Box::new(stream)
            }
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Process(open) => open().await?,
        })
    }
}

impl fmt::Debug for Address {
    /// Without user and password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Place::Unix(path) => write!(formatter, "{}", path.display()),
            Place::Process(_) => formatter.write_str("a broker in this process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_if_they_lead_to_one_database() {
        let one = |url: &str| Address::url(url).unwrap();
        assert!(one("redis://h:6379/0").is_same(&one("redis://h/")));
        assert!(!one("redis://h/0").is_same(&one("redis://h/1")));
        assert!(!one("redis://h/0").is_same(&one("redis://:secret@h/0")));
        assert!(!one("redis://h/0").is_same(&Address::nowhere()));
        assert!(Address::url("rediss://h/").is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let address = Address::url("redis://ann:secret@h/0").unwrap();
        assert_eq!(format!("{address:?}"), "h:6379");
    }
}
