//! The caller's side of calls: one list receives all results of this process, and one connection waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use redis::{RedisError, RedisResult, Value};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::link::{is_connection_error, is_not_ready};
use super::{Link, Patience, Waiting};
use crate::Failure;
use crate::codec::{CallOut, ResultIn, keys};

/// Results read at a time.
const RESULTS_MAX: usize = 64;
/// How long one wait for results lasts, in seconds: finite, so that a dead connection is found.
const WAIT_SECONDS: u64 = 5;

type Outcome = Result<Box<RawValue>, Failure>;
type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nobody answered in time.
    Timeout,
    /// The call could not be sent.
    Send(RedisError),
    /// The call could not be written.
    Encode(serde_json::Error),
    /// The procedure answered with a failure.
    Failed(Failure),
}

/// Makes calls.
pub(crate) struct Calls {
    link: Link,
    list: String,
    pending: Pending,
    reader: OnceLock<AbortHandle>,
}

impl Calls {
    pub(crate) fn new(link: Link, list: String) -> Calls {
        Calls { link, list, pending: Pending::default(), reader: OnceLock::new() }
    }

    /// The list in which results arrive.
    pub(crate) fn list(&self) -> &str {
        &self.list
    }

    /// Sends a call and waits for its result. It runs at most once, also when connections break: it is sent again
    /// only if it cannot have arrived.
    pub(crate) async fn call(&self, call: &CallOut<'_>, timeout: Duration) -> Answer {
        self.reader.get_or_init(|| self.start_reader());
        let blob = call.encode().map_err(CallError::Encode)?;
        let (sender, receiver) = oneshot::channel();
        let _registered = Registered::new(&self.pending, call.id, sender);
        let mut not_sent = None;
        let answered = tokio::time::timeout(timeout, async {
            self.send(call, &blob, timeout, &mut not_sent).await.map_err(CallError::Send)?;
            receiver.await.map_err(|_| CallError::Timeout)?.map_err(CallError::Failed)
        });
        let answer = answered.await;
        answer.unwrap_or_else(|_| Err(not_sent.map_or(CallError::Timeout, CallError::Send)))
    }

    /// Writes guard and call. `not_sent` says why it has not been sent so far.
    async fn send(
        &self,
        call: &CallOut<'_>,
        blob: &[u8],
        timeout: Duration,
        not_sent: &mut Option<RedisError>,
    ) -> RedisResult<()> {
        let mut commands = redis::Pipeline::with_capacity(2);
        // The guard comes first and with its time to live: a quick worker finds it, and nothing is left behind.
        let seconds = timeout.as_millis().div_ceil(1000).max(1);
        commands.cmd("SET").arg(keys::guard(call.id)).arg(1).arg("EX").arg(seconds as u64);
        commands.cmd("RPUSH").arg(keys::call_queue(call.api)).arg(blob);
        let mut patience = Patience::default();
        loop {
            match self.link.connected().await {
                Ok(connected) => {
                    *not_sent = None;
                    match connected.run_all(&commands).await {
                        Err(error) if is_not_ready(&error) => *not_sent = Some(error),
                        // It may have arrived: the result will tell.
                        Err(error) if is_connection_error(&error) => return Ok(()),
                        outcome => return outcome.map(|_| ()),
                    }
                }
                Err(error) => *not_sent = Some(error),
            }
            patience.wait().await;
        }
    }

    /// No more results are received.
    pub(crate) fn close(&self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }

    fn start_reader(&self) -> AbortHandle {
        let (pending, list) = (self.pending.clone(), self.list.clone());
        let waiting = Waiting::new(self.link.address().clone());
        tokio::spawn(read_results(waiting, list, pending)).abort_handle()
    }
}

type Answer = Result<Box<RawValue>, CallError>;

impl Drop for Calls {
    fn drop(&mut self) {
        self.close();
    }
}

/// A caller in the table of those who wait, for as long as it does.
struct Registered<'a> {
    pending: &'a Pending,
    id: &'a str,
}

impl<'a> Registered<'a> {
    fn new(pending: &'a Pending, id: &'a str, sender: oneshot::Sender<Outcome>) -> Self {
        pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), sender);
        Registered { pending, id }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(self.id);
    }
}

/// Reads results for ever and hands them to who waits. A result for nobody comes too late and is dropped.
async fn read_results(mut waiting: Waiting, list: String, pending: Pending) {
    let mut command = redis::cmd("BLMPOP");
    command.arg(WAIT_SECONDS).arg(1).arg(&list).arg("LEFT").arg("COUNT").arg(RESULTS_MAX);
    let mut patience = Patience::default();
    loop {
        match waiting.run(&command, Duration::from_secs(WAIT_SECONDS)).await {
            Ok(reply) => {
                patience = Patience::default();
                for_each_blob(reply, |blob| hand_over(blob, &pending));
                // Whoever waited goes first: its next call need not wait until this task has asked for more.
                tokio::task::yield_now().await;
            }
            Err(error) if super::queue::is_unknown_command(&error) => {
                command = redis::cmd("BLPOP");
                command.arg(&list).arg(WAIT_SECONDS);
            }
            Err(error) => {
                tracing::warn!(%error, "results cannot be read; trying again");
                patience.wait().await;
            }
        }
    }
}

/// The values in a reply of `BLMPOP` (`[key, [value, …]]`) or `BLPOP` (`[key, value]`).
pub(crate) fn for_each_blob(reply: Value, mut use_blob: impl FnMut(Vec<u8>)) {
    let Value::Array(mut parts) = reply else { return };
    match parts.pop() {
        Some(Value::Array(blobs)) => {
            for blob in blobs {
                if let Value::BulkString(blob) = blob {
                    use_blob(blob);
                }
            }
        }
        Some(Value::BulkString(blob)) => use_blob(blob),
        _ => {}
    }
}

fn hand_over(blob: Vec<u8>, pending: &Pending) {
    match ResultIn::decode(&blob) {
        Ok(result) => {
            let waiter =
                pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&result.call_id);
            if let Some(waiter) = waiter {
                // Whoever waited may have given up in this instant.
                drop(waiter.send(result.outcome));
            }
        }
        Err(error) => tracing::warn!(%error, "a result that cannot be read was dropped"),
    }
}
