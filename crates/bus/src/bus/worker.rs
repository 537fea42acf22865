//! Calls, from the side of who serves them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::apis::Api;
use super::counters::microseconds;
use super::{Bus, Moment};
use crate::api::{Context, Origin};
use crate::codec::{CallIn, Extension, ResultOut};
use crate::schema::{Direction, Subject};
use crate::transport::queue::{self, Queue};
use crate::transport::{Patience, Transport};
use crate::{Call, Failure, FailureKind, Service};

impl Bus {
    /// Takes calls as long as there are permits, until the bus closes. Permits are not held while calls are waited for:
    /// the worker of another address may need them.
    pub(crate) async fn work(self, transport: Arc<Transport>) {
        let mut queue = Queue::new(&transport.link, &self.0.process);
        let mut served = 0;
        let mut patience = Patience::default();
        while !self.0.closing.is_cancelled() {
            let now = self.0.served.load(Ordering::Acquire);
            if now != served {
                served = now;
                let apis = self.0.apis.served();
                let mine = apis.iter().find(|(other, _)| Arc::ptr_eq(other, &transport));
                queue.serve(mine.iter().flat_map(|(_, names)| names).map(String::as_str));
            }
            let free = tokio::select! {
                () = self.0.closing.cancelled() => return,
                free = free_permits(&self.0.permits) => free,
            };
            match queue.take(free).await {
                Ok(blobs) => {
                    patience = Patience::default();
                    for blob in blobs {
                        // Nobody waits here unless calls of another address came in between.
                        let Ok(permit) = self.0.permits.clone().acquire_owned().await else {
                            return;
                        };
                        self.spawn(self.clone().serve_call(transport.clone(), blob, permit));
                    }
                    // The calls go first: they are under way before more are asked for.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "calls cannot be read; trying again");
                    patience.wait().await;
                }
            }
        }
    }

    /// Runs one call and answers it, whatever is wrong with it.
    async fn serve_call(
        self,
        transport: Arc<Transport>,
        blob: Vec<u8>,
        _permit: OwnedSemaphorePermit,
    ) {
        let call = match CallIn::decode(&blob) {
            Ok(call) => call,
            // Nobody can be told.
            Err(error) => {
                return tracing::warn!(%error, "a call that cannot be answered was dropped");
            }
        };
        if !queue::claim(&transport.link, &call.id).await {
            return tracing::debug!(id = call.id, "a call came too late and was dropped");
        }
        let api = self.0.apis.find(&call.api);
        let outcome = self.outcome_of(api.as_deref(), &call).await;
        let result_ttl = match &api {
            Some(api) => api.settings.result_ttl,
            None => self.0.settings.default_api.result_ttl,
        };
        let id = self.0.ids.message().to_string();
        let result = ResultOut { id: &id, call_id: &call.id, outcome: outcome.as_deref() };
        let sent = match result.encode() {
            Ok(blob) => queue::answer(&transport.link, &call.results, &blob, result_ttl).await,
            Err(error) => return tracing::error!(%error, "a result cannot be written"),
        };
        if let Err(error) = sent {
            tracing::warn!(id = call.id, %error, "a result was not sent");
        }
    }

    /// `api` is what is known by the name in the message, which may be any.
    async fn outcome_of(
        &self,
        api: Option<&Api>,
        message: &CallIn,
    ) -> Result<Box<RawValue>, Failure> {
        let context = incoming(message);
        let call = Call {
            procedure: &message.procedure,
            arguments: &message.arguments,
            context: &context,
        };
        let Some((api, service)) = api.and_then(|api| Some((api, api.public_service()?))) else {
            return Err(call.unknown());
        };
        if service.schema().rpc(call.procedure).is_none() {
            return Err(call.unknown());
        }
        if !message.arguments.get().starts_with('{') {
            let what = "the arguments are not an object";
            return Err(Failure::new(FailureKind::InvalidArguments, what));
        }
        api.check(Direction::Incoming, Subject::Arguments, call.procedure, call.arguments.get())
            .map_err(|error| Failure::new(FailureKind::InvalidArguments, error.to_string()))?;
        let Some(deadline) = context.deadline() else {
            return self.execute(api, &*service, call).await;
        };
        let run = self.execute(api, &*service, call);
        tokio::time::timeout_at(deadline.into(), run).await.unwrap_or_else(|_| {
            let what = format!("{}.{} ran longer than its caller waits", api.name, call.procedure);
            Err(Failure::new(FailureKind::DeadlineExceeded, what))
        })
    }

    /// Runs a procedure whose arguments have been checked, and checks what it returns.
    pub(crate) async fn execute(
        &self,
        api: &Api,
        service: &dyn Service,
        call: Call<'_>,
    ) -> Result<Box<RawValue>, Failure> {
        let (context, arguments) = (call.context, call.arguments);
        let begun = Instant::now();
        let outcome = async {
            self.before(Moment::BeforeExecution { context, arguments }).await?;
            let span = tracing::info_span!(
                "call",
                api = api.name,
                procedure = call.procedure,
                id = context.id(),
                trace = context.trace()
            );
            let run = context.clone().scope(service.execute(call)).instrument(span);
            let answer = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
                Err(Failure::message(format!("{}.{} panicked", api.name, call.procedure)))
            })?;
            // An answer that does not fit ends a Python caller's call with an error of its own, or worse.
            api.check(Direction::Outgoing, Subject::Result, call.procedure, answer.get())
                .map_err(|error| Failure::new(FailureKind::InvalidResult, error.to_string()))?;
            Ok(answer)
        }
        .await;
        let took = begun.elapsed();
        api.counters.processed.add(1);
        api.counters.processing_us.add(microseconds(took));
        if outcome.is_err() {
            api.counters.processing_errors.add(1);
        }
        let seen = outcome.as_deref();
        self.after(Moment::AfterExecution { context, outcome: seen, took }).await;
        outcome
    }
}

/// Waits until a permit is free; how many are.
async fn free_permits(permits: &Semaphore) -> usize {
    match permits.acquire().await {
        Ok(_one) => permits.available_permits() + 1,
        // It is never closed.
        Err(_) => 0,
    }
}

/// Who calls, as far as the message says.
fn incoming(message: &CallIn) -> Context {
    let extension = &message.extension;
    Context::new(Origin {
        id: message.id.clone(),
        api: message.api.clone(),
        name: message.procedure.clone(),
        sender: extension.sender.clone(),
        trace: extension.trace.clone(),
        version: extension.version.unwrap_or(1),
        deadline: time_left(extension, SystemTime::now()).map(|left| Instant::now() + left),
        deliveries: 1,
        native_id: None,
    })
}

/// How long the caller will wait from now. The guard says that it still does: a deadline in the past, or further away
/// than the caller's patience reaches, means that clocks differ, and its patience counts from now.
fn time_left(extension: &Extension, now: SystemTime) -> Option<Duration> {
    let patience = Duration::from_millis(extension.timeout_ms?);
    let deadline = UNIX_EPOCH + Duration::from_millis(extension.deadline_ms.unwrap_or_default());
    match deadline.duration_since(now) {
        Ok(left) if left <= patience => Some(left),
        _ => Some(patience),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_whose_clock_is_wrong_still_gets_its_time() {
        let left = |deadline_ms, timeout_ms| {
            let extension = Extension { deadline_ms, timeout_ms, ..Extension::default() };
            time_left(&extension, UNIX_EPOCH + Duration::from_secs(100)).map(|left| left.as_secs())
        };
        assert_eq!(left(Some(103_000), Some(5_000)), Some(3));
        assert_eq!(left(Some(90_000), Some(5_000)), Some(5));
        assert_eq!(left(Some(900_000), Some(5_000)), Some(5));
        assert_eq!(left(None, Some(5_000)), Some(5));
        assert_eq!(left(Some(103_000), None), None);
    }
}
