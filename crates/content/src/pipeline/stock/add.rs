//! Puts saved units into the draft of the new version.

use std::{collections::HashMap, sync::Arc};

use super::{super::stages::ADD, UNITS_AT_ONCE};
use crate::{
    pipeline::{Declared, Failure, Stage, batches},
    repository::Member,
};

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
            .write(move |tx| seen.draft().add_unless(tx, &writing, |unit| seen.is_seen(unit)))
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

fn twice(path: &str) -> Failure {
    Failure::nowhere(path, "another unit of this source has that path already")
}
