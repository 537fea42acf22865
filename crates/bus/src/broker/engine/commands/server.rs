//! Commands about the broker as a whole.

use crate::{
    broker::engine::call::{Call, Flow, Handled, Refusal},
    resp::Reply as _,
};

use super::{connection::unknown_subcommand, keys::matches};

/// The version whose behaviour is followed; clients decide by it what they may send.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// Clients that ask for the table of commands do well without it.
pub(in crate::broker::engine) fn command(call: &mut Call<'_>) -> Handled {
    match call.argument(1).to_ascii_uppercase().as_slice() {
        b"COUNT" => call.reply.integer(call.engine.names.len() as i64),
        b"" | b"DOCS" | b"INFO" | b"LIST" => call.reply.array(0),
        _ => return Err(unknown_subcommand(call, "COMMAND")),
    }
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn time(call: &mut Call<'_>) -> Handled {
    call.reply.array(2);
    call.reply.bulk((call.now / 1000).to_string().as_bytes());
    call.reply.bulk((call.now % 1000 * 1000).to_string().as_bytes());
    Ok(Flow::Done)
}

/// `CONFIG GET pattern …`: what is set elsewhere, in Redis' words. Nothing can be set here.
pub(in crate::broker::engine) fn config(call: &mut Call<'_>) -> Handled {
    match call.argument(1).to_ascii_uppercase().as_slice() {
        b"GET" if call.request.len() > 2 => (),
        b"GET" => return Err(Refusal::arity("config|get")),
        b"RESETSTAT" => {
            call.reply.status("OK");
            return Ok(Flow::Done);
        }
        b"SET" => {
            return Err(Refusal::new("ERR The broker's settings are given when it is started"));
        }
        _ => return Err(unknown_subcommand(call, "CONFIG")),
    }
    let settings = &call.engine.settings;
    let all = [
        ("appendonly", if settings.logs { "yes" } else { "no" }.to_owned()),
        ("databases", settings.databases.to_string()),
        ("maxclients", settings.clients_max.to_string()),
        ("maxmemory", settings.memory_bytes_max.to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("proto-max-bulk-len", settings.bulk_bytes_max.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let wanted = |name: &&(&str, String)| {
        call.request
            .from(2)
            .any(|pattern| matches(&pattern.to_ascii_lowercase(), name.0.as_bytes()))
    };
    let found: Vec<_> = all.iter().filter(wanted).collect();
    call.reply.array(found.len() * 2);
    for (name, value) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value.as_bytes());
    }
    Ok(Flow::Done)
}

/// `INFO [section …]`.
pub(in crate::broker::engine) fn info(call: &mut Call<'_>) -> Handled {
    const GENERAL: &[&[u8]] = &[b"all", b"default", b"everything"];
    let wants = |section: &str| {
        call.request.len() == 1
            || call.request.from(1).any(|wanted| {
                let wanted = wanted.to_ascii_lowercase();
                wanted == section.as_bytes() || GENERAL.contains(&wanted.as_slice())
            })
    };
    let sections = [
        ("server", "Server", server(call)),
        ("clients", "Clients", clients(call)),
        ("memory", "Memory", memory(call)),
        ("persistence", "Persistence", persistence(call)),
        ("stats", "Stats", format!("total_commands_processed:{}\r\n", call.engine.commands_done)),
        ("replication", "Replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("cluster", "Cluster", "cluster_enabled:0\r\n".to_owned()),
        ("keyspace", "Keyspace", keyspace(call)),
    ];
    let wanted = sections.iter().filter(|(name, _, _)| wants(name));
    let texts: Vec<_> = wanted.map(|(_, title, lines)| format!("# {title}\r\n{lines}")).collect();
    call.reply.bulk(texts.join("\r\n").as_bytes());
    Ok(Flow::Done)
}

fn server(call: &Call<'_>) -> String {
    let settings = &call.engine.settings;
    let uptime = (call.now - settings.started_at).max(0) / 1000;
    format!(
        "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nserver_name:tutti\r\ntutti_version:{}\r\n\
         os:{}\r\nprocess_id:{}\r\nuptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        settings.process_id,
        uptime / 86_400,
    )
}

fn clients(call: &Call<'_>) -> String {
    let engine = &call.engine;
    format!(
        "connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:{}\r\n",
        engine.sessions.len(),
        engine.settings.clients_max,
        engine.waiting.len(),
    )
}

fn memory(call: &Call<'_>) -> String {
    format!(
        "used_memory:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:noeviction\r\n",
        call.engine.memory_used(),
        call.engine.settings.memory_bytes_max,
    )
}

fn persistence(call: &Call<'_>) -> String {
    let engine = &call.engine;
    format!(
        "loading:0\r\naof_enabled:{}\r\naof_last_write_status:{}\r\ntutti_log_bytes:{}\r\ntutti_log_bytes_pending:{}\r\n",
        u8::from(engine.settings.logs),
        if engine.log_failure.is_some() { "err" } else { "ok" },
        engine.effects.position(),
        engine.effects.pending(),
    )
}

fn keyspace(call: &Call<'_>) -> String {
    let used = call.engine.databases.iter().enumerate().filter(|(_, data)| data.len() > 0);
    let line = |(number, data): (usize, &crate::broker::engine::database::Database)| {
        format!("db{number}:keys={},expires={},avg_ttl=0\r\n", data.len(), data.expiring())
    };
    used.map(line).collect()
}
