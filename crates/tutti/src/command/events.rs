//! `events`: what happens in models, as it was announced and as it goes on.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tutti_client::{Client, Event};

use super::answer::{Away, Pauses};
use super::flow::open;
use crate::arguments::{ModelArgument, OutputArguments};
use crate::context::{Context, query};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, json, style, unknown_form};

#[derive(Args, Debug)]
pub(crate) struct Events {
    #[command(flatten)]
    model: ModelArgument,
    /// Of all models
    #[arg(long)]
    all_models: bool,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// Only what came after the event of this number; without it, all that is kept, or with --follow
    /// only what is new
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Only topics that begin like this: tutti.unit, flow.ended, …
    #[arg(long, value_name = "TOPIC", default_value = "", hide_default_value = true)]
    topic: String,
    #[command(flatten)]
    output: OutputArguments,
}

/// An event as it is printed.
#[derive(Debug, Serialize)]
struct Printed {
    number: i64,
    topic: String,
    event: Value,
}

impl Events {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self.output.form(Format::Tabular) {
            Format::Json | Format::Tabular => {}
            form => return Err(unknown_form(form)),
        }
        let (client, model) = open(context, &self.model, self.all_models).await?;
        tokio::select! {
            ended = self.print(&client, &model) => ended,
            () = output::reader_gone() => Err(Failure::BrokenPipe),
        }
    }

    /// Prints events, with `--follow` for ever.
    async fn print(&self, client: &Client, model: &str) -> Outcome {
        let (mut after, mut pauses) = (self.after, Pauses::new());
        let (mut away, mut has_answered) = (Away::default(), false);
        loop {
            let query = self.query(model, after);
            // The controller ends streams when it stops; another one goes on from here.
            let read = match client.events(&format!("/v1/events{query}")).await {
                Ok(mut events) => {
                    has_answered = true;
                    away.is_over();
                    self.read(&mut events, &mut after).await
                }
                Err(error) => Err(error.into()),
            };
            match read {
                Ok(()) if !self.follow => return Ok(()),
                Ok(()) => {}
                Err(failure) if self.follow && has_answered && away.is_endured(&failure) => {}
                Err(failure) => return Err(failure),
            }
            pauses.pause().await;
        }
    }

    fn query(&self, model: &str, after: Option<i64>) -> String {
        query([
            ("after", after.map(|after| after.to_string()).unwrap_or_default()),
            ("follow", self.follow.to_string()),
            ("model", model.to_owned()),
            ("topic", self.topic.clone()),
        ])
    }

    /// Prints events until the stream ends; `after` is the number of the last.
    async fn read(&self, events: &mut tutti_client::Events, after: &mut Option<i64>) -> Outcome {
        while let Some(event) = events.next().await? {
            let event = Printed::read(event);
            *after = Some(event.number);
            match self.output.form(Format::Tabular) {
                Format::Json => output::write(&json::line(&event)?)?,
                _ => output::write(&event.line())?,
            }
        }
        Ok(())
    }
}

impl Printed {
    fn read(event: Event) -> Self {
        let number = event.id.parse().unwrap_or_default();
        let body = serde_json::from_str(&event.data).unwrap_or(Value::String(event.data));
        Self { number, topic: event.event, event: body }
    }

    /// `12 tutti.unit event=created model=m unit=db/0`
    fn line(&self) -> String {
        let mut text = format!("{} {}{}{:#}", self.number, style::NAME, self.topic, style::NAME);
        let nothing = serde_json::Map::new();
        for (key, value) in self.event.as_object().unwrap_or(&nothing) {
            let value = match value {
                Value::Null => continue,
                Value::String(text) if !text.contains(char::is_whitespace) => text.clone(),
                value => value.to_string(),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, " {key}={value}");
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use tutti_client::Event;

    use super::Printed;

    #[test]
    fn an_event_is_one_line() {
        for (data, line) in [
            ("{\"unit\":\"db/0\",\"event\":\"created\"}", " event=created unit=db/0\n"),
            ("{\"error\":null,\"title\":\"a b\"}", " title=\"a b\"\n"),
            ("no JSON", "\n"),
        ] {
            let event = Event { id: "12".into(), event: "t".into(), data: data.into() };
            let printed = anstream::adapter::strip_str(&Printed::read(event).line()).to_string();
            assert_eq!(printed, format!("12 t{line}"));
        }
    }
}
