//! Sets.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled},
        database::Set,
    },
    resp::Reply as _,
};

pub(in crate::broker::engine) fn add(call: &mut Call<'_>) -> Handled {
    let (key, members) = (call.key(), call.request.from(2));
    let added = call
        .data()
        .change_or_begin(key, |set: &mut Set| members.filter(|member| set.add(member)).count())?;
    if added > 0 {
        call.record_request();
    }
    call.reply.integer(added as i64);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn remove(call: &mut Call<'_>) -> Handled {
    let (key, members) = (call.key(), call.request.from(2));
    let removed = call
        .data()
        .change(key, |set: &mut Set| members.filter(|member| set.remove(member)).count())?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        call.record_request();
    }
    call.reply.integer(removed as i64);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn count(call: &mut Call<'_>) -> Handled {
    let set = call.engine.databases[call.database].get::<Set>(call.key())?;
    call.reply.integer(set.map_or(0, |set| set.members.len() as i64));
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn contains(call: &mut Call<'_>) -> Handled {
    let set = call.engine.databases[call.database].get::<Set>(call.key())?;
    let found = set.is_some_and(|set| set.members.contains(call.argument(2)));
    call.reply.integer(found.into());
    Ok(Flow::Done)
}

/// In the order of their bytes; Redis has no order.
pub(in crate::broker::engine) fn members(call: &mut Call<'_>) -> Handled {
    let set = call.engine.databases[call.database].get::<Set>(call.key())?;
    call.reply.array(set.map_or(0, |set| set.members.len()));
    let members = set.into_iter().flat_map(|set| &set.members);
    members.for_each(|member| call.reply.bulk(member));
    Ok(Flow::Done)
}
