//! Writing boundaries: those of many flows together.

use std::collections::{BTreeMap, BTreeSet};

use tutti_store::{Json, ToValue as _, Tx};
use uuid::Uuid;

use super::{
    Arrival, Born, Boundary, Changed, Fence, Look, Written,
    end::{announce_change, announce_failures, end},
};
use crate::{
    Fate, NewFlow, Result, TaskState, change, child_id, failure, offer, retention, sql, submit,
    task_id,
};

/// Writes plain boundaries of different flows. It is refused if one of the flows is another's.
pub(crate) fn write_plain(tx: &mut Tx<'_>, boundaries: &[Boundary]) -> Result<()> {
    let smooth = boundaries.iter().flat_map(|boundary| &boundary.changed).all(Changed::is_smooth);
    let rows = boundaries.iter().flat_map(|boundary| {
        boundary.changed.iter().enumerate().map(move |(at, changed)| {
            let (flow, asks) = (boundary.flow, at == 0);
            let mut row = if smooth { changed.smooth_row(flow) } else { changed.row(flow) };
            // All of it is refused together: one row asks for the flow.
            row.push(asks.then_some(boundary.epoch).to_value());
            row
        })
    });
    Ok(tx.send_many(if smooth { sql::TASK_GOES_ON } else { sql::TASK_WRITE_OWN }, rows)?)
}

/// Writes boundaries of different flows; answers what became of each. `now` is in microseconds since 1970, UTC.
pub(crate) fn write(tx: &mut Tx<'_>, boundaries: &[&Boundary], now: i64) -> Result<Vec<Written>> {
    let before = boundaries.iter().map(|boundary| is_written(tx, boundary));
    let before: Vec<bool> = before.collect::<Result<_>>()?;
    let mut written = look(tx, boundaries, &before)?;
    for (boundary, what) in boundaries.iter().zip(&written) {
        if *what == Written::Done && !boundary.heard.is_empty() {
            let heard = (boundary.flow, boundary.epoch, Json(&boundary.heard));
            tx.exec(sql::FLOW_HEARD, heard)?;
        }
    }
    write_heads(tx, boundaries, &mut written)?;
    fence(tx, boundaries, &mut written)?;
    let mut done = Vec::with_capacity(boundaries.len());
    for ((boundary, before), what) in boundaries.iter().zip(before).zip(&written) {
        if *what != Written::Done {
            continue;
        }
        // What must not be done twice.
        if !before {
            add_tasks(tx, boundary)?;
            let worker = boundary.owner.map(|worker| worker.to_string());
            failure::keep(tx, boundary.flow, &boundary.kept, worker.as_deref(), now)?;
            announce_failures(tx, boundary)?;
            offer::add(tx, (boundary.flow, boundary.epoch), &boundary.offers, now)?;
        }
        announce_change(tx, boundary, before)?;
        done.push(*boundary);
    }
    write_tasks(tx, &done)?;
    let anew = done.iter().flat_map(|one| one.anew.iter().map(|number| (one.flow, *number)));
    tx.send_many(sql::REPORT_FORGOTTEN, anew.collect::<Vec<_>>())?;
    forget_heard(tx, &done)?;
    begin_waits(tx, &done)?;
    for boundary in &done {
        for born in &boundary.children {
            submit_child(tx, boundary, born, now)?;
        }
        for (number, _) in &boundary.undoes {
            change::undo_child(tx, (boundary.flow, *number), now)?;
        }
        for (child, suspended) in &boundary.suspends {
            change::suspend_child(tx, *child, *suspended, now)?;
        }
    }
    end(tx, &done, now)?;
    for boundary in &done {
        offer::withdraw(tx, boundary.flow, &boundary.withdrawals, now)?;
    }
    Ok(written)
}

/// Forgets news together with writing what came of it. What is not written yet is to be heard again after a crash.
fn forget_heard(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    for boundary in done.iter().filter(|boundary| !boundary.heard.is_empty()) {
        tx.exec(sql::INBOX_HEARD, (boundary.flow, Json(&boundary.heard)))?;
    }
    Ok(())
}

/// Whether a boundary written again was written before. A flow let go by it is not asked about: it is another's.
fn is_written(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<bool> {
    if boundary.fence != Fence::Again {
        return Ok(false);
    }
    for changed in &boundary.changed {
        let stored: Option<(TaskState, u32, u32, Option<i64>)> =
            tx.maybe(sql::TASK_STANDS, (boundary.flow, changed.number))?;
        let (attempt, revert_attempt) = (changed.attempt, changed.revert_attempt);
        if stored != Some((changed.state, attempt, revert_attempt, changed.finished)) {
            return Ok(false);
        }
    }
    let Some(head) = boundary.head.as_ref().filter(|_| boundary.changed.is_empty()) else {
        return Ok(true);
    };
    let stored = tx.maybe(sql::FLOW_STANDS, (boundary.flow,))?;
    Ok(stored == Some((head.state, head.reverting, head.suspended)))
}

/// Sees what has come already of that for which tasks begin to wait. What was written before has looked, too.
fn look(tx: &mut Tx<'_>, boundaries: &[&Boundary], before: &[bool]) -> Result<Vec<Written>> {
    let looks: Vec<&[Look]> = boundaries
        .iter()
        .zip(before)
        .map(|(boundary, before)| if *before { &[] } else { boundary.looks.as_slice() })
        .collect();
    let looked = looks.iter().copied().flatten();
    let keys: BTreeSet<&str> = looked.map(|look| look.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(vec![Written::Done; boundaries.len()]);
    }
    let signals: Vec<(String, Option<i64>, Option<String>)> =
        tx.all_many(sql::SIGNALS_OF, keys.into_iter().map(|key| (key,)))?;
    let signals: BTreeMap<String, (Option<i64>, Option<String>)> =
        signals.into_iter().map(|(key, value, trouble)| (key, (value, trouble))).collect();
    let written = looks.into_iter().map(|looks| {
        let arrived = looks.iter().filter_map(|look| look.arrival(signals.get(&look.key)));
        let arrived: Vec<Arrival> = arrived.collect();
        if arrived.is_empty() { Written::Done } else { Written::Arrived(arrived) }
    });
    Ok(written.collect())
}

fn begin_waits(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    let mut begun = Vec::new();
    for boundary in done {
        let flow = boundary.flow;
        for look in &boundary.looks {
            begun.push((look.key.to_value(), flow, look.number, look.at_least, look.joins));
        }
        let joined = boundary.children.iter().filter(|born| born.child.fate == Fate::Joined);
        let joined = joined.map(|born| (born.number, born.joins));
        for (number, joins) in joined.chain(boundary.undoes.iter().copied()) {
            let child = child_id(task_id(flow, number));
            begun.push((child.to_value(), flow, number, i64::MAX, joins));
        }
    }
    if !begun.is_empty() {
        tx.send_many(sql::WAIT_BEGIN, begun)?;
    }
    let cancels = done.iter().flat_map(|boundary| {
        boundary.cancels.iter().map(|(child, joins)| (child, boundary.flow, joins))
    });
    let cancels: Vec<_> = cancels.collect();
    if !cancels.is_empty() {
        tx.send_many(sql::WAIT_UNWANTED, cancels)?;
    }
    Ok(())
}

fn write_heads(tx: &mut Tx<'_>, boundaries: &[&Boundary], written: &mut [Written]) -> Result<()> {
    let to_write =
        |boundary: &Boundary, what: &Written| boundary.head.is_some() && *what == Written::Done;
    let heads =
        boundaries.iter().zip(&*written).filter(|(boundary, what)| to_write(boundary, what));
    let heads = heads.map(|(boundary, _)| *boundary);
    let (own, asked): (Vec<&Boundary>, Vec<&Boundary>) =
        heads.partition(|boundary| boundary.is_refused_by_its_head());
    if !own.is_empty() {
        tx.send_many(sql::HEAD_WRITE_OWN, own.iter().filter_map(|boundary| boundary.head_row()))?;
    }
    if asked.is_empty() {
        return Ok(());
    }
    let rows = asked.iter().filter_map(|boundary| boundary.head_row());
    let accepted: Vec<Uuid> = tx.all_many(sql::HEAD_WRITE, rows)?;
    let accepted: BTreeSet<Uuid> = accepted.into_iter().collect();
    for (boundary, what) in boundaries.iter().zip(written) {
        let asked = to_write(boundary, what) && !boundary.is_refused_by_its_head();
        if asked && !accepted.contains(&boundary.flow) {
            let owner: Option<(i64, Option<Uuid>)> = tx.maybe(sql::FLOW_OWNER, (boundary.flow,))?;
            let own = owner == Some((boundary.epoch, boundary.owner));
            *what = if own { Written::Nudged } else { Written::Fenced };
        }
    }
    Ok(())
}

/// Adds the tasks of lists.
fn add_tasks(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<()> {
    if !boundary.added.is_empty() {
        tx.insert_many("flow_task", submit::TASK_COLUMNS, boundary.added.iter().cloned())?;
        tx.exec(sql::TASKS_GREW, (boundary.flow, boundary.tasks))?;
    }
    Ok(())
}

fn write_tasks(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    let changes: Vec<_> = done
        .iter()
        .flat_map(|boundary| boundary.changed.iter().map(|changed| (*boundary, changed)))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    tx.send_many(
        sql::TASK_WRITE,
        changes.iter().map(|(boundary, changed)| changed.row(boundary.flow)),
    )?;
    Ok(())
}

/// Finds out whose boundaries change no flow's own row, by which the others are fenced.
fn fence(tx: &mut Tx<'_>, boundaries: &[&Boundary], written: &mut [Written]) -> Result<()> {
    let unfenced = |boundary: &Boundary, what: &Written| {
        boundary.head.is_none() && boundary.fence != Fence::Certain && *what == Written::Done
    };
    let asked =
        boundaries.iter().zip(&*written).filter(|(boundary, what)| unfenced(boundary, what));
    let asked: Vec<_> = asked.map(|(boundary, _)| (boundary.flow, boundary.epoch)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let owned: Vec<Uuid> = tx.all_many(sql::FLOW_OWNED, asked)?;
    let owned: BTreeSet<Uuid> = owned.into_iter().collect();
    for (boundary, what) in boundaries.iter().zip(written) {
        if unfenced(boundary, what) && !owned.contains(&boundary.flow) {
            *what = Written::Fenced;
        }
    }
    Ok(())
}

fn submit_child(
    tx: &mut Tx<'_>,
    parent: &Boundary,
    Born { number, child, .. }: &Born,
    now: i64,
) -> Result<()> {
    let id = child_id(task_id(parent.flow, *number));
    match tx.maybe(sql::FLOW_FORGOTTEN, (id,))? {
        Some(false) => return change::child_again(tx, id, now),
        Some(true) => retention::forget_rest(tx, id)?,
        None => {}
    }
    let model = child.flow.model.clone().or_else(|| parent.label.model.clone());
    let inherited = || parent.label.trace.as_deref().map(str::to_owned);
    let trace = child.flow.trace.clone().or_else(inherited);
    let flow = NewFlow { id, model, trace, ..child.flow.clone() };
    submit::submit_child(tx, flow, (parent.flow, *number, child.fate), now)
}
