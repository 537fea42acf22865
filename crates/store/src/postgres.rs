//! A PostgreSQL connection: its own small runtime drives both client and socket, so that a query costs no wake-up of
//! another thread.
//!
//! `BEGIN`, `SAVEPOINT` and their kin, and statements whose answer nobody waits for, are kept back and sent together with
//! the next statement or the commit: most transactions cost two round trips.

use std::{collections::HashMap, pin::pin, sync::Arc};

use futures_util::{StreamExt, future::join};
use tokio::runtime::Runtime;
use tokio_postgres::{
    Client, NoTls, Statement,
    error::{Severity, SqlState},
};

use crate::{
    Error, Result, Row, Value,
    address::Server,
    connection::Rows,
    error::{Cause, Constraint},
    postgres_later::{Answer, Bound, Later, Unfinished, send_all, send_alone, send_and_commit},
    postgres_value::{Parameter, columns_of},
    row::RowSource,
    statement::{self, Key},
};

/// Rows of one `UNNEST`: large enough to forget the round trip, small enough to bound memory.
const ROWS_MAX: usize = 1000;

/// What every connection is told. Plans made while a queue table is empty would scan it for ever, hence no sequential scans.
/// Where there is no other way, they are counted as so dear that the server would compile the statement first, for a second.
const SETTINGS: &str = "SET enable_seqscan TO off; SET jit TO off";

/// What the connection that writes is told besides. What several controllers do at the same time shall come to the same as if they
/// did it one after the other, also in a statement that is a transaction by itself. It looks rows up by their keys: a plan made while a
/// table was small would go on reading all of it, and by that meet every other controller's transaction; for a row or two a
/// bitmap costs more than it saves; and such plans need not be made anew for each set of parameters.
const WRITER_SETTINGS: &str = "SET default_transaction_isolation TO serializable; \
                               SET enable_seqscan TO off; SET jit TO off; SET enable_bitmapscan TO off; \
                               SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET plan_cache_mode TO force_generic_plan";

/// Makes the two dialects one (`blob`, lists as a parameter by `json_each`), and serializes whoever sets up a schema.
const PRELUDE: &str = include_str!("prelude.sql");

pub(crate) struct Postgres {
    server: Server,
    settings: &'static str,
    runtime: Runtime,
    client: Arc<Client>,
    statements: HashMap<Key, Statement>,
    /// Those for many rows.
    manies: HashMap<Key, Statement>,
    /// Those that insert a row, and those that insert many.
    inserts: HashMap<(Key, Key), (Statement, Statement)>,
    /// What is to be sent before the next statement, in this order: statements, then commands.
    later: Vec<Later>,
    kept_back: String,
    in_transaction: bool,
    /// Nothing of the transaction was sent.
    unsent: bool,
    /// The server said that it ends the connection.
    ended: bool,
}

impl Postgres {
    /// The connection that writes.
    pub(crate) fn writer(server: &Server) -> Result<Self> {
        Self::connect(server, WRITER_SETTINGS)
    }

    /// A connection that reads.
    pub(crate) fn reader(server: &Server) -> Result<Self> {
        Self::connect(server, SETTINGS)
    }

    fn connect(server: &Server, settings: &'static str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Engine { source: Arc::new(error) })?;
        let client = runtime.block_on(connect(server, settings))?;
        Ok(Self {
            server: server.clone(),
            settings,
            runtime,
            client: Arc::new(client),
            statements: HashMap::new(),
            manies: HashMap::new(),
            inserts: HashMap::new(),
            later: Vec::new(),
            kept_back: String::new(),
            in_transaction: false,
            unsent: true,
            ended: false,
        })
    }

    /// Creates the schema and the prelude where they are absent.
    pub(crate) fn prepare_schema(&mut self) -> Result<()> {
        if self.exists("SELECT 1 FROM pg_proc WHERE proname = 'json_each' AND pronamespace = to_regnamespace($1)")? {
            return Ok(());
        }
        let script = PRELUDE.replace("{schema}", &self.server.schema);
        self.script(&script)
    }

    fn exists(&mut self, sql: &'static str) -> Result<bool> {
        let mut found = false;
        let schema = Value::Text(self.server.schema.clone());
        self.query(sql, &[schema], &mut |_| {
            found = true;
            false
        })?;
        Ok(found)
    }

    /// Reconnects if the connection was lost since it was used last. Call it outside of transactions.
    pub(crate) fn revive(&mut self) -> Result<()> {
        // Lets the connection's task see what arrived on the socket meanwhile.
        self.runtime.block_on(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        if self.is_lost() {
            self.client = Arc::new(self.runtime.block_on(connect(&self.server, self.settings))?);
            self.statements.clear();
            self.manies.clear();
            self.inserts.clear();
            self.ended = false;
            tracing::info!(database = %self.server.describe(), "reconnected");
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self, sql: &'static str) -> Result<()> {
        self.revive()?;
        self.later.clear();
        self.kept_back.clear();
        self.unsent = true;
        self.control(sql);
        Ok(())
    }

    /// `SAVEPOINT` and its kin; errors show with the next statement.
    pub(crate) fn control(&mut self, sql: &'static str) {
        self.kept_back.push_str(sql);
        self.kept_back.push(';');
    }

    pub(crate) fn commit(&mut self) -> Result<()> {
        if !self.in_transaction {
            // Nothing but savepoints was asked for: nothing was sent, nothing is to be kept.
            self.kept_back.clear();
            return Ok(());
        }
        self.in_transaction = false;
        let mut sql = std::mem::take(&mut self.kept_back);
        if !sql.contains("ROLLBACK") {
            // Savepoints and settings end with the transaction.
            sql.clear();
        }
        let mut later = std::mem::take(&mut self.later);
        let ended = if self.unsent && sql.is_empty() && later.len() == 2 {
            // `BEGIN` and a statement: by itself, that is a transaction of its own.
            self.runtime.block_on(send_alone(later.swap_remove(1)))
        } else {
            sql.push_str("COMMIT");
            self.runtime.block_on(send_and_commit(&self.client, later, &sql))
        };
        ended.map_err(|unfinished| match unfinished {
            Unfinished::Refused(sql, error) => self.failed(&sql, error),
            Unfinished::Commit(error) => {
                let answered = error.as_db_error().is_some();
                match self.failed("COMMIT", error) {
                    Error::Statement { source, .. } if answered && !self.ended => {
                        Error::Engine { source }
                    }
                    Error::Statement { source, .. } => Error::CommitUnknown { source },
                    other => other,
                }
            }
        })
    }

    pub(crate) fn rollback(&mut self) -> Result<()> {
        self.later.clear();
        self.kept_back.clear();
        if !std::mem::take(&mut self.in_transaction) {
            return Ok(());
        }
        if self.is_lost() {
            return Ok(());
        }
        self.runtime
            .block_on(self.client.batch_execute("ROLLBACK"))
            .map_err(|error| self.failed("ROLLBACK", error))
    }

    /// Whether the connection was seen to break.
    pub(crate) fn is_lost(&self) -> bool {
        self.ended || self.client.is_closed()
    }

    /// Notes whether an error ends the connection, and says what it means.
    fn failed(&mut self, sql: &str, error: tokio_postgres::Error) -> Error {
        let severity = error.as_db_error().and_then(|error| error.parsed_severity());
        self.ended |= matches!(severity, Some(Severity::Fatal | Severity::Panic));
        classify(sql, error)
    }

    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        let client = Arc::clone(&self.client);
        self.send(sql, async move { client.batch_execute(sql).await })
    }

    /// Waits for the answers of what was kept back.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if self.later.is_empty() { Ok(()) } else { self.send("", async { Ok(()) }) }
    }

    /// Sends what was kept back and then this, and waits for all the answers.
    fn send<T>(&mut self, sql: &str, then: impl Future<Output = Answer<T>>) -> Result<T> {
        let later = std::mem::take(&mut self.later);
        let kept_back = self.take_kept_back();
        self.unsent = false;
        let answer = async {
            // The first look at each sends it.
            let commands = control(&self.client, &kept_back);
            let (before, (commands, answer)) = join(send_all(later), join(commands, then)).await;
            before?;
            commands.and(answer).map_err(|error| (sql.to_owned(), error))
        };
        self.runtime.block_on(answer).map_err(|(sql, error)| self.failed(&sql, error))
    }

    /// Keeps a statement back.
    fn keep_back(&mut self, sql: &str, bound: Bound) {
        let commands = self.take_kept_back();
        if !commands.is_empty() {
            let client = Arc::clone(&self.client);
            let sent = async move { client.batch_execute(&commands).await };
            self.later.push((sql.to_owned(), Box::pin(sent)));
        }
        let client = Arc::clone(&self.client);
        let sent =
            async move { client.execute_raw(&bound.statement, bound.parameters()).await.map(drop) };
        self.later.push((sql.to_owned(), Box::pin(sent)));
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        self.statement(sql)?;
        if statement::has_rows(sql) {
            self.many_statement(sql)?;
        }
        Ok(())
    }

    pub(crate) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        let statement = self.statement(sql)?;
        self.execute_prepared(sql, &statement, values.iter().map(Parameter::One))
    }

    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        values: &[Value],
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        let statement = self.statement(sql)?;
        self.query_prepared(sql, &statement, values.iter().map(Parameter::One), visit)
    }

    pub(crate) fn execute_many(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<u64> {
        let mut count = 0;
        while let Some(bound) = self.next_chunk(sql, rows)? {
            count += self.execute_prepared(sql, &bound.statement, bound.parameters())?;
        }
        Ok(count)
    }

    /// As [`execute_many`](Self::execute_many), kept back.
    pub(crate) fn execute_many_later(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<()> {
        while let Some(bound) = self.next_chunk(sql, rows)? {
            self.keep_back(sql, bound);
        }
        Ok(())
    }

    /// The statement for as many of the rows as it takes at once.
    fn next_chunk(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<Option<Bound>> {
        let mut chunk: Vec<Vec<Value>> = rows.take(ROWS_MAX).collect();
        Ok(match chunk.len() {
            0 => None,
            1 => {
                let statement = self.statement(sql)?;
                let row = checked(chunk.remove(0))?;
                check_count(sql, &statement, row.len())?;
                let values = row.into_iter().map(|value| vec![value]).collect();
                Some(Bound { statement, values, whole: false })
            }
            _ => {
                let statement = self.many_statement(sql)?;
                let values = arrays(sql, &statement, chunk)?;
                Some(Bound { statement, values, whole: true })
            }
        })
    }

    pub(crate) fn query_many(
        &mut self,
        sql: &'static str,
        rows: Rows<'_>,
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        let mut wanted = true;
        let visit = &mut |row: &Row<'_>| {
            wanted = wanted && visit(row);
            wanted
        };
        while let Some(bound) = self.next_chunk(sql, rows)? {
            self.query_prepared(sql, &bound.statement, bound.parameters(), visit)?;
        }
        Ok(())
    }

    fn query_prepared<'a>(
        &mut self,
        sql: &str,
        statement: &Statement,
        parameters: impl ExactSizeIterator<Item = Parameter<'a>>,
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        check_count(sql, statement, parameters.len())?;
        let client = Arc::clone(&self.client);
        self.send(sql, async move {
            let mut rows = pin!(client.query_raw(statement, parameters).await?);
            let mut wanted = true;
            while let Some(row) = rows.next().await {
                let row = row?;
                // What comes after the last wanted row is read all the same: an error may hide there.
                wanted = wanted && visit(&Row(RowSource::Postgres(&row)));
            }
            Ok(())
        })
    }

    /// `INSERT … SELECT … FROM UNNEST`, one array for each column.
    pub(crate) fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<u64> {
        let mut count = 0;
        while let Some(bound) = self.next_insert(table, columns, rows)? {
            count += self.execute_prepared(table, &bound.statement, bound.parameters())?;
        }
        Ok(count)
    }

    /// As [`insert_many`](Self::insert_many), kept back.
    pub(crate) fn insert_many_later(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<()> {
        while let Some(bound) = self.next_insert(table, columns, rows)? {
            self.keep_back(table, bound);
        }
        Ok(())
    }

    fn next_insert(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<Option<Bound>> {
        let chunk: Vec<Vec<Value>> = rows.take(ROWS_MAX).collect();
        if chunk.is_empty() {
            return Ok(None);
        }
        for row in &chunk {
            Value::check(row)?;
        }
        // Lists cost the server more than a row.
        let whole = chunk.len() > 1;
        let (one, many) = self.insert_statements(table, columns)?;
        let statement = if whole { many } else { one };
        Ok(Some(Bound { statement, values: columns_of(chunk, columns.len()), whole }))
    }

    fn execute_prepared<'a>(
        &mut self,
        sql: &str,
        statement: &Statement,
        parameters: impl ExactSizeIterator<Item = Parameter<'a>>,
    ) -> Result<u64> {
        check_count(sql, statement, parameters.len())?;
        let client = Arc::clone(&self.client);
        self.send(sql, async move { client.execute_raw(statement, parameters).await })
    }

    fn take_kept_back(&mut self) -> String {
        if !self.kept_back.is_empty() {
            self.in_transaction = true;
        }
        std::mem::take(&mut self.kept_back)
    }

    fn statement(&mut self, sql: &'static str) -> Result<Statement> {
        let key = statement::key(sql);
        if let Some(statement) = self.statements.get(&key) {
            return Ok(statement.clone());
        }
        let statement = if statement::has_rows(sql) {
            self.prepare_text(&statement::for_postgres(sql))?
        } else {
            self.prepare_text(sql)?
        };
        self.statements.insert(key, statement.clone());
        Ok(statement)
    }

    /// The statement for many rows; the one for a single row tells its types.
    fn many_statement(&mut self, sql: &'static str) -> Result<Statement> {
        let key = statement::key(sql);
        if let Some(statement) = self.manies.get(&key) {
            return Ok(statement.clone());
        }
        let probe = self.statement(sql)?;
        let types = probe.params().iter().map(|kind| base(kind).name());
        let statement = self.prepare_text(&statement::for_postgres_rows(sql, types))?;
        self.manies.insert(key, statement.clone());
        Ok(statement)
    }

    /// The statements for one row and for many; the one for a single row tells the types of the columns.
    fn insert_statements(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
    ) -> Result<(Statement, Statement)> {
        let key = (statement::key(table), (columns.as_ptr().addr(), columns.len()));
        if let Some(statements) = self.inserts.get(&key) {
            return Ok(statements.clone());
        }
        let names = columns.join(", ");
        let places: Vec<_> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        let plain = format!("INSERT INTO {table} ({names}) VALUES ({})", places.join(", "));
        let one = self.prepare_text(&plain)?;
        let arrays: Vec<_> = (1..)
            .zip(one.params())
            .map(|(n, kind)| format!("${n}::{}[]", base(kind).name()))
            .collect();
        let many =
            format!("INSERT INTO {table} ({names}) SELECT * FROM UNNEST({})", arrays.join(", "));
        let many = self.prepare_text(&many)?;
        self.inserts.insert(key, (one.clone(), many.clone()));
        Ok((one, many))
    }

    /// Prepares in the state the transaction is in: the statement may use a table it just created.
    fn prepare_text(&mut self, sql: &str) -> Result<Statement> {
        let client = Arc::clone(&self.client);
        self.send(sql, async move { client.prepare(sql).await })
    }
}

async fn connect(server: &Server, settings: &str) -> Result<Client> {
    let failed = |error| Error::Open { database: server.describe(), source: Arc::new(error) };
    let (client, connection) = server.config.connect(NoTls).await.map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "connection to the database lost");
        }
    });
    let settings = format!("SET search_path TO {}; {settings}", server.schema);
    client.batch_execute(&settings).await.map_err(failed)?;
    Ok(client)
}

async fn control(client: &Client, sql: &str) -> Result<(), tokio_postgres::Error> {
    if sql.is_empty() { Ok(()) } else { client.batch_execute(sql).await }
}

fn base(kind: &tokio_postgres::types::Type) -> &tokio_postgres::types::Type {
    match kind.kind() {
        tokio_postgres::types::Kind::Domain(inner) => base(inner),
        _ => kind,
    }
}

fn checked(values: Vec<Value>) -> Result<Vec<Value>> {
    Value::check(&values).map(|()| values)
}

/// The rows as one list for each parameter.
fn arrays(sql: &str, statement: &Statement, rows: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>> {
    for row in &rows {
        check_count(sql, statement, row.len())?;
        Value::check(row)?;
    }
    Ok(columns_of(rows, statement.params().len()))
}

/// The driver panics if the count is wrong.
fn check_count(sql: &str, statement: &Statement, given: usize) -> Result<()> {
    let wanted = statement.params().len();
    if wanted == given {
        return Ok(());
    }
    let reason = format!("{given} parameters given, {wanted} wanted");
    Err(Error::Statement {
        sql: sql.to_owned(),
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(reason)),
    })
}

/// Whether a value does not fit its type, or a limit of the engine.
pub(crate) fn is_refusal(cause: &Cause) -> bool {
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    // SQLSTATE: data exceptions, and program limits exceeded.
    code.is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("54"))
}

fn classify(sql: &str, error: tokio_postgres::Error) -> Error {
    let code = error.code().cloned();
    let source: Cause = Arc::new(error);
    let sql = sql.to_owned();
    let constraint = |kind, sql, source| Error::Constraint { kind, sql, source };
    match code {
        Some(SqlState::UNIQUE_VIOLATION) => constraint(Constraint::Unique, sql, source),
        Some(SqlState::FOREIGN_KEY_VIOLATION) => constraint(Constraint::ForeignKey, sql, source),
        Some(SqlState::NOT_NULL_VIOLATION) => constraint(Constraint::NotNull, sql, source),
        Some(SqlState::CHECK_VIOLATION) => constraint(Constraint::Check, sql, source),
        Some(SqlState::DISK_FULL) => Error::DiskFull,
        // Too many other transactions hold what this one wants to hold, too: predicate locks, mostly.
        Some(
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::OUT_OF_MEMORY,
        ) => Error::Conflict { attempts: 1, source },
        _ => Error::Statement { sql, source },
    }
}
