//! `shell`: the bus to try things out on, with events printed while one types.
//!
//! [`line`] makes commands of lines, [`complete`] proposes how a line goes on, [`editor`] is the terminal. Piped input
//! is a script: it ends at the first failure.

mod complete;
mod editor;
mod line;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use clap::Args;
use tokio::task::AbortHandle;
use tutti_bus::Start;

use super::Action;
use super::connection::Session;
use super::event::{EventFormat, streams};
use super::listen::follow;
use super::name::Pattern;
use crate::command::serve::Signals;
use crate::failure::{Failure, Outcome};
use crate::output;
use complete::Known;
use editor::{Editor, Input};
use line::{Verb, Watch, command};

#[derive(Args, Debug)]
pub(super) struct Shell {
    /// Print events like these from the start: API.EVENT, API.* or *
    #[arg(long, value_name = "API.EVENT")]
    listen: Vec<Pattern>,
}

/// Prints an event, wherever the cursor is.
type Print = Arc<dyn Fn(String) + Send + Sync>;

/// A shell that runs.
struct Running<'a> {
    session: &'a Session,
    known: Known,
    print: Print,
    watched: Vec<(Pattern, AbortHandle)>,
}

/// Whether a shell goes on.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    On,
    End,
}

impl Action for Shell {
    async fn act(self, session: &Session) -> Outcome {
        match io::stdin().is_terminal() {
            true => self.talk(session).await,
            false => self.script(session).await,
        }
    }
}

impl Shell {
    async fn talk(self, session: &Session) -> Outcome {
        let known = Known::default();
        let mut editor = Editor::start(known.clone())?;
        let mut shell = Running { session, known, print: editor.printer(), watched: Vec::new() };
        shell.refresh().await;
        session.tell(format!(
            "The bus at {}. Tab completes, 'help' lists commands, Ctrl-D ends.",
            session.place
        ));
        shell.watch(&self.listen).await?;
        loop {
            // Made anew each time: a signal that ended a command is not for the next line.
            let mut signals = Signals::listen()?;
            let line = tokio::select! {
                input = editor.next() => match input {
                    Input::Line(line) => line,
                    Input::Nothing => continue,
                    Input::End => return Ok(()),
                },
                // The editor sees Ctrl-C as a key.
                _ = signals.first() => return Ok(()),
            };
            let mut signals = Signals::listen()?;
            let outcome = tokio::select! {
                biased;
                signal = signals.first() => match signal {
                    "SIGTERM" => Ok(Flow::End),
                    _ => Ok(Flow::On),
                },
                outcome = shell.run(&line) => outcome,
            };
            match outcome {
                Ok(Flow::On) => {}
                Ok(Flow::End) => return Ok(()),
                Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
                Err(failure) => {
                    if let Some(message) = failure.message() {
                        output::tell(&format!("ERROR {message}"));
                    }
                }
            }
            shell.refresh().await;
        }
    }

    async fn script(self, session: &Session) -> Outcome {
        let print: Print = Arc::new(|text| {
            // Nobody to print for is found out by the next command.
            let _ = output::write(&text);
        });
        let mut shell = Running { session, known: Known::default(), print, watched: Vec::new() };
        shell.watch(&self.listen).await?;
        let (sender, mut lines) = tokio::sync::mpsc::channel(16);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        while let Some(line) = lines.recv().await {
            if shell.run(&line?).await? == Flow::End {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Running<'_> {
    /// Learns what can be completed. That it cannot be had is said by the commands.
    async fn refresh(&self) {
        if let Ok(schemas) = self.session.bus.schemas().await {
            self.known.set(schemas);
        }
    }

    async fn run(&mut self, line: &str) -> Outcome<Flow> {
        let Some(command) = command(line)? else { return Ok(Flow::On) };
        let session = self.session;
        match command {
            Verb::Call(it) => Box::pin(it.act(session)).await?,
            Verb::Fire(it) => Box::pin(it.act(session)).await?,
            Verb::Inspect(it) => Box::pin(it.act(session)).await?,
            Verb::Apis(it) => Box::pin(it.act(session)).await?,
            Verb::Schema(it) => Box::pin(it.act(session)).await?,
            Verb::Stats(it) => Box::pin(it.act(session)).await?,
            Verb::DeadLetters(it) => Box::pin(it.act(session)).await?,
            Verb::Ack(it) => Box::pin(it.act(session)).await?,
            Verb::Listen(Watch { patterns }) => self.watch(&patterns).await?,
            Verb::Unlisten(Watch { patterns }) => self.unwatch(&patterns),
            Verb::Sleep { duration } => tokio::time::sleep(duration.0).await,
            Verb::Help => output::write(line::HELP)?,
            Verb::Exit => return Ok(Flow::End),
        }
        Ok(Flow::On)
    }

    /// Prints events like these from now on; without patterns says which are printed.
    async fn watch(&mut self, patterns: &[Pattern]) -> Outcome {
        for pattern in patterns {
            if self.watched.iter().any(|(watched, _)| watched == pattern) {
                continue;
            }
            let starts = streams(self.session, std::slice::from_ref(pattern)).await?;
            let starts = starts.into_iter().map(|stream| (stream, Start::New)).collect();
            let mut events = follow(self.session, starts).await?;
            let (print, wanted) = (self.print.clone(), pattern.clone());
            let task = tokio::spawn(async move {
                while let Some(batch) = events.next().await {
                    // What is away comes back; commands say that it is.
                    for record in batch.unwrap_or_default() {
                        if wanted.is_for(&record.api, &record.event)
                            && let Ok(text) = EventFormat::Human.text(&record)
                        {
                            print(text);
                        }
                    }
                }
            });
            self.watched.push((pattern.clone(), task.abort_handle()));
        }
        if patterns.is_empty() {
            for (pattern, _) in &self.watched {
                output::write(&format!("{}.{}\n", pattern.api, pattern.event))?;
            }
        }
        Ok(())
    }

    /// Prints such events no more; without patterns none at all.
    fn unwatch(&mut self, patterns: &[Pattern]) {
        self.watched.retain(|(watched, task)| {
            let ends = patterns.is_empty() || patterns.contains(watched);
            if ends {
                task.abort();
            }
            !ends
        });
    }
}
