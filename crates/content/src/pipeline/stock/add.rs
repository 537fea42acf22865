//! Puts saved units into the draft of the new version.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tutti_store::{Tx, sql};

use super::{super::stages::ADD, UNITS_AT_ONCE};
use crate::{
    Error,
    pipeline::{Declared, Failure, Stage, batches},
    repository::Member,
};

sql! {
    THERE = "SELECT id FROM content_unit {rows} WHERE id = $1";
}

pub(in crate::pipeline) fn add() -> Stage<Declared, Declared> {
    batches(ADD, UNITS_AT_ONCE, |context, units: Vec<Declared>| async move {
        let mut first: HashMap<&str, i64> = HashMap::new();
        let mut members = Vec::new();
        for unit in &units {
            let Some(id) = unit.unit else { continue };
            match first.insert(&unit.path, id) {
                None => members.push(Member {
                    path: unit.path.clone(),
                    unit: id,
                    content_type: unit.content_type.clone(),
                }),
                Some(before) => {
                    first.insert(&unit.path, before);
                    if before != id {
                        context.leave_out(twice(&unit.path))?;
                    }
                }
            }
        }
        let members: Arc<[Member]> = members.into();
        let (writing, seen) = (Arc::clone(&members), context.clone());
        let added = context
            .store()
            .write(move |tx| {
                are_there(tx, &writing)?;
                seen.draft().add_unless(tx, &writing, |unit| seen.is_seen(unit))
            })
            .await?;
        for path in &added.taken {
            context.leave_out(twice(path))?;
        }
        let is_taken = |member: &&Member| added.taken.contains(&member.path);
        context.see(members.iter().filter(|member| !is_taken(member)).map(|member| member.unit));
        context.count(|counts| {
            counts.units += (members.len() - added.taken.len()) as u64;
            counts.added += added.count;
        });
        Ok(units)
    })
}

/// A cleanup that spares nothing may have come between saving and adding: no version holds what is not there.
fn are_there(tx: &mut Tx<'_>, members: &[Member]) -> Result<(), Error> {
    let found: Vec<i64> = tx.all_many(THERE, members.iter().map(|member| (member.unit,)))?;
    if found.len() == members.len() {
        return Ok(());
    }
    let found: HashSet<i64> = found.into_iter().collect();
    match members.iter().find(|member| !found.contains(&member.unit)) {
        Some(gone) => Err(Error::Missing { what: "unit", id: gone.unit }),
        None => Ok(()),
    }
}

fn twice(path: &str) -> Failure {
    Failure::nowhere(path, "another unit of this source has that path already")
}
