//! Calls, from the caller's side.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::apis::Api;
use super::bounds::DURATION_MAX;
use super::{Bus, Moment};
use crate::api::{Context, Origin};
use crate::codec::{CallOut, Extension, lenient};
use crate::schema::{Direction, Subject};
use crate::transport::CallError;
use crate::{Call, Error};

/// How one call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long to wait for the answer; otherwise the API's setting, 5 s unless configured.
    pub timeout: Option<Duration>,
    /// Never call a service of this process directly, even if there is one.
    pub remote_only: bool,
}

impl Bus {
    /// Calls a procedure of an API that is known by name alone.
    pub async fn call(&self, api: &str, procedure: &str, arguments: Value) -> Result<Value, Error> {
        self.request(api, procedure, &arguments, &CallOptions::default()).await
    }

    /// Calls a procedure and reads the answer as a type. What typed clients are made of.
    pub async fn request<A, T>(
        &self,
        api: &str,
        procedure: &str,
        arguments: &A,
        options: &CallOptions,
    ) -> Result<T, Error>
    where
        A: Serialize + Sync + ?Sized,
        T: DeserializeOwned,
    {
        let json =
            |what, source| Error::Json { what: format!("{what} of {api}.{procedure}"), source };
        let arguments = serde_json::value::to_raw_value(arguments)
            .map_err(|source| json("the arguments", source))?;
        let answer = self.call_raw(api, procedure, arguments, options).await?;
        lenient::from_str(answer.get()).map_err(|source| json("the answer", source))
    }

    async fn call_raw(
        &self,
        api: &str,
        procedure: &str,
        arguments: Box<RawValue>,
        options: &CallOptions,
    ) -> Result<Box<RawValue>, Error> {
        if self.0.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        let api = self.api(api);
        api.look_for_schema(&self.0.apis.schemas).await;
        let (context, timeout) = self.outgoing(&api, procedure, options);
        let before = Moment::BeforeCall { context: &context, arguments: &arguments };
        self.before(before).await.map_err(|failure| Error::Remote {
            api: api.name.clone(),
            procedure: procedure.to_owned(),
            failure,
        })?;
        api.check(Direction::Outgoing, Subject::Arguments, procedure, arguments.get())?;
        let begun = Instant::now();
        let outcome =
            self.answer_of(&api, &context, &arguments, timeout, options.remote_only).await;
        api.counters.called.add(1);
        if outcome.is_err() {
            api.counters.call_errors.add(1);
        }
        if self.is_watched() {
            let words = outcome.as_ref().map(|answer| &**answer).map_err(Error::to_string);
            let outcome = words.as_ref().map(|answer| *answer).map_err(String::as_str);
            let after = Moment::AfterCall { context: &context, outcome, took: begun.elapsed() };
            self.after(after).await;
        }
        outcome
    }

    /// The message: it inherits the trace, and at most what is left of the time, of what runs now.
    fn outgoing(&self, api: &Api, procedure: &str, options: &CallOptions) -> (Context, Duration) {
        let id = self.0.ids.message();
        let parent = Context::current();
        let now = Instant::now();
        let mut timeout = options.timeout.unwrap_or(api.settings.call_timeout).min(DURATION_MAX);
        if let Some(limit) = parent.as_ref().and_then(Context::deadline) {
            timeout = timeout.min(limit - now);
        }
        let context = Context::new(Origin {
            id: id.to_string(),
            api: api.name.clone(),
            name: procedure.to_owned(),
            sender: Some(self.0.sender.clone()),
            trace: Some(self.0.ids.trace(parent.as_ref().and_then(Context::trace), id)),
            version: api.version(),
            deadline: Some(now + timeout),
            deliveries: 1,
            native_id: None,
        });
        (context, timeout)
    }

    async fn answer_of(
        &self,
        api: &Api,
        context: &Context,
        arguments: &RawValue,
        timeout: Duration,
        remote_only: bool,
    ) -> Result<Box<RawValue>, Error> {
        let remote = |failure| Error::Remote {
            api: api.name.clone(),
            procedure: context.name().to_owned(),
            failure,
        };
        let timed_out = || Error::Timeout {
            api: api.name.clone(),
            procedure: context.name().to_owned(),
            timeout,
        };
        if let Some(service) = api.service().filter(|_| !remote_only) {
            let call = Call { procedure: context.name(), arguments, context };
            let answer = tokio::time::timeout(timeout, self.execute(api, &*service, call)).await;
            return answer.map_err(|_| timed_out())?.map_err(remote);
        }
        let extension = extension(context, timeout);
        let call = CallOut {
            id: context.id(),
            api: &api.name,
            procedure: context.name(),
            results: api.calls.calls.list(),
            arguments,
            extension: &extension,
        };
        let answer = api.calls.calls.call(&call, timeout).await.map_err(|error| match error {
            CallError::Timeout => timed_out(),
            CallError::Failed(failure) => remote(failure),
            CallError::Send(source) => Error::Transport {
                attempt: format!("call {}.{}", api.name, context.name()),
                source,
            },
            CallError::Encode(source) => {
                Error::Json { what: format!("a call of {}.{}", api.name, context.name()), source }
            }
        })?;
        api.check(Direction::Incoming, Subject::Result, context.name(), answer.get())?;
        Ok(answer)
    }
}

/// What Rust peers are told of a message.
pub(crate) fn extension(context: &Context, timeout: Duration) -> Extension {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    Extension {
        trace: context.trace().map(str::to_owned),
        sender: context.sender().map(str::to_owned),
        version: Some(context.version()),
        deadline_ms: Some(now_ms.saturating_add(timeout_ms)),
        timeout_ms: Some(timeout_ms),
        kind: None,
    }
}
