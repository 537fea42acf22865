//! `dead-letters` and `ack`: events that somebody could not handle.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};
use tutti_bus::{DeadLetter, Error};

use super::Action;
use super::connection::Session;
use super::name::{Name, instead};
use crate::arguments::{OutputArguments, PromptArgument};
use crate::command::answer::confirm;
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::output::measure::counted;
use crate::output::table::Table;

/// Dead letters read at a time.
const PAGE: usize = 500;

/// Lines about what was not done.
const SHOWN_MAX: usize = 20;

#[derive(Args, Debug)]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    what: Verb,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, oldest first
    List(List),
    /// Show one with all its parameters
    Show(Show),
    /// Give events back to the group that gave them up, and to no other
    Replay(Chosen),
    /// Forget events for good
    Drop(DropThem),
}

impl Action for DeadLetters {
    async fn act(self, session: &Session) -> Outcome {
        match self.what {
            Verb::List(command) => command.run(session).await,
            Verb::Show(command) => command.run(session).await,
            Verb::Replay(command) => command.replay(session).await,
            Verb::Drop(command) => command.run(session).await,
        }
    }
}

/// A dead letter as it is printed.
#[derive(Debug, Serialize)]
struct Printed {
    group: String,
    id: String,
    api: String,
    event: String,
    event_id: String,
    native_id: String,
    deliveries: u32,
    error: String,
    parameters: Map<String, Value>,
}

impl Printed {
    fn read(group: &str, letter: &DeadLetter) -> Printed {
        let (api, event) = letter.event();
        let field = |wanted: &str| letter.fields.iter().find(|(name, _)| name == wanted);
        let parameters = letter.fields.iter().filter_map(|(name, text)| {
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
            Some((name.strip_prefix(':')?.to_owned(), value))
        });
        Printed {
            group: group.to_owned(),
            id: letter.id.clone(),
            api: api.to_owned(),
            event: event.to_owned(),
            event_id: field("id").map_or_else(String::new, |(_, id)| id.clone()),
            native_id: letter.native_id.clone(),
            deliveries: letter.deliveries,
            error: letter.error.clone(),
            parameters: parameters.collect(),
        }
    }
}

#[derive(Args, Debug)]
struct List {
    /// Of this group (SERVICE-LISTENER) [default: all]
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    /// How many of each group
    #[arg(short, long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    output: OutputArguments,
}

impl List {
    async fn run(self, session: &Session) -> Outcome {
        let groups = match &self.group {
            Some(group) => vec![known_group(session, group).await?],
            None => groups(session).await?,
        };
        let mut letters = Vec::new();
        for group in groups {
            let found = session.bus.dead_letters(&group, None, self.limit).await;
            let found = found.map_err(|error| session.refusal(error))?;
            letters.extend(found.iter().map(|letter| Printed::read(&group, letter)));
        }
        if letters.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            session.tell("There are no dead letters.");
            return Ok(());
        }
        self.output.print(Format::Tabular, &letters, || {
            let mut table =
                Table::new(["Group", "Id", "Event", "Native id", "Deliveries", "Error"]).right(4);
            for letter in &letters {
                table.row([
                    letter.group.as_str().into(),
                    letter.id.as_str().into(),
                    format!("{}.{}", letter.api, letter.event).into(),
                    letter.native_id.as_str().into(),
                    letter.deliveries.to_string().into(),
                    letter.error.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
struct Show {
    /// The group that gave it up
    #[arg(value_name = "GROUP")]
    group: String,
    /// Its id among the dead letters
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl Show {
    async fn run(self, session: &Session) -> Outcome {
        let found = session.bus.dead_letter(&self.group, &self.id).await;
        let found = found.map_err(|error| session.refusal(error))?;
        let letter = found.ok_or_else(|| unknown(&self.group, &self.id, session))?;
        let letter = Printed::read(&self.group, &letter);
        let text = serde_json::to_string_pretty(&letter)?;
        self.output.print(Format::Tabular, &letter, || format!("{text}\n"))
    }
}

/// Which dead letters.
#[derive(Args, Debug)]
struct Chosen {
    /// The group that gave them up
    #[arg(value_name = "GROUP")]
    group: String,
    /// Their ids among the dead letters
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All of the group
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Chosen {
    /// The ids; those of `--all` as they are now, so that what comes back meanwhile is not taken again.
    async fn ids(&self, session: &Session) -> Outcome<Vec<String>> {
        known_group(session, &self.group).await?;
        if !self.all {
            return Ok(self.ids.clone());
        }
        let mut ids: Vec<String> = Vec::new();
        loop {
            let after = ids.last().map(String::as_str);
            let found = session.bus.dead_letters(&self.group, after, PAGE).await;
            let found = found.map_err(|error| session.refusal(error))?;
            let is_last = found.len() < PAGE;
            ids.extend(found.into_iter().map(|letter| letter.id));
            if is_last {
                return Ok(ids);
            }
        }
    }

    async fn replay(self, session: &Session) -> Outcome {
        let mut tally = Tally::new(&self, self.ids(session).await?);
        while let Some(id) = tally.next() {
            tally.note(&id, session.bus.replay_dead_letter(&self.group, &id).await, session);
        }
        tally.end("given back", session)
    }
}

/// What became of chosen dead letters, one by one.
struct Tally<'a> {
    chosen: &'a Chosen,
    /// Still to be tried, the next last.
    ids: Vec<String>,
    done: usize,
    /// Somebody else took them since they were listed.
    taken: usize,
    /// What was not done, a line each.
    undone: Vec<String>,
}

impl<'a> Tally<'a> {
    fn new(chosen: &'a Chosen, mut ids: Vec<String>) -> Tally<'a> {
        ids.reverse();
        Tally { chosen, ids, done: 0, taken: 0, undone: Vec::new() }
    }

    fn next(&mut self) -> Option<String> {
        self.ids.pop()
    }

    /// Notes what became of one. Without a bus the others need not be tried.
    fn note(&mut self, id: &str, outcome: Result<bool, Error>, session: &Session) {
        match outcome {
            Ok(true) => self.done += 1,
            Ok(false) if self.chosen.all => self.taken += 1,
            Ok(false) => self.undone.push(format!(
                "{id}: there is no dead letter {id}, '{} bus dead-letters list {}' lists them",
                session.program, self.chosen.group
            )),
            Err(error) => {
                let is_over =
                    matches!(&error, Error::Transport { source, .. } if source.is_io_error());
                let reason = session.refusal(error).message().unwrap_or_default();
                self.undone.push(format!("{id}: {reason}"));
                if is_over {
                    let left = std::mem::take(&mut self.ids);
                    self.undone.extend(left.iter().rev().map(|id| format!("{id}: not tried")));
                }
            }
        }
    }

    /// Says what was done, and fails with what was not.
    fn end(self, participle: &str, session: &Session) -> Outcome {
        let group = &self.chosen.group;
        let taken = match self.taken {
            0 => String::new(),
            taken => format!("; somebody else took {taken} meanwhile"),
        };
        session.tell(format!("{} of {group} {participle}{taken}", counted(self.done, "event")));
        if self.undone.is_empty() {
            return Ok(());
        }
        let more = self.undone.len().saturating_sub(SHOWN_MAX);
        let mut lines = self.undone.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>();
        lines.extend((more > 0).then(|| format!("and {more} more")));
        let undone = counted(self.undone.len(), "event");
        Err(Failure::new(format!(
            "{undone} of {group} not {participle}:\n  {}",
            lines.join("\n  ")
        )))
    }
}

#[derive(Args, Debug)]
struct DropThem {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    prompt: PromptArgument,
}

impl DropThem {
    async fn run(self, session: &Session) -> Outcome {
        let Chosen { group, all, .. } = &self.chosen;
        let ids = self.chosen.ids(session).await?;
        if *all {
            let what =
                format!("This forgets {} that {group} gave up.", counted(ids.len(), "event"));
            confirm(self.prompt.no_prompt, &what)?;
        }
        let mut tally = Tally::new(&self.chosen, ids);
        while let Some(id) = tally.next() {
            tally.note(&id, session.bus.drop_dead_letter(group, &id).await, session);
        }
        tally.end("dropped", session)
    }
}

async fn groups(session: &Session) -> Outcome<Vec<String>> {
    session.bus.dead_letter_groups().await.map_err(|error| session.refusal(error))
}

/// The group, if it has ever given up anything.
async fn known_group(session: &Session, group: &str) -> Outcome<String> {
    let groups = groups(session).await?;
    if groups.iter().any(|known| known == group) {
        return Ok(group.to_owned());
    }
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let otherwise = match names.is_empty() {
        true => "nor has any other".to_owned(),
        false => format!("there are those of {}", names.join(", ")),
    };
    let instead = instead(group, &names, &otherwise);
    Err(Failure::new(format!("the group {group:?} has no dead letters: {instead}")))
}

fn unknown(group: &str, id: &str, session: &Session) -> Failure {
    Failure::new(format!(
        "the group {group} has no dead letter {id}: '{} bus dead-letters list {group}' lists them",
        session.program
    ))
}

#[derive(Args, Debug)]
pub(super) struct Ack {
    /// The event; API.* if nobody can read which one it is
    #[arg(value_name = "API.EVENT")]
    name: Name,
    /// Its id in its stream, as 'inspect' shows it
    #[arg(value_name = "NATIVE-ID")]
    id: String,
}

impl Action for Ack {
    async fn act(self, session: &Session) -> Outcome {
        let Name { api, member } = &self.name;
        let held = session.bus.acknowledge_everywhere(api, member, &self.id).await;
        match held.map_err(|error| session.refusal(error))? {
            0 => Err(Failure::new(format!(
                "no group holds {} of {api}.{member}: '{} bus inspect --api {api}' shows the ids, \
                 '{} bus stats {api}' who holds events",
                self.id, session.program, session.program
            ))),
            groups => {
                let groups = counted(usize::try_from(groups).unwrap_or(usize::MAX), "group");
                session.tell(format!("{} acknowledged for {groups}", self.id));
                Ok(())
            }
        }
    }
}
