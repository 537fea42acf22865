//! `MULTI` and `EXEC`: several commands with nothing between them, also not in the log. There is no `WATCH`.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal},
        session::{TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX, Transaction},
    },
    resp::{Reply as _, Request},
};

/// Keeps a command for later.
pub(in crate::broker::engine) fn queue(
    transaction: &mut Transaction,
    request: Request<'_>,
    reply: &mut Vec<u8>,
) -> Handled {
    let owned = request.to_owned();
    let weight = transaction.weight + owned.weight();
    if transaction.commands.len() >= TRANSACTION_COMMANDS_MAX || weight > TRANSACTION_BYTES_MAX {
        *transaction = Transaction { spoiled: true, ..Transaction::default() };
        return Err(Refusal::new("ERR the transaction is too large"));
    }
    transaction.weight = weight;
    transaction.commands.push(owned);
    reply.status("QUEUED");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn multi(call: &mut Call<'_>) -> Handled {
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        if session.transaction.is_some() {
            return Err(Refusal::new("ERR MULTI calls can not be nested"));
        }
        session.transaction = Some(Transaction::default());
    }
    call.reply.status("OK");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn discard(call: &mut Call<'_>) -> Handled {
    take(call).ok_or(Refusal::new("ERR DISCARD without MULTI"))?;
    call.reply.status("OK");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn exec(call: &mut Call<'_>) -> Handled {
    let transaction = take(call).ok_or(Refusal::new("ERR EXEC without MULTI"))?;
    if transaction.spoiled {
        return Err(Refusal::new("EXECABORT Transaction discarded because of previous errors."));
    }
    let reply_bytes_max = call.reply.len().saturating_add(call.engine.reply_room);
    let mut is_cut_off = false;
    call.reply.array(transaction.commands.len());
    for owned in &transaction.commands {
        let request = owned.request();
        let start = call.reply.len();
        let Some(command) = call.engine.command(request) else { continue };
        // A transaction may change the database.
        let database = call.engine.sessions.get(&call.client).map_or(0, |session| session.database);
        let handled = (command.handler)(&mut Call {
            engine: call.engine,
            client: call.client,
            database,
            request,
            now: call.now,
            may_wait: false,
            only: None,
            replays: false,
            reply: call.reply,
        });
        match handled {
            Ok(_) => (),
            Err(refusal) => {
                call.reply.truncate(start);
                call.reply.error(&refusal.0);
            }
        }
        // All of it is done, also if there is no room for the reply.
        if call.reply.len() > reply_bytes_max {
            call.reply.truncate(reply_bytes_max);
            is_cut_off = true;
        }
    }
    Ok(if is_cut_off { Flow::Close } else { Flow::Done })
}

fn take(call: &mut Call<'_>) -> Option<Transaction> {
    call.engine.sessions.get_mut(&call.client)?.transaction.take()
}
