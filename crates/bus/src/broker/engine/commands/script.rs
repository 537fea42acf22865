//! The one script of Lightbus: destroy a group of a stream if it has no consumers.
//!
//! Nothing here runs Lua. The script is recognised by its words, and does what it says.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal},
        commands::{stream_group, stream_info},
    },
    resp::Reply as _,
};

/// The script without spaces and line breaks. Source: captured traffic of Lightbus 1.1.2.
const DESTROY_IF_EMPTY: &str = "localstream_name=KEYS[1]localgroup_name=ARGV[1]localconsumers=redis.call('xinfo','consumers',\
    stream_name,group_name)iftable.getn(consumers)==0thenredis.call('xgroup','destroy',stream_name,group_name)end";

/// How Redis ends the errors of this script: its digest and the line that failed.
const WHERE: &str = " script: 582bedd3f4a6ee650b3fa96e431c63223563c131, on @user_script:4.";

pub(in crate::broker::engine) fn eval(call: &mut Call<'_>) -> Handled {
    let words = call.argument(1).iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    if !words.eq(DESTROY_IF_EMPTY.bytes()) {
        return Err(Refusal::new(
            "ERR This broker has no Lua; the only script it knows is that by which Lightbus destroys groups without consumers",
        ));
    }
    if call.integer(2)? != 1 || call.request.len() != 5 {
        return Err(Refusal::new(
            "ERR The script takes one key, the stream, and one argument, the group",
        ));
    }
    let (stream, group) = (call.argument(3), call.argument(4));
    let consumers = stream_info::consumers(call, stream, group)
        .map_err(|Refusal(text)| Refusal(format!("{text}{WHERE}").into()))?;
    if consumers == 0 {
        stream_group::destroy_group(call, stream, group)?;
    }
    call.reply.null();
    Ok(Flow::Done)
}

/// Clients then send the script itself.
pub(in crate::broker::engine) fn evalsha(_: &mut Call<'_>) -> Handled {
    Err(Refusal::new("NOSCRIPT No matching script. Please use EVAL."))
}
