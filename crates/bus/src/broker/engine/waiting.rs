//! Clients that wait for something to come to a key, first come, first served.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use crate::resp::OwnedRequest;

/// What a key takes that a client waits for, beside its name, in bytes.
const KEY_WEIGHT: usize = 256;

/// A key in its database.
pub(super) type Place = (usize, Rc<[u8]>);

/// A client that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) client: u64,
    pub(super) database: usize,
    /// What it asked, to be asked again when something came.
    pub(super) request: OwnedRequest,
    pub(super) keys: Vec<Rc<[u8]>>,
    /// Until when, in milliseconds since 1970; `None` for ever.
    pub(super) deadline: Option<i64>,
    /// Bytes it takes, about.
    weight: usize,
}

impl Waiter {
    pub(super) fn new(
        client: u64,
        database: usize,
        request: OwnedRequest,
        keys: Vec<Rc<[u8]>>,
        deadline: Option<i64>,
    ) -> Self {
        let keys_weight = keys.iter().map(|key| KEY_WEIGHT + key.len()).sum::<usize>();
        let weight = request.weight() + keys_weight;
        Self { client, database, request, keys, deadline, weight }
    }
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    next_ticket: u64,
    /// By the order in which they came.
    waiters: HashMap<u64, Waiter>,
    tickets: HashMap<u64, u64>,
    by_key: HashMap<Place, BTreeSet<u64>>,
    deadlines: BTreeSet<(i64, u64)>,
    /// Keys to which something came.
    ready: BTreeMap<u64, (Place, Came)>,
    next_ready: u64,
}

/// What happened to a key that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// There is something to take.
    Something,
    /// The stream is gone.
    NoStream,
    /// A group of the stream is gone.
    NoGroup,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Lets a client wait.
    pub(super) fn add(&mut self, waiter: Waiter) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(waiter.client, ticket);
        self.put(ticket, waiter);
    }

    /// Lets a client wait that was taken out, in its old place.
    pub(super) fn put(&mut self, ticket: u64, waiter: Waiter) {
        for key in &waiter.keys {
            let place = (waiter.database, key.clone());
            self.by_key.entry(place).or_default().insert(ticket);
        }
        if let Some(deadline) = waiter.deadline {
            self.deadlines.insert((deadline, ticket));
        }
        self.tickets.insert(waiter.client, ticket);
        self.waiters.insert(ticket, waiter);
    }

    pub(super) fn take(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.tickets.remove(&waiter.client);
        if let Some(deadline) = waiter.deadline {
            self.deadlines.remove(&(deadline, ticket));
        }
        for key in &waiter.keys {
            let place = (waiter.database, key.clone());
            if let Some(tickets) = self.by_key.get_mut(&place) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        Some(waiter)
    }

    /// Forgets a client.
    pub(super) fn remove(&mut self, client: u64) -> Option<Waiter> {
        let ticket = *self.tickets.get(&client)?;
        self.take(ticket)
    }

    /// Bytes that what a client waits for takes.
    pub(super) fn weight(&self, client: u64) -> usize {
        let waiter = self.tickets.get(&client).and_then(|ticket| self.waiters.get(ticket));
        waiter.map_or(0, |waiter| waiter.weight)
    }

    pub(super) fn contains(&self, client: u64) -> bool {
        self.tickets.contains_key(&client)
    }

    /// Notes that something came to a key, if anybody waits for it.
    pub(super) fn came(&mut self, database: usize, key: &[u8], what: Came) {
        if self.by_key.is_empty() {
            return;
        }
        let place = (database, Rc::from(key));
        if self.by_key.contains_key(&place) {
            self.ready.insert(self.next_ready, (place, what));
            self.next_ready += 1;
        }
    }

    /// The next key to which something came, and who waits for it.
    pub(super) fn next_ready(&mut self) -> Option<(Place, Came, Vec<u64>)> {
        let (_, (place, what)) = self.ready.pop_first()?;
        let tickets = self.by_key.get(&place).into_iter().flatten().copied().collect();
        Some((place, what, tickets))
    }

    /// Takes out one whose time is over.
    pub(super) fn overdue(&mut self, now: i64) -> Option<Waiter> {
        let (deadline, ticket) = *self.deadlines.first()?;
        if deadline <= now { self.take(ticket) } else { None }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
