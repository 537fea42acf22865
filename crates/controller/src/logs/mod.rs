//! Logs: what units, their hooks and the controller say, in one order for the whole controller.
//!
//! Lines arrive in batches ([`append`]) and are read in pages ([`page`]); a reader that follows
//! waits for [`BELL`]. Old lines go when there are too many or they are too old, a few at a time
//! while new ones arrive.

mod api;
mod sql;

use tutti_model::agent::LogLine;
use tutti_model::api::{LogEntry, LogPage};
use tutti_store::{Params, ToValue, Tx};

use crate::{Error, clock, sequence};

pub(crate) use api::routes;
pub(crate) use sql::STATEMENTS;

/// Rings when lines were added.
pub(crate) const BELL: &str = "log";

/// Lines kept of one model.
const KEPT_LINES: i64 = 100_000;

/// How long lines are kept, microseconds: 14 days.
const KEPT_FOR: i64 = 14 * 24 * 3600 * 1_000_000;

/// Old lines are looked for once per so many new ones.
const PRUNE_EVERY: i64 = 4096;

/// The longest line kept, bytes; ops splits messages at half of it.
const LONGEST: usize = 256 * 1024;

/// The most lines one page holds: all that are kept, in between two looks for old ones.
const PAGE: u32 = 110_000;

/// The most text one page holds, bytes; a reader goes on where the page ends.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// What a line costs besides its text, bytes.
const LINE_BYTES: usize = 128;

/// Which lines a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// At most so many; 0 = as many as a page holds.
    pub(crate) limit: u32,
    /// Only lines after this position; none: the newest ones.
    pub(crate) after: Option<i64>,
    /// Only lines of at least this level; empty = all.
    pub(crate) level: String,
    /// Only lines of this entity, `unit-db-0`; empty = all.
    pub(crate) entity: String,
}

/// The name a unit's lines are kept under, `unit-db-0`.
pub(crate) fn unit_entity(unit: &str) -> String {
    format!("unit-{}", unit.replace('/', "-"))
}

/// Adds lines, oldest first.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    model: &str,
    entity: &str,
    lines: &[LogLine],
) -> Result<(), Error> {
    let Ok(count @ 1..) = i64::try_from(lines.len()) else { return Ok(()) };
    let last = sequence::next(tx, "log", count)?;
    let first = last - count + 1;
    let rows = lines.iter().zip(first..).map(|(line, number)| {
        vec![
            number.to_value(),
            model.to_value(),
            line.time.to_value(),
            entity.to_value(),
            printable(&line.level).to_value(),
            printable(&line.logger).to_value(),
            printable(&line.message).to_value(),
        ]
    });
    tx.insert_many("log", sql::COLUMNS, rows)?;
    if last / PRUNE_EVERY != (first - 1) / PRUNE_EVERY {
        tx.exec(sql::PRUNE, (model, KEPT_LINES, clock::now() - KEPT_FOR))?;
    }
    tx.ring(BELL);
    Ok(())
}

/// One page, oldest first.
pub(crate) fn page(tx: &mut Tx<'_>, model: &str, filter: &Filter) -> Result<LogPage, Error> {
    let limit = if filter.limit == 0 { PAGE } else { filter.limit.min(PAGE) };
    let (entity, level) = (filter.entity.as_str(), rank(&filter.level));
    let (rows, more) = match filter.after {
        Some(after) => within_bytes(tx, sql::AFTER, (model, entity, level, limit, after))?,
        None => {
            let (mut rows, more) = within_bytes(tx, sql::NEWEST, (model, entity, level, limit))?;
            rows.reverse();
            (rows, more)
        }
    };
    let after = rows.last().map(|line| line.sequence).or(filter.after).unwrap_or_default();
    Ok(LogPage { lines: rows.into_iter().map(entry).collect(), after, more })
}

/// The first of the rows, as many as [`PAGE_BYTES`] hold and one at least; and whether there are
/// more.
fn within_bytes(
    tx: &mut Tx<'_>,
    sql: &'static str,
    params: impl Params,
) -> Result<(Vec<sql::Line>, bool), Error> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let read = tx.each(sql, params, |line: sql::Line| {
        bytes += LINE_BYTES + line.entity.len() + line.logger.len() + line.message.len();
        if bytes > PAGE_BYTES && !rows.is_empty() {
            return Err(Full::Page);
        }
        rows.push(line);
        Ok(())
    });
    match read {
        Ok(()) => Ok((rows, false)),
        Err(Full::Page) => Ok((rows, true)),
        Err(Full::Store(error)) => Err(error.into()),
    }
}

/// Why reading rows ended early.
enum Full {
    Page,
    Store(tutti_store::Error),
}

impl From<tutti_store::Error> for Full {
    fn from(error: tutti_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Forgets a model's lines.
pub(crate) fn remove_all_of_model(tx: &mut Tx<'_>, model: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE_ALL, (model,))?;
    Ok(())
}

/// Text from outside as a column can hold it: without NUL, which PostgreSQL refuses, and bounded.
pub(crate) fn printable(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}

fn entry(line: sql::Line) -> LogEntry {
    LogEntry {
        sequence: line.sequence,
        time: line.time,
        entity: line.entity,
        level: line.level,
        logger: line.logger,
        message: line.message,
    }
}

/// How severe a level is; the statements rank stored levels alike.
fn rank(level: &str) -> i64 {
    match level.to_ascii_uppercase().as_str() {
        "DEBUG" => 1,
        "INFO" => 2,
        "WARNING" | "WARN" => 3,
        "ERROR" => 4,
        "CRITICAL" => 5,
        _ => 0,
    }
}
