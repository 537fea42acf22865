//! Where new flows come to stand: their tickets, their places in queues, and their turns.

use std::collections::{BTreeMap, BTreeSet};

use tutti_store::Tx;
use uuid::Uuid;

use super::New;
use crate::{Access, NewFlow, Result, Work, sql};

/// A flow and where it stands.
pub(super) struct Placed<'a> {
    pub(super) flow: &'a NewFlow,
    pub(super) ticket: i64,
    /// Its turn among the flows of all models.
    pub(super) pass: i64,
    /// One for each resource, by name.
    pub(super) entries: Vec<Entry<'a>>,
    /// It runs under the resources of its parent.
    pub(super) joined: bool,
    /// The worker that has it from the beginning.
    pub(super) owner: Option<Uuid>,
}

/// A place in the queue of a resource.
pub(super) struct Entry<'a> {
    pub(super) resource: &'a str,
    pub(super) exclusive: bool,
    pub(super) granted: bool,
}

impl Placed<'_> {
    /// How many of its resources it has to wait for.
    pub(super) fn ungranted(&self) -> i64 {
        self.entries.iter().map(|entry| i64::from(!entry.granted)).sum()
    }

    /// Whether no task of it needs a worker.
    pub(super) fn is_passive(&self) -> bool {
        self.flow.tasks.iter().all(|task| matches!(task.work, Work::Wait(_) | Work::Gate))
    }

    /// Whether any worker may take it.
    pub(super) fn is_ready(&self) -> bool {
        self.ungranted() == 0 && !self.is_passive()
    }
}

/// Who stands in the queues of resources already.
#[derive(Default)]
struct Queues<'a>(BTreeMap<&'a str, Standing>);

/// Who stands in a queue.
#[derive(Clone, Copy, Default)]
struct Standing {
    anybody: bool,
    /// Somebody who wants the resource alone.
    exclusive: bool,
}

impl<'a> Queues<'a> {
    fn look(tx: &mut Tx<'_>, names: &BTreeSet<&'a str>) -> Result<Self> {
        let found: Vec<(String, bool, bool)> =
            tx.all_many(sql::QUEUE_STANDING, names.iter().map(|name| (*name,)))?;
        let found: BTreeMap<String, Standing> = found
            .into_iter()
            .map(|(name, anybody, exclusive)| (name, Standing { anybody, exclusive }))
            .collect();
        let known = names.iter().filter_map(|name| Some((*name, *found.get(*name)?)));
        Ok(Self(known.collect()))
    }

    /// Stands behind all others; answers whether it is granted at once.
    fn enter(&mut self, resource: &'a str, exclusive: bool) -> bool {
        let standing = self.0.entry(resource).or_default();
        let granted = !if exclusive { standing.anybody } else { standing.exclusive };
        standing.anybody = true;
        standing.exclusive |= exclusive;
        granted
    }
}

/// Draws the tickets of flows, in their order, and finds their places. Of these none is to be superseded by another.
pub(super) fn place<'a>(tx: &mut Tx<'_>, new: &[New<'a>], joined: bool) -> Result<Vec<Placed<'a>>> {
    let resources = new.iter().flat_map(|new| &new.flow.resources);
    let names: BTreeSet<&str> =
        resources.map(|(name, _)| name.as_str()).filter(|_| !joined).collect();
    let only = if names.len() == 1 { names.first() } else { None };
    let worker = new.iter().find_map(|new| new.worker);
    let (last, reached, taken, idle): (i64, i64, bool, bool) =
        tx.one(sql::TICKETS, (new.len(), only, worker))?;
    let taken = taken || names.len() > 1;
    let mut queues = if taken { Queues::look(tx, &names)? } else { Queues::default() };
    let passes = passes(tx, new, reached)?;
    let first = last - i64::try_from(new.len()).unwrap_or(i64::MAX) + 1;
    let placed = (first..).zip(new).zip(passes).map(|((ticket, new), pass)| {
        let flow = new.flow;
        let mut resources: Vec<&(String, Access)> = flow.resources.iter().collect();
        resources.sort_by_key(|(name, _)| name);
        let entries = resources.into_iter().map(|(name, access)| {
            let exclusive = *access == Access::Exclusive;
            let granted = joined || queues.enter(name, exclusive);
            Entry { resource: name, exclusive, granted }
        });
        let mut placed =
            Placed { flow, ticket, pass, entries: entries.collect(), joined, owner: None };
        placed.owner = new.worker.filter(|_| idle && placed.is_ready());
        placed
    });
    Ok(placed.collect())
}

/// The turn of each flow: those of one model come one after the other, from the turn that is reached.
fn passes(tx: &mut Tx<'_>, new: &[New<'_>], reached: i64) -> Result<Vec<i64>> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for model in new.iter().filter_map(|new| new.flow.model.as_deref()) {
        *counts.entry(model).or_default() += 1;
    }
    let mut next = BTreeMap::new();
    for (model, count) in counts {
        let last: i64 = tx.one(sql::SHARE, (model, reached, count - 1))?;
        next.insert(model, last - count + 1);
    }
    let pass = |new: &New<'_>| {
        let Some(next) = new.flow.model.as_deref().and_then(|model| next.get_mut(model)) else {
            return reached;
        };
        let pass = *next;
        *next += 1;
        pass
    };
    Ok(new.iter().map(pass).collect())
}
