//! The commands there are.

use std::collections::HashMap;

use super::{
    call::{Call, Handled, Refusal},
    commands::{
        connection, keys, lists, replay, script, server, sets, stream_add, stream_claim,
        stream_group, stream_info, stream_pending, stream_read, strings, transaction,
    },
};
use crate::resp::Request;

/// Longest name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 16;

/// It may take more memory, and is refused when there is none.
pub(super) const GROWS: u8 = 1;
/// It changes what is written down, and is refused when that cannot be.
pub(super) const WRITES: u8 = 2;
/// Its reply shows or follows from what is written down, and waits until that is.
pub(super) const SEES: u8 = 4;
/// It is answered before the password was given.
pub(super) const OPEN: u8 = 8;
/// It controls a transaction and is not part of one.
pub(super) const CONTROLS: u8 = 16;
/// It is found in the log only.
pub(super) const LOG_ONLY: u8 = 32;

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    /// In small letters, as errors say it.
    pub(super) name: &'static str,
    /// Arguments with the name; a negative number means at least so many.
    arity: i32,
    traits: u8,
    pub(super) handler: fn(&mut Call<'_>) -> Handled,
}

impl Command {
    pub(super) fn is(&self, which: u8) -> bool {
        self.traits & which != 0
    }

    /// Whether a request may take more memory.
    pub(super) fn grows(&self, request: Request<'_>) -> bool {
        self.is(GROWS) && (self.name != "xgroup" || stream_group::grows(request))
    }

    pub(super) fn check_arity(&self, request: Request<'_>) -> Result<(), Refusal> {
        let wanted = self.arity.unsigned_abs() as usize;
        let fits = if self.arity < 0 { request.len() >= wanted } else { request.len() == wanted };
        if fits { Ok(()) } else { Err(Refusal::arity(self.name)) }
    }
}

/// The commands by their names in capitals.
pub(super) fn by_name() -> HashMap<&'static [u8], &'static Command> {
    COMMANDS.iter().map(|(name, command)| (name.as_bytes(), command)).collect()
}

macro_rules! commands {
    ($($upper:literal $name:literal $arity:literal $handler:path, $traits:expr;)*) => {
        static COMMANDS: &[(&str, Command)] = &[
            $(($upper, Command { name: $name, arity: $arity, traits: $traits, handler: $handler }),)*
        ];
    };
}

commands! {
    "AUTH" "auth" -2 connection::auth, OPEN;
    "CLIENT" "client" -2 connection::client, 0;
    "ECHO" "echo" 2 connection::echo, 0;
    "HELLO" "hello" -1 connection::hello, OPEN;
    "PING" "ping" -1 connection::ping, 0;
    "QUIT" "quit" -1 connection::quit, OPEN | CONTROLS;
    "RESET" "reset" 1 connection::reset, OPEN | CONTROLS;
    "SELECT" "select" 2 connection::select, 0;

    "COMMAND" "command" -1 server::command, 0;
    "CONFIG" "config" -2 server::config, 0;
    "INFO" "info" -1 server::info, 0;
    "TIME" "time" 1 server::time, 0;

    "DISCARD" "discard" 1 transaction::discard, CONTROLS;
    "EXEC" "exec" 1 transaction::exec, CONTROLS | SEES;
    "MULTI" "multi" 1 transaction::multi, CONTROLS;

    "EVAL" "eval" -3 script::eval, WRITES | SEES;
    "EVALSHA" "evalsha" -3 script::evalsha, 0;

    "DBSIZE" "dbsize" 1 keys::dbsize, 0;
    "DEL" "del" -2 keys::del, WRITES;
    "EXISTS" "exists" -2 keys::exists, 0;
    "EXPIRE" "expire" -3 keys::expire, WRITES;
    "EXPIREAT" "expireat" -3 keys::expire_at, WRITES;
    "FLUSHALL" "flushall" -1 keys::flush_all, WRITES;
    "FLUSHDB" "flushdb" -1 keys::flush, WRITES;
    "KEYS" "keys" 2 keys::keys, 0;
    "PERSIST" "persist" 2 keys::persist, WRITES;
    "PEXPIRE" "pexpire" -3 keys::pexpire, WRITES;
    "PEXPIREAT" "pexpireat" -3 keys::pexpire_at, WRITES;
    "PTTL" "pttl" 2 keys::pttl, 0;
    "SCAN" "scan" -2 keys::scan, 0;
    "TTL" "ttl" 2 keys::ttl, 0;
    "TYPE" "type" 2 keys::kind, 0;
    "UNLINK" "unlink" -2 keys::del, WRITES;

    "DECR" "decr" 2 strings::decrement, WRITES | GROWS;
    "GET" "get" 2 strings::get, 0;
    "INCR" "incr" 2 strings::increment, WRITES | GROWS;
    "INCRBY" "incrby" 3 strings::increment_by, WRITES | GROWS;
    "MGET" "mget" -2 strings::get_many, 0;
    "SET" "set" -3 strings::set, WRITES | GROWS;
    "SETEX" "setex" 4 strings::set_for, WRITES | GROWS;
    "SETNX" "setnx" 3 strings::set_new, WRITES | GROWS;

    "BLMPOP" "blmpop" -5 lists::wait_pop_many, 0;
    "BLPOP" "blpop" -3 lists::wait_pop_front, 0;
    "BRPOP" "brpop" -3 lists::wait_pop_back, 0;
    "LLEN" "llen" 2 lists::length, 0;
    "LMPOP" "lmpop" -4 lists::pop_many, 0;
    "LPOP" "lpop" -2 lists::pop_front, 0;
    "LPUSH" "lpush" -3 lists::push_front, GROWS;
    "LRANGE" "lrange" 4 lists::range, 0;
    "RPOP" "rpop" -2 lists::pop_back, 0;
    "RPUSH" "rpush" -3 lists::push_back, GROWS;

    "SADD" "sadd" -3 sets::add, WRITES | GROWS;
    "SCARD" "scard" 2 sets::count, 0;
    "SISMEMBER" "sismember" 3 sets::contains, 0;
    "SMEMBERS" "smembers" 2 sets::members, 0;
    "SREM" "srem" -3 sets::remove, WRITES;

    "XACK" "xack" -4 stream_pending::acknowledge, WRITES | SEES;
    "XADD" "xadd" -5 stream_add::add, WRITES | GROWS | SEES;
    "XAUTOCLAIM" "xautoclaim" -6 stream_claim::claim_any, WRITES | SEES;
    "XCLAIM" "xclaim" -6 stream_claim::claim, WRITES | SEES;
    "XDEL" "xdel" -3 stream_add::delete, WRITES | SEES;
    "XGROUP" "xgroup" -2 stream_group::group, WRITES | GROWS | SEES;
    "XINFO" "xinfo" -2 stream_info::info, SEES;
    "XLEN" "xlen" 2 stream_info::length, SEES;
    "XPENDING" "xpending" -3 stream_pending::pending, SEES;
    "XRANGE" "xrange" -4 stream_read::range, SEES;
    "XREAD" "xread" -4 stream_read::read, SEES;
    "XREADGROUP" "xreadgroup" -7 stream_read::read_group, WRITES | SEES;
    "XREVRANGE" "xrevrange" -4 stream_read::range_back, SEES;
    "XTRIM" "xtrim" -4 stream_add::trim, WRITES | SEES;

    "LOG.DELIVERED" "log.delivered" -7 replay::delivered, LOG_ONLY;
    "LOG.ENTRY" "log.entry" -5 replay::entry, LOG_ONLY;
    "LOG.PENDING" "log.pending" 7 replay::pending, LOG_ONLY;
    "LOG.STREAM" "log.stream" 5 replay::stream, LOG_ONLY;
}
