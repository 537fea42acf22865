//! Commands about the connection itself.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, integer, is},
        session::Session,
    },
    resp::Reply as _,
};

const WRONG_PASSWORD: Refusal =
    Refusal::new("WRONGPASS invalid username-password pair or user is disabled.");

pub(in crate::broker::engine) fn ping(call: &mut Call<'_>) -> Handled {
    match call.request.len() {
        1 => call.reply.status("PONG"),
        2 => call.reply.bulk(call.argument(1)),
        _ => return Err(Refusal::arity("ping")),
    }
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn echo(call: &mut Call<'_>) -> Handled {
    call.reply.bulk(call.argument(1));
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn quit(call: &mut Call<'_>) -> Handled {
    call.reply.status("OK");
    Ok(Flow::Close)
}

/// Everything as it was when the client came.
pub(in crate::broker::engine) fn reset(call: &mut Call<'_>) -> Handled {
    let trusted = call.engine.settings.password.is_none();
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        let address = std::mem::take(&mut session.address);
        *session = Session::new(address, trusted, session.connected_at);
    }
    call.reply.status("RESET");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn select(call: &mut Call<'_>) -> Handled {
    let number = call.integer(1)?;
    let number = usize::try_from(number)
        .ok()
        .filter(|number| *number < call.engine.databases.len())
        .ok_or(Refusal::new("ERR DB index is out of range"))?;
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        session.database = number;
    }
    call.reply.status("OK");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn auth(call: &mut Call<'_>) -> Handled {
    match call.request.len() {
        2 if call.engine.settings.password.is_none() => {
            return Err(Refusal::new(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        2 => authenticate(call, b"default", call.argument(1))?,
        3 => authenticate(call, call.argument(1), call.argument(2))?,
        _ => return Err(Refusal::SYNTAX),
    }
    call.reply.status("OK");
    Ok(Flow::Done)
}

/// The one user is called `default`, as in Redis. Without a password it may be given any.
fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let right = match &call.engine.settings.password {
        Some(wanted) => equal(wanted.as_bytes(), password),
        None => true,
    };
    if user != b"default" || !right {
        return Err(WRONG_PASSWORD);
    }
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        session.trusted = true;
    }
    Ok(())
}

/// Compares without telling by the time it takes where they differ.
fn equal(wanted: &[u8], given: &[u8]) -> bool {
    let differing = (0..wanted.len().max(given.len())).fold(0, |differing, at| {
        differing | (wanted.get(at).copied().unwrap_or(0) ^ given.get(at).copied().unwrap_or(0))
    });
    differing == 0 && wanted.len() == given.len()
}

/// `HELLO [2 [AUTH user password] [SETNAME name]]`. There is no RESP3; clients fall back to RESP2.
pub(in crate::broker::engine) fn hello(call: &mut Call<'_>) -> Handled {
    if call.request.len() > 1 {
        let version = call
            .integer(1)
            .map_err(|_| Refusal::new("ERR Protocol version is not an integer or out of range"))?;
        if version != 2 {
            return Err(Refusal::new("NOPROTO unsupported protocol version"));
        }
    }
    let mut at = 2;
    while at < call.request.len() {
        let option = call.argument(at);
        let left = call.request.len() - at - 1;
        if is(option, "AUTH") && left >= 2 {
            authenticate(call, call.argument(at + 1), call.argument(at + 2))?;
            at += 3;
        } else if is(option, "SETNAME") && left >= 1 {
            set_name(call, call.argument(at + 1))?;
            at += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Refusal(format!("ERR Syntax error in HELLO option '{option}'").into()));
        }
    }
    if call.engine.is_unknown(call.client) {
        return Err(Refusal::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    let client = call.client as i64;
    let reply = &mut *call.reply;
    reply.array(14);
    for (name, value) in [("server", "redis"), ("version", super::server::REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(2);
    reply.bulk(b"id");
    reply.integer(client);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Flow::Done)
}

fn set_name(call: &mut Call<'_>, name: &[u8]) -> Result<(), Refusal> {
    let name = word(name).ok_or(Refusal::new(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))?;
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        session.name = name;
    }
    Ok(())
}

/// A text that can stand in `CLIENT LIST`.
fn word(text: &[u8]) -> Option<String> {
    const WORD_BYTES_MAX: usize = 256;
    let printable = text.len() <= WORD_BYTES_MAX && text.iter().all(u8::is_ascii_graphic);
    if printable { String::from_utf8(text.to_vec()).ok() } else { None }
}

pub(in crate::broker::engine) fn client(call: &mut Call<'_>) -> Handled {
    let what = call.argument(1).to_ascii_uppercase();
    match (what.as_slice(), call.request.len()) {
        (b"ID", 2) => call.reply.integer(call.client as i64),
        (b"SETNAME", 3) => {
            set_name(call, call.argument(2))?;
            call.reply.status("OK");
        }
        (b"GETNAME", 2) => match call.engine.sessions.get(&call.client) {
            Some(session) if !session.name.is_empty() => call.reply.bulk(session.name.as_bytes()),
            _ => call.reply.null(),
        },
        (b"SETINFO", 4) => set_info(call)?,
        (b"NO-EVICT" | b"NO-TOUCH", 3) => call.reply.status("OK"),
        (b"INFO", 2) => {
            let line = call
                .engine
                .sessions
                .get(&call.client)
                .map(|session| describe(call, call.client, session));
            call.reply.bulk(line.unwrap_or_default().as_bytes());
        }
        (b"LIST", _) => {
            let lines = call
                .engine
                .sessions
                .iter()
                .map(|(client, session)| describe(call, *client, session));
            let lines: String = lines.collect();
            call.reply.bulk(lines.as_bytes());
        }
        (b"KILL", 3..) => kill(call)?,
        (
            b"ID" | b"SETNAME" | b"GETNAME" | b"SETINFO" | b"NO-EVICT" | b"NO-TOUCH" | b"INFO"
            | b"KILL",
            _,
        ) => {
            let name = format!("client|{}", String::from_utf8_lossy(&what).to_lowercase());
            return Err(Refusal::arity(&name));
        }
        _ => return Err(unknown_subcommand(call, "CLIENT")),
    }
    Ok(Flow::Done)
}

pub(super) fn unknown_subcommand(call: &Call<'_>, command: &str) -> Refusal {
    let given = call.argument(1);
    let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
    Refusal(format!("ERR unknown subcommand '{given}'. Try {command} HELP.").into())
}

fn set_info(call: &mut Call<'_>) -> Result<(), Refusal> {
    let value = word(call.argument(3)).ok_or(Refusal::new(
        "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.",
    ))?;
    let attribute = call.argument(2);
    let (is_name, is_version) = (is(attribute, "LIB-NAME"), is(attribute, "LIB-VER"));
    if !is_name && !is_version {
        let attribute = String::from_utf8_lossy(attribute);
        return Err(Refusal(format!("ERR Unrecognized option '{attribute}'").into()));
    }
    if let Some(session) = call.engine.sessions.get_mut(&call.client) {
        if is_name { session.library.0 = value } else { session.library.1 = value }
    }
    call.reply.status("OK");
    Ok(())
}

/// A line of `CLIENT LIST`, with those of Redis' fields that mean something here.
fn describe(call: &Call<'_>, client: u64, session: &Session) -> String {
    let seconds = |since: i64| (call.now - since).max(0) / 1000;
    let flags = match &session.transaction {
        _ if call.engine.waiting.contains(client) => "b",
        Some(_) => "x",
        None => "N",
    };
    let queued = session.transaction.as_ref().map_or(-1, |queue| queue.commands.len() as i64);
    format!(
        "id={client} addr={} laddr= fd=-1 name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 multi={queued} \
         cmd={} user=default lib-name={} lib-ver={} redir=-1 resp=2\n",
        session.address,
        session.name,
        seconds(session.connected_at),
        seconds(session.active_at),
        session.database,
        session.last_command,
        session.library.0,
        session.library.1,
    )
}

/// `CLIENT KILL address`, or `CLIENT KILL [ID n] [ADDR address] [SKIPME yes|no]`.
fn kill(call: &mut Call<'_>) -> Result<(), Refusal> {
    if call.request.len() == 3 {
        let address = call.argument(2);
        let found = matching(call, |_, session| session.address.as_bytes() == address);
        let found = found.first().copied().ok_or(Refusal::new("ERR No such client"))?;
        call.engine.killed.push(found);
        call.reply.status("OK");
        return Ok(());
    }
    let (mut id, mut address, mut skips_me) = (None, None, true);
    if call.request.len() % 2 == 1 {
        return Err(Refusal::SYNTAX);
    }
    for at in (2..call.request.len()).step_by(2) {
        let (name, value) = (call.argument(at), call.argument(at + 1));
        if is(name, "ID") {
            let number = integer(value).ok().filter(|number| *number > 0);
            id = Some(number.ok_or(Refusal::new("ERR client-id should be greater than 0"))?);
        } else if is(name, "ADDR") {
            address = Some(value);
        } else if is(name, "SKIPME") && (is(value, "YES") || is(value, "NO")) {
            skips_me = is(value, "YES");
        } else if is(name, "TYPE") && is(value, "NORMAL") || is(name, "USER") && value == b"default"
        {
            // All clients are of this kind.
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    let me = call.client;
    let found = matching(call, |client, session| {
        id.is_none_or(|id| client == id as u64)
            && address.is_none_or(|address| session.address.as_bytes() == address)
            && !(skips_me && client == me)
    });
    call.reply.integer(found.len() as i64);
    call.engine.killed.extend(found);
    Ok(())
}

fn matching(call: &Call<'_>, mut matches: impl FnMut(u64, &Session) -> bool) -> Vec<u64> {
    let sessions = call.engine.sessions.iter();
    sessions
        .filter(|(client, session)| matches(**client, session))
        .map(|(client, _)| *client)
        .collect()
}
