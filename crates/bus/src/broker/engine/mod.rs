//! The broker without its sockets, clock and disk: commands in, replies and changes out.
//!
//! An [`Engine`] owns everything a broker knows. Whoever runs it says what time it is, hands over each request
//! ([`execute`](Engine::execute)), calls [`tick`](Engine::tick) when something is due, and takes away three things: the reply,
//! replies to others that had been waiting ([`take_outgoing`](Engine::take_outgoing)), and changes for the log
//! ([`take_effects`](Engine::take_effects)). Everything happens in one thread, so there are no locks and every command is atomic.
//!
//! Which changes are written down: streams with their groups and pending entries, strings and sets. Lists are not (calls are made at
//! most once), nor the guard keys of calls. A reply waits until the changes it rests on are in the log, except that giving an entry to
//! a consumer (`XREADGROUP`, `XCLAIM`, `XAUTOCLAIM`) does not wait: if that is lost, the entry is given out again, as it is when the
//! consumer dies.

mod call;
mod command;
mod commands;
mod database;
mod effects;
mod session;
mod snapshot;
mod stream;
mod waiting;

use std::{collections::BTreeMap, collections::HashMap, rc::Rc};

use call::{Call, Flow, Handled, Refusal};
use command::{Command, SEES, WRITES};
use database::{Database, Value};
use effects::Effects;
use session::Session;
use waiting::{Came, Waiter, Waiting};

pub use snapshot::Snapshot;

use crate::resp::{Reply as _, Request, RequestParser};

/// What an engine is told once.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// How many databases there are.
    pub databases: usize,
    /// Bytes of data above which commands that add some are refused; 0 for no limit.
    pub memory_bytes_max: usize,
    /// What clients have to give.
    pub password: Option<String>,
    /// Connected clients, as `INFO` shows it; who accepts connections has to see to it.
    pub clients_max: usize,
    /// Longest argument, in bytes, as `CONFIG GET` shows it.
    pub bulk_bytes_max: usize,
    /// Whether changes are wanted for a log.
    pub logs: bool,
    /// The process, as `INFO` shows it.
    pub process_id: u32,
    /// The time, in milliseconds since 1970.
    pub started_at: i64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The reply is written.
    Answered,
    /// The reply comes later, by [`Engine::take_outgoing`]; until then the client's further requests have to wait.
    Waits,
    /// The reply is written, and the connection is to be closed after it.
    Closes,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The reply may go out when the log has reached this position.
    pub after: u64,
}

/// A reply to a client that had been waiting.
#[derive(Debug)]
pub struct Outgoing {
    /// Whose it is.
    pub client: u64,
    /// The reply, encoded.
    pub reply: Vec<u8>,
    /// It may go out when the log has reached this position.
    pub after: u64,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot repeat {command:?} from the log: {reason}")]
pub struct ReplayError {
    command: String,
    reason: String,
}

/// Everything a broker knows.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    databases: Vec<Database>,
    sessions: BTreeMap<u64, Session>,
    next_client: u64,
    waiting: Waiting,
    effects: Effects,
    outgoing: Vec<Outgoing>,
    /// Bytes of replies there is still room for: of those to others, and of that of a transaction.
    reply_room: usize,
    /// Clients that another one wants closed.
    killed: Vec<u64>,
    /// Why nothing can be written down at the moment.
    log_failure: Option<String>,
    commands_done: u64,
    names: HashMap<&'static [u8], &'static Command>,
}

impl Engine {
    /// An empty engine.
    pub fn new(settings: EngineSettings) -> Self {
        let mut databases = Vec::new();
        databases.resize_with(settings.databases.max(1), Database::default);
        Self {
            settings,
            databases,
            sessions: BTreeMap::new(),
            next_client: 1,
            waiting: Waiting::default(),
            effects: Effects::default(),
            outgoing: Vec::new(),
            reply_room: usize::MAX,
            killed: Vec::new(),
            log_failure: None,
            commands_done: 0,
            names: command::by_name(),
        }
    }

    /// Runs the changes of a log that was written before. To be done first, in the log's order.
    pub fn replay(&mut self, effects: &[u8]) -> Result<(), ReplayError> {
        let limits = crate::resp::Limits {
            bulk_bytes_max: usize::MAX / 4,
            request_bytes_max: usize::MAX / 2,
            ..Default::default()
        };
        let mut parser = RequestParser::default();
        let (mut at, mut database, mut reply) = (0, 0, Vec::new());
        while at < effects.len() {
            let input = &effects[at..];
            let cut = || ReplayError { command: String::new(), reason: "it is cut off".to_owned() };
            at += parser.parse(input, &limits).ok().flatten().ok_or_else(cut)?;
            let request = parser.request(input);
            reply.clear();
            let failed = |reason: &str| {
                let command = String::from_utf8_lossy(request.get(0).unwrap_or_default());
                ReplayError { command: command.into_owned(), reason: reason.to_owned() }
            };
            if request.get(0) == Some(b"SELECT") {
                let number = request.get(1).and_then(|number| str::from_utf8(number).ok());
                database = number
                    .and_then(|number| number.parse().ok())
                    .filter(|number| *number < self.databases.len())
                    .ok_or_else(|| failed("there is no such database any more"))?;
                continue;
            }
            let command = self.command(request).ok_or_else(|| failed("unknown"))?;
            let mut call = Call {
                engine: self,
                client: 0,
                database,
                request,
                now: 0,
                may_wait: false,
                only: None,
                replays: true,
                reply: &mut reply,
            };
            // What does not fit what is there concerns a key whose whole value only follows (see `snapshot`).
            let _ = (command.handler)(&mut call);
        }
        Ok(())
    }

    /// Begins to serve: from here on changes are wanted, if they are at all. Nobody could be heard of before, so all consumers
    /// count as seen now.
    pub fn begin(&mut self, now: i64) {
        self.databases.iter_mut().for_each(|database| database.consumers_seen(now));
        if self.settings.logs {
            self.effects.enable();
        }
        self.tick(now);
    }

    /// A client came; answers its number.
    pub fn connect(&mut self, address: String, now: i64) -> u64 {
        let client = self.next_client;
        self.next_client += 1;
        let trusted = self.settings.password.is_none();
        self.sessions.insert(client, Session::new(address, trusted, now));
        client
    }

    /// A client went away. What it waited for goes to others.
    pub fn disconnect(&mut self, client: u64) {
        self.waiting.remove(client);
        self.sessions.remove(&client);
    }

    /// Whether a client has still to give its password.
    pub fn is_unknown(&self, client: u64) -> bool {
        self.sessions.get(&client).is_none_or(|session| !session.trusted)
    }

    /// Bytes a client takes that are not data: what it queues for a transaction, and what it asked while it waits.
    pub fn held(&self, client: u64) -> usize {
        let transaction =
            self.sessions.get(&client).and_then(|session| session.transaction.as_ref());
        transaction.map_or(0, |transaction| transaction.weight) + self.waiting.weight(client)
    }

    /// Says how many bytes there are for replies that one request can make many of: those to clients that wait, of whom those for whom
    /// there is no room are to be closed, and that of a transaction, which is cut off
    /// and ends the connection. Without it there is no limit.
    pub fn set_reply_room(&mut self, bytes: usize) {
        self.reply_room = bytes;
    }

    /// Carries out a request; the reply is appended, if there is one yet.
    pub fn execute(
        &mut self,
        client: u64,
        request: Request<'_>,
        now: i64,
        reply: &mut Vec<u8>,
    ) -> Outcome {
        self.expire(now);
        let required = self.effects.required();
        let start = reply.len();
        let (handled, sees) = self.dispatch(client, request, now, reply);
        let ending = match handled {
            Ok(Flow::Done) => Ending::Answered,
            Ok(Flow::Wait(_)) => Ending::Waits,
            Ok(Flow::Close) => Ending::Closes,
            Err(refusal) => {
                reply.truncate(start);
                reply.error(&refusal.0);
                Ending::Answered
            }
        };
        self.serve_ready(now);
        let rests_on_log = sees || self.effects.required() != required;
        Outcome { ending, after: if rests_on_log { self.effects.required() } else { 0 } }
    }

    /// Does what is due: keys expire, and clients have waited long enough.
    pub fn tick(&mut self, now: i64) {
        self.expire(now);
        self.serve_ready(now);
        while let Some(waiter) = self.waiting.overdue(now) {
            let mut reply = Vec::new();
            reply.null_array();
            self.outgoing.push(Outgoing { client: waiter.client, reply, after: 0 });
        }
    }

    /// When [`tick`](Self::tick) has something to do next, in milliseconds since 1970.
    pub fn next_due(&self) -> Option<i64> {
        let expiry = self.databases.iter().filter_map(Database::next_expiry).min();
        [expiry, self.waiting.next_deadline()].into_iter().flatten().min()
    }

    /// Replies to clients that had been waiting.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Clients whose connections are to be closed.
    pub fn take_killed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.killed)
    }

    /// Changes for the log, and its position with them.
    pub fn take_effects(&mut self) -> (Vec<u8>, u64) {
        (self.effects.take(), self.effects.position())
    }

    /// Bytes of changes that were not yet taken.
    pub fn effects_pending(&self) -> usize {
        self.effects.pending()
    }

    /// Where the log must be for everything that replies rest on.
    pub fn log_required(&self) -> u64 {
        self.effects.required()
    }

    /// Says that the log cannot be written, or can again. Meanwhile commands that change something are refused.
    pub fn set_log_failure(&mut self, failure: Option<String>) {
        self.log_failure = failure;
    }

    /// Bytes of data, about.
    pub fn memory_used(&self) -> usize {
        self.databases.iter().map(Database::weight).sum()
    }

    fn command(&self, request: Request<'_>) -> Option<&'static Command> {
        let name = request.get(0)?;
        let mut buffer = [0; command::NAME_BYTES_MAX];
        let upper = buffer.get_mut(..name.len())?;
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        self.names.get(&*upper).copied()
    }

    fn expire(&mut self, now: i64) {
        for database in 0..self.databases.len() {
            while let Some((key, entry)) = self.databases[database].expire(now) {
                self.forgotten(database, &key, &entry.value, false);
            }
        }
    }

    /// Tells whom it concerns that a key is gone.
    fn forgotten(&mut self, database: usize, key: &[u8], value: &Value, required: bool) {
        if value.outlives_restart(key) {
            self.effects.record(database, &[b"DEL", key]);
            if required {
                self.effects.require();
            }
        }
        if matches!(value, Value::Stream(_)) {
            self.waiting.came(database, key, Came::NoStream);
        }
    }

    /// The checks before a command, in Redis' order, then the command. Also answers whether its reply rests on the log.
    fn dispatch(
        &mut self,
        client: u64,
        request: Request<'_>,
        now: i64,
        reply: &mut Vec<u8>,
    ) -> (Handled, bool) {
        if request.is_empty() {
            return (Ok(Flow::Done), false);
        }
        let checked = self.check(client, request, now);
        if checked.is_err()
            && let Some(transaction) =
                self.sessions.get_mut(&client).and_then(|session| session.transaction.as_mut())
        {
            transaction.spoiled = true;
        }
        let command = match checked {
            Ok(command) => command,
            Err(refusal) => return (Err(refusal), false),
        };
        let Some(session) = self.sessions.get_mut(&client) else {
            return (Ok(Flow::Close), false);
        };
        if let Some(transaction) = &mut session.transaction
            && !command.is(command::CONTROLS)
        {
            return (commands::transaction::queue(transaction, request, reply), false);
        }
        let database = session.database;
        let call = &mut Call {
            engine: self,
            client,
            database,
            request,
            now,
            may_wait: true,
            only: None,
            replays: false,
            reply,
        };
        let handled = (command.handler)(call);
        if let Ok(Flow::Wait(wait)) = &handled {
            let keys = request.from(wait.keys.start).take(wait.keys.len()).map(Rc::from).collect();
            let deadline = wait.timeout_ms.map(|timeout| now.saturating_add(timeout));
            let request = commands::stream_read::settled(self, database, request);
            self.waiting.add(Waiter::new(client, database, request, keys, deadline));
        }
        (handled, command.is(SEES))
    }

    fn check(
        &mut self,
        client: u64,
        request: Request<'_>,
        now: i64,
    ) -> Result<&'static Command, Refusal> {
        self.commands_done += 1;
        let command = self
            .command(request)
            .filter(|command| !command.is(command::LOG_ONLY))
            .ok_or_else(|| unknown(request))?;
        command.check_arity(request)?;
        let session = self.sessions.get_mut(&client).ok_or(Refusal::SYNTAX)?;
        session.active_at = now;
        session.last_command = command.name;
        if !session.trusted && !command.is(command::OPEN) {
            return Err(Refusal::new("NOAUTH Authentication required."));
        }
        let memory_max = self.settings.memory_bytes_max;
        if command.grows(request) && memory_max > 0 && self.memory_used() > memory_max {
            return Err(Refusal::new("OOM command not allowed when used memory > 'maxmemory'."));
        }
        if let Some(failure) = self.log_failure.as_ref().filter(|_| command.is(WRITES)) {
            return Err(Refusal(format!("MISCONF Errors writing to the log: {failure}").into()));
        }
        Ok(command)
    }

    fn serve_ready(&mut self, now: i64) {
        while let Some(((database, key), came, tickets)) = self.waiting.next_ready() {
            for ticket in tickets {
                let is_there = self.databases[database].entry(&key).is_some();
                if came == Came::Something && !is_there {
                    break;
                }
                let Some(waiter) = self.waiting.take(ticket) else { continue };
                if self.reply_room == 0 {
                    self.killed.push(waiter.client);
                } else {
                    self.serve(ticket, waiter, &key, came, now);
                }
            }
        }
    }

    /// Asks again what a client asked that waits.
    fn serve(&mut self, ticket: u64, waiter: Waiter, key: &[u8], came: Came, now: i64) {
        let request = waiter.request.request();
        let Some(command) = self.command(request) else { return };
        let mut reply = Vec::new();
        let reads_group = command.name == "xreadgroup";
        let handled = if came == Came::NoStream && reads_group {
            Err(Refusal::new("UNBLOCKED the stream key no longer exists"))
        } else {
            (command.handler)(&mut Call {
                engine: self,
                client: waiter.client,
                database: waiter.database,
                request,
                now,
                may_wait: true,
                only: Some(key),
                replays: false,
                reply: &mut reply,
            })
        };
        match handled {
            Err(refusal) if reads_group => {
                reply.clear();
                let is_group = refusal.0.starts_with("NOGROUP");
                let gone = "NOGROUP the consumer group this client was blocked on no longer exists";
                reply.error(if is_group { gone } else { &refusal.0 });
            }
            // A client stays, if the key holds what it cannot take.
            Ok(Flow::Wait(_)) | Err(_) => return self.waiting.put(ticket, waiter),
            Ok(Flow::Done | Flow::Close) => (),
        }
        let after = if command.is(SEES) { self.effects.required() } else { 0 };
        self.reply_room = self.reply_room.saturating_sub(reply.len());
        self.outgoing.push(Outgoing { client: waiter.client, reply, after });
    }
}

fn unknown(request: Request<'_>) -> Refusal {
    const SHOWN_BYTES_MAX: usize = 128;
    let shown = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]).into_owned()
    };
    let name = shown(request.get(0).unwrap_or_default());
    let mut text = format!("ERR unknown command '{name}', with args beginning with: ");
    for argument in request.from(1) {
        if text.len() >= 2 * SHOWN_BYTES_MAX {
            break;
        }
        text.extend(["'", &shown(argument), "' "]);
    }
    Refusal(text.into())
}

impl Value {
    /// Whether it is written down.
    fn outlives_restart(&self, key: &[u8]) -> bool {
        match self {
            Self::Text(_) => effects::outlives_restart(key),
            Self::List(_) => false,
            Self::Set(_) | Self::Stream(_) => true,
        }
    }
}
