//! `stats`: how far every listener is, and what waits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tutti_bus::StreamInfo;

use super::Action;
use super::connection::Session;
use crate::arguments::{GoDuration, OutputArguments};
use crate::command::serve::Signals;
use crate::failure::{Failure, Outcome};
use crate::output::measure::duration;
use crate::output::table::{Cell, Table};
use crate::output::{self, Format, style};
use crate::wildcard::is_like;

#[derive(Args, Debug)]
pub(super) struct Stats {
    /// Of these APIs; * and ? are wildcards
    #[arg(value_name = "API", default_value = "*", hide_default_value = true)]
    api: String,
    /// Also a line for each process
    #[arg(short, long)]
    consumers: bool,
    /// Look again every so often, and show rates
    #[arg(short, long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "2s")]
    watch: Option<GoDuration>,
    #[command(flatten)]
    output: OutputArguments,
}

/// How the bus is doing.
#[derive(Debug, Serialize)]
struct Look {
    streams: Vec<StreamInfo>,
    /// Calls that wait, by API.
    calls_waiting: BTreeMap<String, u64>,
    /// Events that were given up, by group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dead_letters: BTreeMap<String, u64>,
}

impl Action for Stats {
    async fn act(self, session: &Session) -> Outcome {
        let Some(GoDuration(pause)) = self.watch else {
            let look = self.look(session).await?;
            return self.print(&look, None);
        };
        let mut signals = Signals::listen()?;
        tokio::select! {
            ended = self.watch(session, pause) => ended,
            _ = signals.first() => Ok(()),
            () = output::reader_gone() => Err(Failure::BrokenPipe),
        }
    }
}

impl Stats {
    async fn watch(&self, session: &Session, pause: Duration) -> Outcome {
        let mut before: Option<(Instant, Look)> = None;
        loop {
            let now = Instant::now();
            let look = self.look(session).await?;
            let then = before.as_ref().map(|(then, look)| (now - *then, look));
            self.print(&look, then)?;
            before = Some((now, look));
            tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
        }
    }

    async fn look(&self, session: &Session) -> Outcome<Look> {
        let refused = |error| session.refusal(error);
        let is_wanted = |api: &str| is_like(&self.api, api);
        let mut streams = Vec::new();
        for stream in session.bus.streams().await.map_err(refused)? {
            if is_wanted(&stream.api) {
                streams.extend(stream.info().await.map_err(refused)?);
            }
        }
        let mut calls_waiting = BTreeMap::new();
        for api in session.schemas().await?.iter().filter(|api| is_wanted(api.name())) {
            if api.rpcs().next().is_some() {
                let waiting = session.bus.calls_waiting(api.name()).await.map_err(refused)?;
                calls_waiting.insert(api.name().to_owned(), waiting);
            }
        }
        Ok(Look { streams, calls_waiting, dead_letters: dead_letters(session).await? })
    }

    /// Prints what was seen; with an earlier look also what came between.
    fn print(&self, look: &Look, before: Option<(Duration, &Look)>) -> Outcome {
        self.output.print(Format::Tabular, look, || {
            let mut text = self.streams(look, before).render();
            if !look.calls_waiting.is_empty() {
                let mut table = Table::new(["API", "Calls waiting"]).right(1);
                for (api, waiting) in &look.calls_waiting {
                    table.row([api.as_str().into(), waited(*waiting)]);
                }
                text = format!("{text}\n{}", table.render());
            }
            if !look.dead_letters.is_empty() {
                let mut table = Table::new(["Group", "Dead letters"]).right(1);
                for (group, count) in &look.dead_letters {
                    table.row([group.as_str().into(), waited(*count)]);
                }
                text = format!("{text}\n{}", table.render());
            }
            if self.watch.is_some() { format!("{text}\n") } else { text }
        })
    }

    fn streams(&self, look: &Look, before: Option<(Duration, &Look)>) -> Table {
        let headings =
            ["Events", "Kept", "In/s", "Group", "Lag", "Pending", "Out/s", "Consumer", "Idle"];
        let mut table = Table::new(headings);
        for column in [1, 2, 4, 5, 6, 8] {
            table = table.right(column);
        }
        for stream in &look.streams {
            let earlier = before.and_then(|(took, look)| {
                Some((took, look.streams.iter().find(|it| it.stream == stream.stream)?))
            });
            let name = format!("{}.{}", stream.api, stream.event);
            let fired = earlier.map(|(took, then)| rate(then.fired, stream.fired, took));
            let mut first = [name, stream.length.to_string(), fired.unwrap_or_default()];
            if stream.groups.is_empty() {
                let [name, length, fired] = std::mem::take(&mut first);
                table.row([name.into(), length.into(), fired.into()]);
            }
            for group in &stream.groups {
                let [name, length, fired] = std::mem::take(&mut first);
                let then = earlier.and_then(|(took, then)| {
                    Some((took, then.groups.iter().find(|it| it.group == group.group)?))
                });
                let done =
                    |read: Option<u64>, pending| read.map(|read| read.saturating_sub(pending));
                let handled = then.map(|(took, then)| {
                    rate(done(then.read, then.pending), done(group.read, group.pending), took)
                });
                let idle = group.consumers.iter().map(|it| it.idle_ms).min();
                table.row([
                    name.into(),
                    length.into(),
                    fired.into(),
                    group.group.as_str().into(),
                    group.lag.map_or_else(|| "?".into(), waited),
                    waited(group.pending),
                    handled.unwrap_or_default().into(),
                    format!("{} of them", group.consumers.len()).into(),
                    idle.map_or_else(String::new, |idle| duration(idle.into())).into(),
                ]);
                for one in group.consumers.iter().filter(|_| self.consumers) {
                    let name = format!("  {}", one.consumer);
                    let empty = Cell::default;
                    table.row([
                        empty(),
                        empty(),
                        empty(),
                        empty(),
                        empty(),
                        waited(one.pending),
                        empty(),
                        name.into(),
                        duration(one.idle_ms.into()).into(),
                    ]);
                }
            }
        }
        table
    }
}

async fn dead_letters(session: &Session) -> Outcome<BTreeMap<String, u64>> {
    let refused = |error| session.refusal(error);
    let mut counts = BTreeMap::new();
    for group in session.bus.dead_letter_groups().await.map_err(refused)? {
        let count = session.bus.dead_letter_count(&group).await.map_err(refused)?;
        if count > 0 {
            counts.insert(group, count);
        }
    }
    Ok(counts)
}

/// What should not be there is coloured.
fn waited(count: u64) -> Cell {
    let colour = if count == 0 { anstyle::Style::new() } else { style::ATTENTION };
    Cell::styled(count.to_string(), colour)
}

fn rate(before: Option<u64>, now: Option<u64>, took: Duration) -> String {
    match (before, now) {
        (Some(before), Some(now)) => {
            format!("{:.1}", now.saturating_sub(before) as f64 / took.as_secs_f64().max(0.001))
        }
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_by_the_second() {
        assert_eq!(rate(Some(10), Some(25), Duration::from_secs(2)), "7.5");
        assert_eq!(rate(None, Some(1), Duration::from_secs(1)), "?");
    }
}
