//! The store: threads that own connections, and the handle callers clone.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    Backend, Batcher, Bell, Error, Migration, Result, Tx,
    address::{Address, Server},
    bell::Bells,
    connection::Connection,
    job::{self, Job},
    lock::FileLock,
    migrate::migrate,
    notify::{Announcer, Notifier},
    postgres::Postgres,
    sqlite::Sqlite,
    writer::Writer,
};

/// Jobs waiting for the writer. A caller beyond that waits for room, which is all the back pressure needed.
const WRITES_WAITING_MAX: usize = 1024;

/// Jobs waiting for the readers.
const READS_WAITING_MAX: usize = 1024;

/// Connections that read, on SQLite.
const SQLITE_READERS: usize = 2;

/// Connections that read, on PostgreSQL, where reading is mostly waiting.
const POSTGRES_READERS: usize = 3;

/// Enough for SQLite's parser and a caller's closure; only what is touched counts as memory.
const STACK_BYTES: usize = 1 << 20;

/// A database. Cheap to clone; the last clone dropped lets the threads finish what was asked and end.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    backend: Backend,
    instance: Uuid,
    bells: Arc<Bells>,
    senders: Mutex<Option<Senders>>,
    /// Answers `None` once every thread has ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

#[derive(Clone)]
struct Senders {
    writes: mpsc::Sender<Box<dyn Job>>,
    /// To the writer of [`Store::batcher_apart`], which on SQLite is the same.
    writes_apart: mpsc::Sender<Box<dyn Job>>,
    reads: mpsc::Sender<Box<dyn Job>>,
}

/// Which writer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    Main,
    Apart,
}

type Reads = Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>;

impl Store {
    /// Opens the database at `url`, which is `sqlite:///path/file.db`, a path, or `postgres://…`, creating it if absent,
    /// and applies the migrations it has not seen. Opening one that is up to date takes a few milliseconds.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Open`], [`Error::Locked`], [`Error::DiskFull`] and the migration errors.
    pub async fn open(url: &str, migrations: &[Migration]) -> Result<Self> {
        let address = Address::parse(url)?;
        let migrations = migrations.to_vec();
        tokio::task::spawn_blocking(move || match address {
            Address::Sqlite(path) => open_sqlite(&path, &migrations),
            Address::Postgres(server) => open_postgres(server, &migrations),
        })
        .await
        .map_err(|error| Error::Panicked { message: error.to_string() })?
    }

    /// Runs `f` in a transaction that sees one consistent state and changes nothing.
    ///
    /// # Errors
    /// What `f` answers; [`Error::Closed`], [`Error::Panicked`], [`Error::Engine`].
    pub async fn read<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let reads = self.senders()?.reads;
        let (job, answer) = job::read(f);
        reads.send(job).await.map_err(|_| Error::Closed)?;
        drop(reads);
        answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// Runs `f` in a transaction and answers once it is durable. An `Err` of `f` rolls back what it wrote, and only that.
    /// `f` may run more than once: after a conflict with another controller, or when a batch it was part of failed.
    /// What `f` sees and writes is serializable. If the future is dropped, the transaction may still happen.
    ///
    /// # Errors
    /// What `f` answers; [`Error::DiskFull`], [`Error::Conflict`], [`Error::CommitUnknown`], [`Error::Closed`],
    /// [`Error::Panicked`], [`Error::Engine`].
    pub async fn write<T, E>(
        &self,
        f: impl Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let writes = self.writes(Lane::Main)?;
        let (job, answer) = job::write(f);
        writes.send(job).await.map_err(|_| Error::Closed)?;
        drop(writes);
        answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// Writes of one kind from many callers: whatever operations wait when the writer turns to them are applied by one call
    /// of `apply`, in the same commit as everything else that waits. A caller alone waits for nobody.
    ///
    /// `apply` answers one value for each operation, in order. It may run more than once, as the closure of
    /// [`write`](Self::write). If it fails for several operations, it runs again for fewer of them, so that in the end only
    /// the one that fails alone is refused.
    ///
    /// ```
    /// # use tutti_store::{Batcher, Error, Store};
    /// const DONE: &str = "UPDATE task SET done = TRUE {rows} WHERE flow = $1 AND number = $2";
    ///
    /// fn dones(store: &Store) -> Batcher<(String, i64), ()> {
    ///     store.batcher(|tx, tasks: &[(String, i64)]| {
    ///         tx.exec_many(DONE, tasks.iter().map(|(flow, number)| (flow, number)))?;
    ///         Ok::<_, Error>(vec![(); tasks.len()])
    ///     })
    /// }
    /// ```
    pub fn batcher<Op, Answer, E>(
        &self,
        apply: impl Fn(&mut Tx<'_>, &[Op]) -> Result<Vec<Answer>, E> + Send + Sync + 'static,
    ) -> Batcher<Op, Answer, E>
    where
        Op: Send + 'static,
        Answer: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Batcher::new(self.clone(), Lane::Main, Box::new(apply))
    }

    /// As [`batcher`](Self::batcher), for small writes that shall not wait for what else is written: on PostgreSQL over a
    /// connection of their own, so that commits overlap. What others read while they change it is tried again, so keep to
    /// rows that few others touch. On SQLite, which has one writer, it is the same.
    pub fn batcher_apart<Op, Answer, E>(
        &self,
        apply: impl Fn(&mut Tx<'_>, &[Op]) -> Result<Vec<Answer>, E> + Send + Sync + 'static,
    ) -> Batcher<Op, Answer, E>
    where
        Op: Send + 'static,
        Answer: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Batcher::new(self.clone(), Lane::Apart, Box::new(apply))
    }

    /// A bell for `topic`, rung by [`Tx::ring`]. On PostgreSQL it also rings, some 10 ms later, for other controllers.
    #[must_use]
    pub fn bell(&self, topic: &'static str) -> Bell {
        self.0.bells.bell(topic)
    }

    /// The engine behind this store.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.0.backend
    }

    /// Names this opening of the database: another process, or the same after a restart, has another one.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.0.instance
    }

    /// Takes no more work, finishes what was asked, and returns when the database is closed and its lock released.
    pub async fn close(self) {
        self.0.senders.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.ended.lock().await.recv().await;
    }

    /// Prepares statements without running them, as a test of every `sql!` list does on both engines.
    ///
    /// # Errors
    /// [`Error::Unprepared`] names the first the engine refuses.
    pub async fn prepare_all(&self, statements: &[(&'static str, &'static str)]) -> Result<()> {
        let statements = statements.to_vec();
        self.read(move |tx| {
            statements.iter().try_for_each(|&(name, sql)| {
                tx.prepare(sql).map_err(|error| Error::Unprepared { name, source: Arc::new(error) })
            })
        })
        .await
    }

    /// Looks for damage: SQLite's own integrity check, which reads the whole file. PostgreSQL watches over itself.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub async fn check(&self) -> Result<()> {
        if self.backend() == Backend::Postgres {
            return Ok(());
        }
        let findings: Vec<String> = self.read(|tx| tx.all("PRAGMA integrity_check", ())).await?;
        if findings == ["ok"] {
            return Ok(());
        }
        Err(Error::Damaged { findings: findings.join("\n") })
    }

    pub(crate) fn writes(&self, lane: Lane) -> Result<mpsc::Sender<Box<dyn Job>>> {
        let senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = senders.as_ref().ok_or(Error::Closed)?;
        Ok(match lane {
            Lane::Main => senders.writes.clone(),
            Lane::Apart => senders.writes_apart.clone(),
        })
    }

    fn senders(&self) -> Result<Senders> {
        let senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.clone().ok_or(Error::Closed)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.0.backend).finish_non_exhaustive()
    }
}

fn open_sqlite(path: &Path, migrations: &[Migration]) -> Result<Store> {
    let lock = FileLock::take(path)?;
    let mut connection = Connection::Sqlite(Sqlite::open_writer(path)?);
    migrate(&mut connection, Some(path), migrations)?;
    let mut readers = Vec::with_capacity(SQLITE_READERS);
    for _ in 0..SQLITE_READERS {
        readers.push(Connection::Sqlite(Sqlite::open_reader(path)?));
    }
    start(Backend::Sqlite, connection, None, readers, Guest::File(lock))
}

fn open_postgres(server: Box<Server>, migrations: &[Migration]) -> Result<Store> {
    let mut postgres = Postgres::writer(&server)?;
    postgres.prepare_schema()?;
    let mut connection = Connection::Postgres(Box::new(postgres));
    migrate(&mut connection, None, migrations)?;
    let mut readers = Vec::with_capacity(POSTGRES_READERS);
    for _ in 0..POSTGRES_READERS {
        readers.push(Connection::Postgres(Box::new(Postgres::reader(&server)?)));
    }
    let apart = Connection::Postgres(Box::new(Postgres::writer(&server)?));
    start(Backend::Postgres, connection, Some(apart), readers, Guest::Server(server))
}

/// What comes with the engine.
enum Guest {
    /// The lock of a SQLite file.
    File(FileLock),
    /// The server other controllers share.
    Server(Box<Server>),
}

fn start(
    backend: Backend,
    connection: Connection,
    apart: Option<Connection>,
    readers: Vec<Connection>,
    guest: Guest,
) -> Result<Store> {
    let bells = Arc::new(Bells::default());
    let (reads, read_jobs) = mpsc::channel(READS_WAITING_MAX);
    let (alive, ended) = mpsc::channel(1);
    let read_jobs = Arc::new(Mutex::new(read_jobs));
    for reader in readers {
        let (jobs, alive) = (Arc::clone(&read_jobs), alive.clone());
        spawn("store-read", move || {
            serve_reads(reader, &jobs);
            drop(alive);
        })?;
    }
    let (lock, announcer) = match guest {
        Guest::File(lock) => (Some(lock), None),
        Guest::Server(server) => {
            (None, Some(spawn_notifier(*server, Arc::clone(&bells), alive.clone())?))
        }
    };
    let spawn_writer = |name, connection, gathers, kept| {
        let (writes, jobs) = mpsc::channel(WRITES_WAITING_MAX);
        let (bells, announcer) = (Arc::clone(&bells), announcer.clone());
        let (rest, alone) = (VecDeque::new(), backend == Backend::Sqlite);
        let writer = Writer { connection, jobs, rest, bells, announcer, gathers, alone };
        spawn(name, move || {
            writer.run();
            drop(kept);
        })?;
        Ok::<_, Error>(writes)
    };
    let writes_apart = match apart {
        Some(connection) => {
            Some(spawn_writer("store-apart", connection, true, (None, alive.clone()))?)
        }
        None => None,
    };
    let writes = spawn_writer("store-write", connection, false, (lock, alive))?;
    let writes_apart = writes_apart.unwrap_or_else(|| writes.clone());
    let senders = Mutex::new(Some(Senders { writes, writes_apart, reads }));
    let (instance, ended) = (Uuid::now_v7(), tokio::sync::Mutex::new(ended));
    Ok(Store(Arc::new(Inner { backend, instance, bells, senders, ended })))
}

fn spawn_notifier(server: Server, bells: Arc<Bells>, alive: mpsc::Sender<()>) -> Result<Announcer> {
    let (announcer, notifier) = Notifier::new(server, bells);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Engine { source: Arc::new(error) })?;
    spawn("store-notify", move || {
        runtime.block_on(notifier.run());
        drop(alive);
    })?;
    Ok(announcer)
}

fn serve_reads(mut connection: Connection, jobs: &Reads) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(mut job) = next else { return };
        match connection.begin_read() {
            Ok(()) => drop(job.run(Tx::reading(&mut connection))),
            Err(error) => job.fail(error),
        }
        job.answer();
        connection.rollback();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(run)
        .map(drop)
        .map_err(|error| Error::Engine { source: Arc::new(error) })
}

/// Microseconds since 1970, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
