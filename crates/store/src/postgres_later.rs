//! Statements whose answer nobody waits for: kept back, and sent to PostgreSQL together with what comes next.

use std::pin::pin;

use futures_util::{
    FutureExt,
    future::{BoxFuture, join, maybe_done, try_join_all},
};
use tokio_postgres::{
    Client, Statement,
    error::{DbError, Severity},
};

use crate::{Value, postgres_value::Parameter};

/// A statement to be sent: its text, and its answer.
pub(crate) type Later = (String, BoxFuture<'static, Answer<()>>);

pub(crate) type Answer<T> = Result<T, tokio_postgres::Error>;

/// A statement and what is bound to it.
pub(crate) struct Bound {
    pub(crate) statement: Statement,
    /// One list for each parameter.
    pub(crate) values: Vec<Vec<Value>>,
    /// A parameter takes its list whole, not its only value.
    pub(crate) whole: bool,
}

impl Bound {
    pub(crate) fn parameters(&self) -> impl ExactSizeIterator<Item = Parameter<'_>> {
        self.values.iter().map(|values| match self.whole {
            true => Parameter::Many(values),
            false => Parameter::One(&values[0]),
        })
    }
}

/// Why a transaction was not committed, as far as is known.
pub(crate) enum Unfinished {
    /// A statement that was kept back failed: nothing of the transaction is kept.
    Refused(String, tokio_postgres::Error),
    /// What became of the commit.
    Commit(tokio_postgres::Error),
}

/// Sends statements, one behind the other, and waits for their answers; the first error is what made the others fail.
pub(crate) async fn send_all(later: Vec<Later>) -> Result<(), (String, tokio_postgres::Error)> {
    let answers = later.into_iter().map(|(sql, answer)| async {
        match answer.await {
            Ok(()) => Ok(()),
            Err(error) => Err((sql, error)),
        }
    });
    try_join_all(answers).await.map(drop)
}

/// Sends a statement that is a transaction by itself: what answers it answers the commit, too.
pub(crate) async fn send_alone((sql, mut answer): Later) -> Result<(), Unfinished> {
    // What cannot even be sent is answered at once.
    if let Some(answer) = (&mut answer).now_or_never() {
        return answer.map_err(|error| Unfinished::Refused(sql, error));
    }
    answer.await.map_err(|error| {
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        // Otherwise the connection ended, and nobody knows whether that was before or after the commit.
        let refused = severity == Some(Severity::Error);
        if refused { Unfinished::Refused(sql, error) } else { Unfinished::Commit(error) }
    })
}

/// As [`send_all`], with a commit behind them.
pub(crate) async fn send_and_commit(
    client: &Client,
    later: Vec<Later>,
    commit: &str,
) -> Result<(), Unfinished> {
    let mut before = pin!(maybe_done(send_all(later)));
    // What cannot even be sent must not be missing from what is committed.
    before.as_mut().now_or_never();
    let unsent = matches!(before.as_mut().output_mut(), Some(Err(_)));
    let commit = async { if unsent { Ok(()) } else { client.batch_execute(commit).await } };
    let ((), committed) = join(before.as_mut(), commit).await;
    match before.as_mut().take_output() {
        // The server takes a commit for a rollback after a statement that it refused. If it did not answer at all, nobody
        // knows whether it did both.
        Some(Err((sql, error))) if unsent || error.as_db_error().is_some() => {
            Err(Unfinished::Refused(sql, error))
        }
        Some(Err((_, error))) => Err(Unfinished::Commit(error)),
        _ => committed.map_err(Unfinished::Commit),
    }
}
