//! Servers that tests start for themselves.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use tutti_bus::broker::{self, Broker};
use tutti_bus::{Address, Bus, Settings};

/// Waits at most this long for something that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A server with one database.
pub(crate) struct Server {
    kind: Kind,
    port: u16,
    folder: tempfile::TempDir,
}

enum Kind {
    Redis(Child),
    Broker(Broker),
}

impl Server {
    /// A Redis of its own; nothing, with a reason on stderr, if there is no `redis-server`.
    pub(crate) async fn redis() -> Option<Server> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let child = match start_redis(port, &folder) {
            Ok(child) => child,
            Err(error) => {
                eprintln!("skipped: redis-server cannot be started ({error})");
                return None;
            }
        };
        let server = Server { kind: Kind::Redis(child), port, folder };
        server.wait_until_ready().await;
        Some(server)
    }

    /// The built-in broker.
    pub(crate) async fn broker() -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        let (broker, port) = start_broker(0, &folder).await;
        let server = Server { kind: Kind::Broker(broker), port, folder };
        server.wait_until_ready().await;
        Some(server)
    }

    async fn wait_until_ready(&self) {
        let until = tokio::time::Instant::now() + SOON;
        while self.try_run(&redis::cmd("PING")).await.is_err() {
            assert!(tokio::time::Instant::now() < until, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Ends it: Redis as if the machine had failed, the broker in this process in order.
    pub(crate) async fn stop(&mut self) {
        match &mut self.kind {
            Kind::Redis(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Kind::Broker(broker) => broker.clone().shutdown().await,
        }
    }

    /// Starts it again, with what it had saved.
    pub(crate) async fn start_again(&mut self) {
        self.kind = match self.kind {
            Kind::Redis(_) => Kind::Redis(start_redis(self.port, &self.folder).unwrap()),
            Kind::Broker(_) => Kind::Broker(start_broker(self.port, &self.folder).await.0),
        };
        self.wait_until_ready().await;
    }

    /// Takes its place, once it is stopped: connections are accepted and nothing is ever answered.
    pub(crate) async fn stand_in(&self) -> tokio::net::TcpListener {
        tokio::net::TcpListener::bind(("127.0.0.1", self.port)).await.unwrap()
    }

    /// The settings of a process of a service.
    pub(crate) fn settings(&self, service: &str, process: &str) -> Settings {
        Settings::new(service, process, Address::url(&self.url()).unwrap())
    }

    /// A process of a service.
    pub(crate) async fn bus(&self, service: &str, process: &str) -> Bus {
        Bus::connect(self.settings(service, process)).await.unwrap()
    }

    async fn try_run(&self, command: &Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    /// Runs a command as somebody else.
    pub(crate) async fn run<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        T::from_redis_value(self.try_run(&command).await.unwrap()).unwrap()
    }
}

fn start_redis(port: u16, folder: &tempfile::TempDir) -> std::io::Result<Child> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
}

async fn start_broker(port: u16, folder: &tempfile::TempDir) -> (Broker, u16) {
    let data = Some(folder.path().join("broker.log"));
    let broker = Broker::open(broker::Settings { data, ..Default::default() }).await.unwrap();
    let address = broker.listen_tcp(([127, 0, 0, 1], port).into()).await.unwrap();
    (broker, address.port())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Kind::Redis(child) = &mut self.kind {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = tokio::time::Instant::now() + SOON;
    while !holds().await {
        assert!(tokio::time::Instant::now() < until, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes each of these tests, functions of a server, a test on every kind of server.
macro_rules! on_every_server {
    ($($name:ident),* $(,)?) => {
        mod on_redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(server) = crate::server::Server::redis().await {
                        super::$name(server).await;
                    }
                }
            )*
        }

        mod on_the_broker {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(server) = crate::server::Server::broker().await {
                        super::$name(server).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use on_every_server;
