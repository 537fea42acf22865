//! The smallest correct stores for steno: one row a saga, one an event, each statement its own commit.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use rusqlite::Connection;
use steno::{SagaCachedState, SagaCreateParams, SagaId, SagaNodeEvent, SecStore};
use tokio_postgres::{Client, NoTls, Statement};

use crate::measure::Case;

/// Connections to PostgreSQL: enough for what a small machine can do at once.
const CONNECTIONS: usize = 8;

const TABLES: &str = "
    CREATE TABLE saga (id TEXT PRIMARY KEY, name TEXT NOT NULL, dag TEXT NOT NULL, state TEXT NOT NULL);
    CREATE TABLE saga_event (
        saga TEXT NOT NULL, node BIGINT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (saga, node, kind)
    );";
const CREATE: &str = "INSERT INTO saga (id, name, dag, state) VALUES ($1, $2, $3, $4)";
const RECORD: &str = "INSERT INTO saga_event (saga, node, kind, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE saga SET state = $1 WHERE id = $2";

pub async fn open(case: &Case) -> Result<Arc<dyn SecStore>> {
    match case.sqlite_file() {
        Some(file) => Ok(Arc::new(Sqlite::open(file)?)),
        None => Ok(Arc::new(Postgres::open(&case.database).await?)),
    }
}

/// An event's row.
fn row(event: &SagaNodeEvent) -> (String, i64, &'static str, String) {
    let node: u32 = event.node_id.into();
    let body = serde_json::to_string(&event.event_type).expect("an event is JSON");
    (event.saga_id.to_string(), node.into(), event.event_type.label(), body)
}

#[derive(Debug)]
struct Sqlite(Mutex<Connection>);

impl Sqlite {
    fn open(file: &str) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        connection.execute_batch(TABLES)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<()> {
        let connection = self.0.lock().map_err(|_| anyhow!("a writer panicked"))?;
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

#[async_trait]
impl SecStore for Sqlite {
    async fn saga_create(&self, saga: SagaCreateParams) -> Result<()> {
        let (id, name) = (saga.id.to_string(), saga.name.to_string());
        self.execute(CREATE, (id, name, saga.dag.to_string(), saga.state.to_string()))
    }

    async fn record_event(&self, event: SagaNodeEvent) {
        self.execute(RECORD, row(&event)).expect("an event is recorded");
    }

    async fn saga_update(&self, id: SagaId, state: SagaCachedState) {
        self.execute(UPDATE, (state.to_string(), id.to_string())).expect("a state is recorded");
    }
}

/// A connection with its statements prepared.
struct Prepared {
    client: Client,
    create: Statement,
    record: Statement,
    update: Statement,
}

struct Postgres {
    connections: Vec<Prepared>,
    next: AtomicUsize,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Postgres")
    }
}

impl Postgres {
    async fn open(address: &str) -> Result<Self> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for number in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
            tokio::spawn(connection);
            if number == 0 {
                client.batch_execute(TABLES).await?;
            }
            let create = client.prepare(CREATE).await?;
            let record = client.prepare(RECORD).await?;
            let update = client.prepare(UPDATE).await?;
            connections.push(Prepared { client, create, record, update });
        }
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    fn one(&self) -> &Prepared {
        &self.connections[self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len()]
    }
}

#[async_trait]
impl SecStore for Postgres {
    async fn saga_create(&self, saga: SagaCreateParams) -> Result<()> {
        let one = self.one();
        let (id, name) = (saga.id.to_string(), saga.name.to_string());
        let (dag, state) = (saga.dag.to_string(), saga.state.to_string());
        one.client.execute(&one.create, &[&id, &name, &dag, &state]).await?;
        Ok(())
    }

    async fn record_event(&self, event: SagaNodeEvent) {
        let one = self.one();
        let (saga, node, kind, body) = row(&event);
        let recorded = one.client.execute(&one.record, &[&saga, &node, &kind, &body]).await;
        recorded.expect("an event is recorded");
    }

    async fn saga_update(&self, id: SagaId, state: SagaCachedState) {
        let one = self.one();
        let updated = one.client.execute(&one.update, &[&state.to_string(), &id.to_string()]).await;
        updated.expect("a state is recorded");
    }
}
