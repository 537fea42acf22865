//! A small RESP2 client, a broker, and a real Redis to compare with.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tutti_bus::{
    broker::{Broker, Settings},
    resp::{Reply as _, Value},
};

/// How long a reply may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, command: &[impl AsRef<[u8]>]) {
        self.send_all(&[command]);
    }

    pub(crate) fn send_all<T: AsRef<[u8]>>(&mut self, commands: &[impl AsRef<[T]>]) {
        let request = encode(commands);
        self.send_bytes(&request);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next reply; `None` if the connection was closed.
    pub(crate) fn try_receive(&mut self) -> Option<Value> {
        loop {
            if let Some((value, taken)) = Value::decode(&self.received, usize::MAX).unwrap() {
                self.received.drain(..taken);
                return Some(value);
            }
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Whether the requests could be sent; not when the other side is gone.
    pub(crate) fn try_send_all<T: AsRef<[u8]>>(&mut self, commands: &[impl AsRef<[T]>]) -> bool {
        self.stream.write_all(&encode(commands)).is_ok()
    }

    /// The next reply; `None` if the other side is gone, however it went.
    pub(crate) fn receive_or_gone(&mut self) -> Option<Value> {
        loop {
            if let Some((value, taken)) = Value::decode(&self.received, usize::MAX).unwrap() {
                self.received.drain(..taken);
                return Some(value);
            }
            let mut chunk = [0; 64 * 1024];
            let length = self.stream.read(&mut chunk).ok().filter(|length| *length > 0)?;
            self.received.extend_from_slice(&chunk[..length]);
        }
    }

    pub(crate) fn receive(&mut self) -> Value {
        self.try_receive().expect("the connection was closed")
    }

    /// A reply that is there within so many milliseconds.
    pub(crate) fn receive_within(&mut self, ms: u64) -> Option<Value> {
        self.stream.set_read_timeout(Some(Duration::from_millis(ms))).unwrap();
        let mut chunk = [0; 64 * 1024];
        let read = self.stream.read(&mut chunk);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.received.extend_from_slice(&chunk[..read.ok()?]);
        self.try_receive()
    }

    pub(crate) fn call(&mut self, command: &[impl AsRef<[u8]>]) -> Value {
        self.send(command);
        self.receive()
    }
}

fn encode<T: AsRef<[u8]>>(commands: &[impl AsRef<[T]>]) -> Vec<u8> {
    let mut request = Vec::new();
    for command in commands {
        request.array(command.as_ref().len());
        command.as_ref().iter().for_each(|argument| request.bulk(argument.as_ref()));
    }
    request
}

/// The words of a line, for short commands.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A broker on TCP, with a runtime only to open it.
pub(crate) struct Served {
    runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn open(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let broker = runtime.block_on(Broker::open(settings)).unwrap();
        let address = runtime.block_on(broker.listen_tcp(([127, 0, 0, 1], 0).into())).unwrap();
        Self { runtime, broker: Some(broker), address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.shutdown());
        }
    }
}

/// A Redis of this test alone.
pub(crate) struct Redis {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// One that keeps nothing. `None`, with a word about it, where there is no redis-server.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// One with these settings.
    pub(crate) fn start_with(settings: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let port = address.port().to_string();
        let started = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--enable-debug-command", "yes"])
            .args(settings)
            .stdout(Stdio::null())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                eprintln!("skipped: cannot start redis-server to compare with: {error}");
                return None;
            }
        };
        let redis = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
