//! Connections that come back.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Address;
use super::address::Connection;
use crate::Backoff;

/// Pauses between tries to connect.
const RECONNECT: Backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(2));

/// The pauses of somebody who tries to reach the server.
#[derive(Debug, Default)]
pub(crate) struct Patience(u32);

impl Patience {
    /// Waits, each time longer.
    pub(crate) async fn wait(&mut self) {
        self.0 += 1;
        tokio::time::sleep(RECONNECT.delay(self.0)).await;
    }
}

/// True if the connection is of no more use; otherwise the server refused a command.
pub(crate) fn is_connection_error(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.kind() == ErrorKind::Parse
}

/// True if the server did nothing and will be able to later: it starts, or another has taken over its place.
pub(crate) fn is_not_ready(error: &RedisError) -> bool {
    use redis::ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain)
    )
}

/// True if trying again may help.
pub(crate) fn is_passing(error: &RedisError) -> bool {
    is_connection_error(error) || is_not_ready(error)
}

/// The one connection for everything that does not wait. Cheap to clone; all clones share it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    address: Address,
    /// The connection and its number; nothing before the first use and after it broke.
    current: Mutex<(u64, Option<Connection>)>,
    /// Held by whoever makes a connection, so that there is one try at a time.
    connecting: tokio::sync::Mutex<()>,
}

impl Link {
    pub(crate) fn new(address: Address) -> Link {
        Link(Arc::new(Inner {
            address,
            current: Mutex::new((0, None)),
            connecting: tokio::sync::Mutex::new(()),
        }))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.address
    }

    fn current(&self) -> Option<(u64, Connection)> {
        let current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = current.1.as_ref().filter(|connection| !connection.has_ended())?;
        Some((current.0, connection.clone()))
    }

    /// The connection, made if there is none or it has ended. Fails if it cannot be made: then nothing was sent.
    pub(crate) async fn connected(&self) -> RedisResult<Connected<'_>> {
        if let Some((number, connection)) = self.current() {
            return Ok(Connected { link: self, number, connection });
        }
        let _alone = self.0.connecting.lock().await;
        if let Some((number, connection)) = self.current() {
            return Ok(Connected { link: self, number, connection });
        }
        let connection = self.0.address.connect().await?;
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.0 += 1;
        current.1 = Some(connection.clone());
        Ok(Connected { link: self, number: current.0, connection })
    }

    /// Runs one command.
    pub(crate) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        self.connected().await?.run(command).await
    }

    /// Runs commands in one write; the replies, in order.
    pub(crate) async fn run_all(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        self.connected().await?.run_all(commands).await
    }

    /// Runs commands until they get through. For what may be repeated without harm; gives up after `tries`.
    pub(crate) async fn insist(&self, commands: &Pipeline, tries: u32) -> RedisResult<Vec<Value>> {
        let mut patience = Patience::default();
        let mut tried = 0;
        loop {
            tried += 1;
            match self.run_all(commands).await {
                Err(error) if is_passing(&error) && tried < tries => patience.wait().await,
                outcome => return outcome,
            }
        }
    }

    /// Forgets the connection: the next command makes another.
    pub(crate) fn reset(&self) {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    }

    fn broke(&self, number: u64) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number {
            current.1 = None;
        }
    }
}

/// A connection of a [`Link`], good until it breaks.
pub(crate) struct Connected<'a> {
    link: &'a Link,
    number: u64,
    connection: Connection,
}

impl Connected<'_> {
    pub(crate) async fn run(mut self, command: &Cmd) -> RedisResult<Value> {
        let reply = self
            .connection
            .commands
            .req_packed_command(command)
            .await
            .and_then(Value::extract_error);
        self.judge(reply)
    }

    pub(crate) async fn run_all(mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        let replies = self.connection.commands.req_packed_commands(commands, 0, count).await;
        self.judge(replies.and_then(|all| all.into_iter().map(Value::extract_error).collect()))
    }

    fn judge<T>(&self, reply: RedisResult<T>) -> RedisResult<T> {
        reply.inspect_err(|error| {
            if is_passing(error) {
                self.link.broke(self.number);
            }
        })
    }
}

/// A connection for one command that waits.
pub(crate) struct Waiting {
    address: Address,
    connection: Option<Connection>,
    /// Goes off when a command has waited too long, or before that, and is set again only then: the runtime wakes itself up, by
    /// a write and a read of the kernel's, each time a timer is set that comes before all others.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// How much longer than it was asked to wait the server may take to answer.
const GRACE: Duration = Duration::from_secs(10);

impl Waiting {
    pub(crate) fn new(address: Address) -> Waiting {
        Waiting { address, connection: None, alarm: None }
    }

    /// True if the next command goes over a connection on which none failed.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.has_ended())
    }

    /// Runs a command that waits for up to `wait`. A failure closes the connection, unless the server refused.
    pub(crate) async fn run(&mut self, command: &Cmd, wait: Duration) -> RedisResult<Value> {
        if !self.is_connected() {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.address.connect().await?),
        };
        let deadline = Instant::now() + wait + GRACE;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let mut running = connection.commands.req_packed_command(command);
        let reply = loop {
            tokio::select! {
                biased;
                reply = &mut running => break reply.and_then(Value::extract_error),
                () = alarm.as_mut() => {}
            }
            if Instant::now() >= deadline {
                break Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
            alarm.as_mut().reset(deadline);
        };
        drop(running);
        if reply.as_ref().is_err_and(is_passing) {
            connection.close();
            self.connection = None;
        }
        reply
    }
}

impl Drop for Waiting {
    /// A connection with a command under way would otherwise stay open, and the answer would go to nobody.
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }
}
