//! A step: one durable move of a unit, in one transaction.
//!
//! The step names the journal version it builds on. Another version at the controller means that
//! the step was made from something old, or that it was applied before and its answer was lost:
//! nothing is done, and the agent is told where the unit stands. So every step applies at most
//! once, and what a hook did becomes visible exactly when its journal does.
//!
//! What follows a step and needs nothing of the unit's machine is taken with it, in the same
//! transaction; the answer says how far the unit is then.
//!
//! Order: reports, entering relations, the hook's changes, how a task ended, storage, secrets,
//! addresses, leaving relations, the journal with its statuses; then those who wait for the unit
//! hear of it, and last the units that must react are touched.

use tutti_model::agent::{Follow, Followed, Resolved, Snapshot, Step, StepAnswer};
use tutti_model::operation::{check_journal, follow};
use tutti_store::{Json, Tx};

use super::compare::compare;
use super::context::{self, Surroundings};
use super::flush::{self, Committer};
use super::session::Agent;
use super::unit::{self, Loaded};
use super::{report, snapshot, sql};
use crate::models::{self, Model};
use crate::relations::view::View;
use crate::relations::{self, Member, Touched};
use crate::units::{self, Unit};
use crate::{Error, flows, logs, notices, operations, secrets, sequence, storage};

/// Applies a step, or refuses it whole, and goes on from there as far as it says.
pub(super) fn step(
    tx: &mut Tx<'_>,
    agent: &Agent,
    id: &str,
    step: &Step,
    now: i64,
) -> Result<Followed, Error> {
    let unit = unit::lock(tx, agent, id)?;
    if unit.version != step.version {
        return Err(Error::StaleJournal { current: unit.version, given: step.version });
    }
    let mut touched = Touched::new();
    apply(tx, &unit, step, now, &mut touched)?;
    let followed = match &step.follow {
        Some(after) if !step.dead => go_on(tx, id, after, now, &mut touched)?,
        _ => Followed::Nothing,
    };
    // What the unit did itself it learns from the answer.
    touched.remove(id);
    if !touched.is_empty() {
        sequence::touch(tx, touched.iter().map(String::as_str))?;
    }
    compare(tx, id, step, &followed, now)?;
    Ok(followed)
}

/// Takes the steps that need nothing of the unit's machine.
fn go_on(
    tx: &mut Tx<'_>,
    id: &str,
    after: &Follow,
    now: i64,
    touched: &mut Touched,
) -> Result<Followed, Error> {
    loop {
        let (unit, snapshot) = described(tx, id, now)?;
        let Some((step, followed)) = follow(&snapshot, after) else {
            return Ok(Followed::Nothing);
        };
        apply(tx, &unit, &step, now, touched)?;
        if followed != Followed::Nothing {
            return Ok(followed);
        }
    }
}

/// Everything a step does, but for waking those it touches.
fn apply(
    tx: &mut Tx<'_>,
    unit: &Unit,
    step: &Step,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    check_journal(&step.journal).map_err(|error| Error::Invalid(error.to_string()))?;
    let model = models::find(tx, &unit.model)?;
    report::apply(tx, &model, unit, &step.reports, now, touched)?;
    let member = relations::member(tx, &unit.id)?;
    effects(tx, unit, &member, step, now, touched)?;
    write(tx, &model, unit, step, now)?;
    if step.dead {
        units::dead(tx, &unit.id, now, touched)?;
    }
    tell(tx, unit, step, now)
}

/// The unit as it is now.
pub(super) fn current(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<Snapshot, Error> {
    Ok(described(tx, id, now)?.1)
}

fn described(tx: &mut Tx<'_>, id: &str, now: i64) -> Result<(Unit, Snapshot), Error> {
    let loaded = Loaded::load(tx, id)?;
    let view = View::load(tx, loaded.viewer())?;
    let snapshot = snapshot::snapshot(tx, &loaded, &view, now)?;
    Ok((loaded.unit, snapshot))
}

/// What the agent of a unit hears of a step that was applied. Read afterwards, so that the one who
/// writes is soon free for the next; what others changed meanwhile is in it.
pub(super) fn answer(
    tx: &mut Tx<'_>,
    id: &str,
    step: &Step,
    followed: Followed,
    surroundings: &Surroundings,
    now: i64,
) -> Result<StepAnswer, Error> {
    if step.dead {
        return Ok(StepAnswer::default());
    }
    let loaded = Loaded::load(tx, id)?;
    let view = View::load(tx, loaded.viewer())?;
    let snapshot = snapshot::snapshot(tx, &loaded, &view, now)?;
    let task = step.task.as_ref().map(|report| report.task);
    let context = if step.want_context || matches!(followed, Followed::Begun(_)) {
        let storage = &snapshot.storage;
        Some(context::context(tx, &loaded, &view, storage, task, surroundings)?)
    } else {
        None
    };
    Ok(StepAnswer { snapshot: Some(snapshot), context, followed })
}

/// Everything a step does beside the unit's own record.
fn effects(
    tx: &mut Tx<'_>,
    unit: &Unit,
    member: &Member,
    step: &Step,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    for relation in &step.enter {
        relations::enter(tx, &unit.model, *relation, member, now, touched)?;
    }
    if let Some(changes) = step.changes.as_ref().filter(|changes| !changes.is_empty()) {
        let charm = unit::charm_of(tx, &unit.application)?;
        let by = Committer { unit, member, charm: &charm, now };
        flush::flush(tx, &by, changes, touched)?;
    }
    if let Some(report) = &step.task {
        operations::report(tx, &unit.id, report, now)?;
    }
    for (storage, location) in &step.provisioned {
        storage::provisioned(tx, &unit.id, storage, location)?;
    }
    for storage in &step.detached {
        storage::detached(tx, &unit.id, storage)?;
    }
    if let Some(hook) = &step.rotated {
        secrets::rotated(tx, &unit.model, hook, now)?;
    }
    if let Some(hook) = &step.expired {
        secrets::expired(tx, hook, now)?;
    }
    if let Some(hook) = &step.noticed {
        notices::told(tx, &unit.id, hook)?;
    }
    if step.refresh_addresses {
        relations::refresh_addresses(tx, member, touched)?;
    }
    for relation in &step.leave {
        relations::leave(tx, &unit.model, *relation, member, now, touched)?;
    }
    Ok(())
}

/// The unit's own record: journal, statuses, marks.
fn write(tx: &mut Tx<'_>, model: &Model, unit: &Unit, step: &Step, now: i64) -> Result<(), Error> {
    if let Some(status) = &step.workload_status {
        report::set_workload(tx, model, unit, status, now)?;
    }
    if let Some(status) = &step.agent_status {
        report::set_agent(tx, model, unit, status, now)?;
    }
    let observed = step.observed_generation.unwrap_or_default().max(unit.observed_generation);
    let resolved = if step.clear_resolved { Json(Resolved::None) } else { unit.resolved };
    let trouble = step.trouble.as_deref().map_or_else(|| unit.trouble.clone(), logs::printable);
    let charm = step.journal.charm.as_ref().map_or("", |charm| charm.url.as_str());
    let journal = Json(&step.journal);
    let row = (&unit.id, journal, unit.version + 1, observed, charm, resolved, trouble);
    tx.exec(sql::WRITE, row)?;
    if step.observed_generation.is_some() {
        tx.exec(sql::PRUNE_HISTORY, (&unit.id,))?;
    }
    Ok(())
}

/// Tells the flows that wait for the unit what they wait for.
fn tell(tx: &mut Tx<'_>, unit: &Unit, step: &Step, now: i64) -> Result<(), Error> {
    if step.dead {
        return Ok(());
    }
    if let Some(trouble) = step.trouble.as_deref().filter(|trouble| *trouble != unit.trouble) {
        let message = (!trouble.is_empty()).then_some(trouble);
        flows::trouble(tx, &unit.id, message, now)?;
    }
    match step.observed_generation {
        Some(observed) if observed > unit.observed_generation => {
            flows::observed(tx, &unit.id, observed, now)
        }
        _ => Ok(()),
    }
}
