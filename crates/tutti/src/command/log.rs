//! `debug-log`: the log of a model, its end or as it grows.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use tutti_charm::name::split_unit;
use tutti_model::api::{LogEntry, LogPage};

use crate::arguments::{ModelArgument, OutputArguments, value};
use crate::context::{Context, Model, query};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, json, style};
use crate::status::time::Clock;

/// Lines shown before the log is followed.
const BACKLOG: u64 = 10;

/// How long one look at a quiet log may take.
const LOOK: Duration = Duration::from_secs(25);

/// The levels, the chattiest first.
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

#[derive(Args, Debug)]
pub(crate) struct DebugLog {
    #[command(flatten)]
    model: ModelArgument,
    /// Show at most this many of the latest lines and end; 0: all
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Show this many of the latest lines before following
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = BACKLOG)]
    lines: u64,
    /// Show everything from the beginning
    #[arg(long)]
    replay: bool,
    /// Follow the log (the default on a terminal)
    #[arg(long)]
    tail: bool,
    /// End after the present lines
    #[arg(long, conflicts_with = "tail")]
    no_tail: bool,
    /// Lowest level shown: TRACE, DEBUG, INFO, WARNING or ERROR
    #[arg(short, long, value_name = "LEVEL", default_value = "", hide_default_value = true)]
    level: String,
    /// Only these entities: a unit, machine-0, unit-db-*, an application; may be repeated
    #[arg(short, long, value_name = "ENTITY")]
    include: Vec<String>,
    /// Not these entities
    #[arg(short = 'x', long, value_name = "ENTITY")]
    exclude: Vec<String>,
    /// Only these loggers and those below them
    #[arg(long, value_name = "LOGGER")]
    include_module: Vec<String>,
    /// Not these loggers and those below them
    #[arg(long, value_name = "LOGGER")]
    exclude_module: Vec<String>,
    /// Accepted; there are no labels
    #[arg(hide = true, long, value_name = "LABEL")]
    include_label: Vec<String>,
    /// Accepted; there are no labels
    #[arg(hide = true, long, value_name = "LABEL")]
    exclude_label: Vec<String>,
    /// Accepted; lines have no source location
    #[arg(hide = true, long)]
    location: bool,
    /// Show the date
    #[arg(long)]
    date: bool,
    /// Show milliseconds
    #[arg(long)]
    ms: bool,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    /// Colours even when nobody watches
    #[arg(long)]
    color: bool,
    /// Accepted
    #[arg(hide = true, long)]
    retry: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl DebugLog {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let level = level(&self.level)?;
        let filter = Filter::new(&self);
        let follow =
            !self.no_tail && self.limit.is_none() && (self.tail || std::io::stdout().is_terminal());
        let wanted = match self.limit {
            Some(limit) => limit,
            None if self.replay => 0,
            None => self.lines,
        };
        let model = context.model(&self.model).await?;
        let after = self.present(&model, level, &filter, wanted as usize).await?;
        if !follow {
            return Ok(());
        }
        tokio::select! {
            ended = self.follow(&model, level, &filter, after) => ended,
            () = output::reader_gone() => Err(Failure::BrokenPipe),
        }
    }

    /// Shows what comes, until it cannot.
    async fn follow(&self, model: &Model, level: &str, filter: &Filter, mut after: i64) -> Outcome {
        loop {
            let next = query([
                ("limit", "1000".into()),
                ("after", after.to_string()),
                ("level", level.into()),
                ("follow_ms", LOOK.as_millis().to_string()),
            ]);
            let page: LogPage = model.get(&format!("/log{next}")).await?;
            if page.lines.is_empty() && page.after == after {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            after = page.after;
            self.print(page.lines.iter().filter(|line| filter.keeps(line)))?;
        }
    }

    /// Shows what is there: the last `wanted` of the lines the filter keeps, or with 0 all of them.
    /// Answers where the log goes on.
    async fn present(
        &self,
        model: &Model,
        level: &str,
        filter: &Filter,
        wanted: usize,
    ) -> Outcome<i64> {
        // Lines the filter drops must not count, so with one everything is read.
        let everything = wanted == 0 || !filter.is_open();
        let (limit, mut after) =
            if everything { (0, "0".to_owned()) } else { (wanted, String::new()) };
        let mut kept: VecDeque<LogEntry> = VecDeque::new();
        loop {
            let limit = ("limit", limit.to_string());
            let asked = query([limit, ("level", level.into()), ("after", after)]);
            let page: LogPage = model.get(&format!("/log{asked}")).await?;
            kept.extend(page.lines.into_iter().filter(|line| filter.keeps(line)));
            if wanted == 0 {
                self.print(kept.drain(..).collect::<Vec<_>>().iter())?;
            } else {
                kept.drain(..kept.len().saturating_sub(wanted));
            }
            if !(page.more && everything) {
                self.print(kept.iter())?;
                return Ok(page.after);
            }
            after = page.after.to_string();
        }
    }

    fn print<'a>(&self, lines: impl Iterator<Item = &'a LogEntry>) -> Outcome {
        let clock = Clock::new(self.utc);
        let mut text = String::new();
        for line in lines {
            match self.output.format {
                Some(Format::Json) => text.push_str(&json::line(line)?),
                _ => self.line(&clock, line, &mut text),
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        if self.color {
            return output::write_bytes(text.as_bytes());
        }
        output::write(&text)
    }

    /// `unit-db-0: 10:00:09 INFO unit.db/0.juju-log hello`
    fn line(&self, clock: &Clock, line: &LogEntry, text: &mut String) {
        let format = match (self.date, self.ms) {
            (false, false) => "%H:%M:%S",
            (false, true) => "%H:%M:%S.%3f",
            (true, false) => "%Y-%m-%d %H:%M:%S",
            (true, true) => "%Y-%m-%d %H:%M:%S.%3f",
        };
        let style = match line.level.as_str() {
            "ERROR" | "CRITICAL" => style::BAD,
            "WARNING" => style::ATTENTION,
            "INFO" => style::GOOD,
            _ => style::NAME,
        };
        let time = clock.format(line.time, format);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: {time} {style}{}{style:#} {} {}",
            line.entity, line.level, line.logger, line.message
        );
    }
}

/// A level as the log writes it.
fn level(text: &str) -> Outcome<&'static str> {
    if text.is_empty() {
        return Ok("");
    }
    let wanted = text.to_uppercase();
    let found = LEVELS.iter().find(|level| **level == wanted);
    found.copied().ok_or_else(|| {
        Failure::usage(format!(
            "level value {text:?} is not one of \"TRACE\", \"DEBUG\", \"INFO\", \"WARNING\", \"ERROR\""
        ))
    })
}

/// Which lines are shown.
#[derive(Debug)]
struct Filter {
    include: Vec<String>,
    exclude: Vec<String>,
    include_module: Vec<String>,
    exclude_module: Vec<String>,
}

impl Filter {
    fn new(command: &DebugLog) -> Self {
        let tags = |names: &[String]| value::list(names).iter().map(|name| tag(name)).collect();
        Self {
            include: tags(&command.include),
            exclude: tags(&command.exclude),
            include_module: value::list(&command.include_module),
            exclude_module: value::list(&command.exclude_module),
        }
    }

    fn is_open(&self) -> bool {
        [&self.include, &self.exclude, &self.include_module, &self.exclude_module]
            .iter()
            .all(|list| list.is_empty())
    }

    fn keeps(&self, line: &LogEntry) -> bool {
        let entity = |pattern: &String| matches_entity(pattern, &line.entity);
        let module = |name: &String| is_below(&line.logger, name);
        let kept = self.include.is_empty() || self.include.iter().any(entity);
        let kept_module = self.include_module.is_empty() || self.include_module.iter().any(module);
        kept && kept_module
            && !self.exclude.iter().any(entity)
            && !self.exclude_module.iter().any(module)
    }
}

/// `db/0` → `unit-db-0`, `0` → `machine-0`, `db` → all its units.
fn tag(name: &str) -> String {
    if split_unit(name).is_some() {
        return format!("unit-{}", name.replace('/', "-"));
    }
    let first = name.split('-').next().unwrap_or_default();
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("machine-{name}")
    } else if ["unit", "machine", "controller", "application"].contains(&first)
        || name.contains('*')
    {
        name.to_owned()
    } else {
        format!("unit-{name}-*")
    }
}

/// A pattern may end in `*`. `unit-db-*` are the units of `db`, not those of `db-backup`.
fn matches_entity(pattern: &str, entity: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == entity,
        Some(start) => match entity.strip_prefix(start) {
            Some(rest) if start.len() > 5 && start.starts_with("unit-") && start.ends_with('-') => {
                rest.bytes().all(|byte| byte.is_ascii_digit())
            }
            rest => rest.is_some(),
        },
    }
}

fn is_below(logger: &str, name: &str) -> bool {
    logger.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_match() {
        for (name, entity, kept) in [
            ("db/0", "unit-db-0", true),
            ("db/0", "unit-db-01", false),
            ("unit-db-0", "unit-db-0", true),
            ("db", "unit-db-12", true),
            ("db", "unit-db-backup-0", false),
            ("0", "machine-0", true),
            ("unit-*", "unit-x-1", true),
            ("machine-0", "machine-1", false),
        ] {
            assert_eq!(matches_entity(&tag(name), entity), kept, "{name} {entity}");
        }
    }

    #[test]
    fn loggers_match_with_those_below() {
        assert!(is_below("unit.db/0.juju-log", "unit"));
        assert!(is_below("unit.db/0.juju-log", "unit.db/0"));
        assert!(!is_below("units", "unit"));
    }

    #[test]
    fn levels_are_words() {
        assert_eq!(level("warning").unwrap(), "WARNING");
        assert_eq!(level("").unwrap(), "");
        assert_eq!(level("loud").unwrap_err().code(), 2);
    }
}
