//! What all connections share: the engine, and who waits for what. All of it lives in one thread.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use tokio::sync::Notify;

use super::clock::now;
use crate::{
    broker::{
        Settings,
        engine::{Ending, Engine, Outgoing},
    },
    resp::{Limits, ProtocolError, Reply as _, RequestParser},
};

/// Replies beyond this are sent before more requests are looked at.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Changes that no reply waits for are written after this time, unless others are written before.
const LAZY_MS: i64 = 5;

/// What connections share.
pub(super) struct Hub {
    pub(super) settings: Settings,
    pub(super) engine: RefCell<Engine>,
    limits: Limits,
    mailboxes: RefCell<HashMap<u64, Rc<Mailbox>>>,
    /// Who waits until the log has reached a position, lowest first.
    waiting: RefCell<VecDeque<(u64, Rc<Mailbox>)>>,
    /// What the log has reached.
    written: Cell<u64>,
    /// Bytes in the buffers of all connections, with what the engine holds for them and the replies that wait for them.
    buffered: Cell<usize>,
    /// Something is to be written.
    pub(super) write: Notify,
    /// Something is due sooner.
    pub(super) due: Notify,
    /// When the ticker will wake up, and when lazy changes are to be written.
    due_at: Cell<i64>,
    lazy_at: Cell<Option<i64>>,
    ending: Cell<bool>,
    /// A connection ended.
    left: Notify,
}

/// What comes to a connection from elsewhere.
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) news: Notify,
    reply: RefCell<Option<Outgoing>>,
    closes: Cell<bool>,
}

impl Mailbox {
    pub(super) fn has_reply(&self) -> bool {
        self.reply.borrow().is_some()
    }

    /// Whether the connection is to be closed.
    pub(super) fn closes(&self) -> bool {
        self.closes.get()
    }

    fn close(&self) {
        self.closes.set(true);
        self.news.notify_one();
    }
}

/// Where a connection stands after its requests were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has to send more.
    Hungry,
    /// There is more, for when the replies are sent.
    Full,
    /// It waits for a reply.
    Waits,
    /// It is to be closed.
    Closes,
}

impl Hub {
    pub(super) fn new(settings: Settings, engine: Engine) -> Self {
        Self {
            limits: settings.limits(),
            settings,
            engine: RefCell::new(engine),
            mailboxes: RefCell::default(),
            waiting: RefCell::default(),
            written: Cell::new(0),
            buffered: Cell::new(0),
            write: Notify::new(),
            due: Notify::new(),
            due_at: Cell::new(i64::MAX),
            lazy_at: Cell::new(None),
            ending: Cell::new(false),
            left: Notify::new(),
        }
    }

    /// A connection came; `None` if there are too many.
    pub(super) fn enter(&self, address: String) -> Option<(u64, Rc<Mailbox>)> {
        let mut mailboxes = self.mailboxes.borrow_mut();
        if mailboxes.len() >= self.settings.clients_max || self.ending.get() {
            return None;
        }
        let client = self.engine.borrow_mut().connect(address, now());
        let mailbox = Rc::new(Mailbox::default());
        mailboxes.insert(client, mailbox.clone());
        Some((client, mailbox))
    }

    /// A connection went.
    pub(super) fn leave(&self, client: u64) {
        if let Some(mailbox) = self.mailboxes.borrow_mut().remove(&client) {
            self.take_reply(&mailbox);
        }
        self.engine.borrow_mut().disconnect(client);
        self.left.notify_one();
    }

    /// Carries out the requests that are whole in `input`, removes them there, and appends the replies. Also answers where the log must
    /// be before they are sent.
    pub(super) fn execute(
        &self,
        client: u64,
        parser: &mut RequestParser,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> (Standing, u64) {
        let mut engine = self.engine.borrow_mut();
        engine.set_reply_room(self.room());
        let (now, mut at, mut after) = (now(), 0, 0);
        let mut limits = self.limits;
        let standing = loop {
            if output.len() >= OUTPUT_BYTES {
                break Standing::Full;
            }
            limits.unknown = engine.is_unknown(client);
            let rest = &input[at..];
            let taken = match parser.parse(rest, &limits) {
                Ok(Some(taken)) => taken,
                Ok(None) => break Standing::Hungry,
                Err(error) => break refuse(output, &error),
            };
            let outcome = engine.execute(client, parser.request(rest), now, output);
            at += taken;
            after = after.max(outcome.after);
            match outcome.ending {
                Ending::Answered => (),
                Ending::Waits => break Standing::Waits,
                Ending::Closes => break Standing::Closes,
            }
        };
        drop(engine);
        input.drain(..at);
        self.settle(now);
        let too_long = output.len() > self.settings.output_bytes_max;
        if too_long {
            tracing::warn!(
                client,
                bytes = output.len(),
                "a reply is too long; the client is disconnected"
            );
            output.clear();
        }
        (if too_long { Standing::Closes } else { standing }, after)
    }

    /// Hands out what the engine made, and sees to it that what is due is done.
    pub(super) fn settle(&self, now: i64) {
        let mut engine = self.engine.borrow_mut();
        let outgoing = engine.take_outgoing();
        let killed = engine.take_killed();
        if !outgoing.is_empty() || !killed.is_empty() {
            let mailboxes = self.mailboxes.borrow();
            for outgoing in outgoing {
                if let Some(mailbox) = mailboxes.get(&outgoing.client) {
                    self.hand_over(mailbox, outgoing);
                }
            }
            killed
                .iter()
                .filter_map(|client| mailboxes.get(client))
                .for_each(|mailbox| mailbox.close());
        }
        if engine.effects_pending() > 0 {
            if engine.log_required() > self.written.get() {
                self.write.notify_one();
            } else if self.lazy_at.get().is_none() {
                self.lazy_at.set(Some(now + LAZY_MS));
            }
        }
        if self.next_due(&engine).is_some_and(|at| at < self.due_at.get()) {
            self.due.notify_one();
        }
    }

    fn hand_over(&self, mailbox: &Mailbox, outgoing: Outgoing) {
        let (client, bytes) = (outgoing.client, outgoing.reply.len());
        let has_room = self.count_buffers(0, bytes);
        *mailbox.reply.borrow_mut() = Some(outgoing);
        if !has_room || bytes > self.settings.output_bytes_max {
            tracing::warn!(client, bytes, "no room for a reply; the client is disconnected");
            self.take_reply(mailbox);
            mailbox.close();
        }
        mailbox.news.notify_one();
    }

    /// The reply that came for a connection that waited.
    pub(super) fn take_reply(&self, mailbox: &Mailbox) -> Option<Outgoing> {
        let reply = mailbox.reply.borrow_mut().take()?;
        self.count_buffers(reply.reply.len(), 0);
        Some(reply)
    }

    /// Does what is due; answers when something is due next.
    pub(super) fn tick(&self) -> Option<i64> {
        let now = now();
        let mut engine = self.engine.borrow_mut();
        engine.set_reply_room(self.room());
        engine.tick(now);
        drop(engine);
        if self.lazy_at.get().is_some_and(|at| at <= now) {
            self.lazy_at.set(None);
            self.write.notify_one();
        }
        // The ticker is awake, and need not be woken.
        self.due_at.set(i64::MIN);
        self.settle(now);
        let next = self.next_due(&self.engine.borrow());
        self.due_at.set(next.unwrap_or(i64::MAX));
        next
    }

    fn next_due(&self, engine: &Engine) -> Option<i64> {
        [engine.next_due(), self.lazy_at.get()].into_iter().flatten().min()
    }

    /// Whether there is something to be written.
    pub(super) fn has_unwritten(&self) -> bool {
        self.engine.borrow().effects_pending() > 0
    }

    /// Takes what is to be written, and where the log is with it.
    pub(super) fn take_unwritten(&self) -> (Vec<u8>, u64) {
        self.lazy_at.set(None);
        self.engine.borrow_mut().take_effects()
    }

    /// Says what the log has reached, and wakes those that wait for it.
    pub(super) fn wrote(&self, position: u64) {
        self.written.set(position);
        let mut waiting = self.waiting.borrow_mut();
        while let Some((_, mailbox)) = waiting.pop_front_if(|(after, _)| *after <= position) {
            mailbox.news.notify_one();
        }
    }

    /// Waits until the log has reached a position; answers whether it has. Not if the connection is to be closed at once.
    pub(super) async fn until_written(&self, mailbox: &Rc<Mailbox>, after: u64) -> bool {
        if self.written.get() < after {
            self.wait_for(mailbox, after);
        }
        while self.written.get() < after {
            // At the end all connections are to be closed, but what was asked is answered.
            if mailbox.closes() && !self.is_ending() {
                return false;
            }
            // Other news are looked at by who called, after this.
            mailbox.news.notified().await;
        }
        true
    }

    /// Says that the log will never reach any position: nobody will hear what they wait for.
    pub(super) fn write_never(&self) {
        self.waiting.take().iter().for_each(|(_, mailbox)| mailbox.close());
    }

    fn wait_for(&self, mailbox: &Rc<Mailbox>, after: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.partition_point(|(other, _)| *other <= after);
        waiting.insert(place, (after, mailbox.clone()));
    }

    /// Counts the bytes in buffers, of which a connection has `now` after it had `before`. Answers whether there is room for them.
    pub(super) fn count_buffers(&self, before: usize, now: usize) -> bool {
        let buffered = self.buffered.get() + now - before;
        self.buffered.set(buffered);
        buffered <= self.settings.buffers_bytes_max
    }

    /// Bytes there is still room for in buffers.
    fn room(&self) -> usize {
        self.settings.buffers_bytes_max.saturating_sub(self.buffered.get())
    }

    /// Bytes the engine holds for a client.
    pub(super) fn held(&self, client: u64) -> usize {
        self.engine.borrow().held(client)
    }

    /// Asks all connections to end.
    pub(super) fn end(&self) {
        self.ending.set(true);
        self.mailboxes.borrow().values().for_each(|mailbox| mailbox.close());
        self.write.notify_one();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Waits until all connections have ended.
    pub(super) async fn empty(&self) {
        while !self.mailboxes.borrow().is_empty() {
            self.left.notified().await;
        }
        self.write.notify_one();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mailboxes.borrow().is_empty()
    }
}

fn refuse(output: &mut Vec<u8>, error: &ProtocolError) -> Standing {
    output.error(&format!("ERR Protocol error: {error}"));
    Standing::Closes
}
