//! The worker's side of calls: one connection waits for the queues of all APIs served here.

use std::time::Duration;

use redis::{Cmd, RedisError, RedisResult, Value};

use super::calls::for_each_blob;
use super::link::is_connection_error;
use super::{Link, Patience, Waiting};
use crate::codec::keys;

/// How long one wait lasts, in seconds: finite, so that a dead connection is found.
const WAIT_SECONDS: u64 = 5;
/// Calls taken at a time.
const CALLS_MAX: usize = 64;

/// True if the server is too old for the command.
pub(crate) fn is_unknown_command(error: &RedisError) -> bool {
    error.code() == Some("ERR")
        && error.detail().is_some_and(|text| text.contains("unknown command"))
        || error.to_string().contains("unknown command")
}

/// Takes calls from queues.
pub(crate) struct Queue {
    waiting: Waiting,
    wake: String,
    queues: Vec<String>,
    next: usize,
    has_blmpop: bool,
}

impl Queue {
    /// `process` names this process and must be its alone.
    pub(crate) fn new(link: &Link, process: &str) -> Queue {
        Queue {
            waiting: Waiting::new(link.address().clone()),
            wake: keys::wake(process),
            queues: Vec::new(),
            next: 0,
            has_blmpop: true,
        }
    }

    /// From now on takes calls to these APIs.
    pub(crate) fn serve<'a>(&mut self, apis: impl Iterator<Item = &'a str>) {
        self.queues = apis.map(keys::call_queue).collect();
    }

    /// Waits for calls to any of the APIs and takes at most `count`, never more than can be begun at once: what is
    /// left, another worker may take. Nothing after some seconds, or when woken.
    pub(crate) async fn take(&mut self, count: usize) -> RedisResult<Vec<Vec<u8>>> {
        let command = self.command(count.min(CALLS_MAX));
        let reply = match self.waiting.run(&command, Duration::from_secs(WAIT_SECONDS)).await {
            Err(error) if self.has_blmpop && is_unknown_command(&error) => {
                self.has_blmpop = false;
                return Ok(Vec::new());
            }
            reply => reply?,
        };
        // The first queue that has something is served, so each gets its turn to be the first.
        self.next = self.next.wrapping_add(1);
        let mut blobs = Vec::new();
        if !self.is_wake(&reply) {
            for_each_blob(reply, |blob| blobs.push(blob));
        }
        Ok(blobs)
    }

    fn command(&self, count: usize) -> Cmd {
        let mut command = redis::cmd(if self.has_blmpop { "BLMPOP" } else { "BLPOP" });
        if self.has_blmpop {
            command.arg(WAIT_SECONDS).arg(self.queues.len() + 1);
        }
        command.arg(&self.wake);
        let first = if self.queues.is_empty() { 0 } else { self.next % self.queues.len() };
        for queue in self.queues[first..].iter().chain(&self.queues[..first]) {
            command.arg(queue);
        }
        if self.has_blmpop {
            command.arg("LEFT").arg("COUNT").arg(count);
        } else {
            command.arg(WAIT_SECONDS);
        }
        command
    }

    fn is_wake(&self, reply: &Value) -> bool {
        matches!(reply, Value::Array(parts)
            if matches!(parts.first(), Some(Value::BulkString(key)) if *key == self.wake.as_bytes()))
    }
}

/// Ends the wait of this process's [`Queue`].
pub(crate) async fn wake(link: &Link, process: &str) -> RedisResult<()> {
    let key = keys::wake(process);
    let mut commands = redis::pipe();
    commands.cmd("RPUSH").arg(&key).arg(1).cmd("EXPIRE").arg(&key).arg(WAIT_SECONDS);
    link.run_all(&commands).await.map(|_| ())
}

/// How often it is asked whether a call is wanted, before it is given up.
const CLAIM_TRIES: u32 = 8;

/// Asks for a call: true for whoever asks first while its caller waits. This process has the only copy of the call, so when
/// it cannot be known whether the first question was heard, a second that finds nothing counts as heard.
pub(crate) async fn claim(link: &Link, call_id: &str) -> bool {
    let mut command = redis::cmd("DEL");
    command.arg(keys::guard(call_id));
    let mut patience = Patience::default();
    let mut may_have_been_heard = false;
    for _ in 0..CLAIM_TRIES {
        if let Ok(connected) = link.connected().await {
            match connected.run(&command).await {
                Ok(reply) => return reply == Value::Int(1) || may_have_been_heard,
                Err(error) => may_have_been_heard |= is_connection_error(&error),
            }
        }
        patience.wait().await;
    }
    false
}

/// How often a result is sent before it is given up.
const RESULT_TRIES: u32 = 8;

/// Sends a result; its list expires after `ttl`. Sent again if the connection breaks: a second one is ignored.
pub(crate) async fn answer(link: &Link, list: &str, blob: &[u8], ttl: Duration) -> RedisResult<()> {
    let mut commands = redis::Pipeline::with_capacity(2);
    commands.cmd("LPUSH").arg(list).arg(blob);
    commands.cmd("EXPIRE").arg(list).arg(ttl.as_secs().max(1));
    link.insist(&commands, RESULT_TRIES).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;
    use crate::broker::Broker;

    #[tokio::test]
    async fn a_question_that_was_never_sent_was_not_heard() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let link = Link::new(Address::url(&format!("redis://{free}")).unwrap());
        let claiming = tokio::spawn(async move { claim(&link, "gone").await });
        // It finds nobody at first.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let broker = Broker::open(Default::default()).await.unwrap();
        broker.listen_tcp(free).await.unwrap();
        assert!(!claiming.await.unwrap());
    }
}
