//! `listen`: events as they are fired, watched from outside or read as a listener of one's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::Value;
use tokio::sync::mpsc;
use tutti_bus::{Context as EventContext, Failure as HandlerFailure, Following, Record, Start};

use super::Action;
use super::connection::Session;
use super::event::{EventFormat, Since, streams};
use super::name::{Pattern, find_api};
use crate::command::serve::Signals;
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Args, Debug)]
pub(super) struct Listen {
    /// Which events: API.EVENT, API.*, or with wildcards in the API as well
    #[arg(value_name = "API.EVENT", required = true)]
    patterns: Vec<Pattern>,
    /// Be a listener of this name: its group (SERVICE-NAME) gets every event once, acknowledges it when it is
    /// printed, and goes on where it was the next time
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Begin there: 0 (all that are kept), $ (new ones), an id, a time, or a duration such as 10m.
    /// A listener that has run before goes on where it was
    #[arg(long, value_name = "WHEN", default_value = "$")]
    since: Since,
    /// End after so many events
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Form of the events
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: EventFormat,
}

impl Action for Listen {
    async fn act(self, session: &Session) -> Outcome {
        self.tell_of_unknown(session).await?;
        let mut signals = Signals::listen()?;
        tokio::select! {
            ended = self.listen(session) => ended,
            _ = signals.first() => Ok(()),
            () = output::reader_gone() => Err(Failure::BrokenPipe),
        }
    }
}

impl Listen {
    /// An API may come later; a slip should not go unnoticed.
    async fn tell_of_unknown(&self, session: &Session) -> Outcome {
        let schemas = session.schemas().await?;
        for pattern in self.patterns.iter().filter(|pattern| pattern.is_one_api()) {
            if let Err(failure) = find_api(&schemas, &pattern.api, session) {
                let what = failure.message().unwrap_or_default();
                session.tell(format!("WARNING {what}; waiting for its events"));
            }
        }
        Ok(())
    }

    async fn listen(&self, session: &Session) -> Outcome {
        match &self.listener {
            None => self.observe(session).await,
            Some(listener) => self.handle(session, listener).await,
        }
    }

    async fn observe(&self, session: &Session) -> Outcome {
        let starts = streams(session, &self.patterns).await?;
        let starts = starts.into_iter().map(|stream| (stream, self.since.start())).collect();
        let mut events = follow(session, starts).await?;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0
            && let Some(batch) = next(session, &mut events).await
        {
            for record in batch {
                if left > 0 && self.patterns.iter().any(|it| it.is_for(&record.api, &record.event))
                {
                    output::write(&self.format.text(&record)?)?;
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    /// Each event is acknowledged when its line is written. What comes after the last one wanted stays with the group.
    async fn handle(&self, session: &Session, listener: &str) -> Outcome {
        if let Some(pattern) = self.patterns.iter().find(|pattern| !is_exact(pattern)) {
            return Err(Failure::usage(format!(
                "a listener hears API.EVENT or API.*, not {}.{}: wildcards elsewhere work without --listener",
                pattern.api, pattern.event
            )));
        }
        let wanted = self.patterns.iter().map(|it| (it.api.clone(), it.event.clone())).collect();
        let (sender, mut ended) = mpsc::channel(1);
        let left = Arc::new(AtomicU64::new(self.count.unwrap_or(u64::MAX)));
        let format = self.format;
        let handler = move |parameters: Value, context: EventContext| {
            let (left, sender) = (left.clone(), sender.clone());
            async move { handle_one(parameters, &context, format, &left, &sender) }
        };
        let mut listen = session.bus.listen_for(listener, wanted, handler).from(self.since.start());
        if self.count.is_some() {
            listen = listen.batch_size(1);
        }
        listen.await.map_err(|error| session.refusal(error))?;
        ended.recv().await.unwrap_or(Ok(()))
    }
}

fn is_exact(pattern: &Pattern) -> bool {
    pattern.is_one_api() && (pattern.event == "*" || !pattern.event.contains(['*', '?']))
}

/// Prints one event; the outcome goes to whoever waits for the end.
fn handle_one(
    parameters: Value,
    context: &EventContext,
    format: EventFormat,
    left: &AtomicU64,
    ended: &mpsc::Sender<Outcome>,
) -> Result<(), HandlerFailure> {
    let before =
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let Ok(before) = before else {
        return Err(HandlerFailure::message("there is no wish for more events"));
    };
    let record = Record {
        native_id: context.native_id().unwrap_or_default().to_owned(),
        id: context.id().to_owned(),
        api: context.api().to_owned(),
        event: context.name().to_owned(),
        version: context.version(),
        parameters,
        sender: context.sender().map(str::to_owned),
        trace: context.trace().map(str::to_owned),
        problem: None,
    };
    let written = format.text(&record).and_then(|text| output::write(&text));
    let outcome = written.as_ref().map(drop).map_err(|failure| {
        HandlerFailure::message(failure.message().unwrap_or_else(|| "nobody reads".to_owned()))
    });
    if written.is_err() || before == 1 {
        // The first end is the one that counts.
        let _ = ended.try_send(written);
    }
    outcome
}

/// Follows streams.
pub(super) async fn follow(
    session: &Session,
    starts: Vec<(tutti_bus::EventStream, Start)>,
) -> Outcome<Following> {
    session.bus.follow(starts).await.map_err(|error| session.refusal(error))
}

/// The next events; a bus that went away is waited for.
pub(super) async fn next(session: &Session, events: &mut Following) -> Option<Vec<Record>> {
    let mut is_away = false;
    loop {
        match events.next().await? {
            Ok(batch) => return Some(batch),
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    let what = session.refusal(error).message().unwrap_or_default();
                    session.tell(format!("WARNING {what}; waiting for it"));
                }
            }
        }
    }
}
