//! How every change crosses HTTP: once, under its conditions, and with its flow.
//!
//! A handler takes a [`Mutation`] in place of the shared state and hands it a closure on a
//! transaction. In that one transaction the answer to an earlier request with the same
//! `Idempotency-Key` is looked for, `If-Match` and `expect_generation` are compared, the change is
//! made and its answer kept. Then, if the client prefers to, its flow is waited for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use tutti_model::api::Accepted;
use tutti_store::Tx;

use super::body_note::{BodyNote, Seen};
use super::call::Call;
use super::reply::{Reply, Untagged};
use super::resource::Resource;
use super::wait;
use crate::idempotency::{self, Key};
use crate::state::{State, Vantage};
use crate::{Error, clock, flows, models};

/// A request for a change, and what it takes to carry it out.
pub(crate) struct Mutation {
    /// What every handler shares.
    pub(crate) state: Arc<State>,
    call: Call,
    body: BodyNote,
    has_deadline: bool,
}

impl FromRequestParts<Arc<State>> for Mutation {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Error> {
        let call = Call::read(parts)?;
        let body = BodyNote::new(call.key.is_some());
        parts.extensions.insert(body.clone());
        Ok(Self { state: Arc::clone(state), call, body, has_deadline: false })
    }
}

/// What a change is made within.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// What decides how things are shown.
    vantage: Vantage,
    /// Flows in the queue of one resource.
    queue_max: usize,
    /// Unfinished flows of one model.
    flows_max: u32,
}

impl Limits {
    fn of(state: &State) -> Self {
        let options = &state.options;
        let (queue_max, flows_max) = (options.queue_max, options.flows_max);
        Self { vantage: state.vantage(), queue_max, flows_max }
    }
}

/// What came of a transaction.
#[derive(Debug)]
enum Done {
    /// It was made.
    Now(Reply),
    /// It was made before; nothing happened this time.
    Before(Reply),
}

impl Mutation {
    /// Tells a request whose body is no JSON from others: `digest` is that of its bytes.
    pub(crate) fn body(self, digest: &str) -> Self {
        self.body.set(Seen { digest: digest.to_owned(), expect_generation: None });
        self
    }

    /// For changes that may set a deadline: whoever keeps deadlines shall look.
    pub(crate) fn with_deadline(self) -> Self {
        Self { has_deadline: true, ..self }
    }

    /// Makes a change that is answered with [`Accepted`].
    pub(crate) async fn accept(
        self,
        change: impl Fn(&mut Tx<'_>) -> Result<Accepted, Error> + Send + 'static,
    ) -> Result<Response, Error> {
        let model = self.call.resource.as_ref().map(|resource| resource.model().to_owned());
        self.run(move |tx| {
            let accepted = change(tx)?;
            let reply = Reply::accepted(&accepted)?;
            let model = model.as_deref().unwrap_or_default();
            let named = Resource::of_answer(model, &accepted.resource);
            Ok(match named {
                Some(resource) => reply.at(resource),
                None => reply,
            })
        })
        .await
    }

    /// Makes a change and answers it.
    pub(crate) async fn run(
        self,
        change: impl Fn(&mut Tx<'_>) -> Result<Reply, Error> + Send + 'static,
    ) -> Result<Response, Error> {
        let Self { state, mut call, body, has_deadline } = self;
        let seen = body.seen();
        call.expect_generation = call.expect_generation.or(seen.expect_generation);
        let (asked, limits) = (call.clone(), Limits::of(&state));
        let write = state.write(move |tx| once(tx, &asked, &seen.digest, limits, &change));
        let (reply, replayed) = match write.await? {
            Done::Now(reply) => (reply, false),
            Done::Before(reply) => (reply, true),
        };
        if has_deadline && !replayed {
            state.deadlines.notify_one();
        }
        let reply = tagged(&state, reply).await;
        let mut response = match call.wait {
            None => reply.into_response(),
            Some(wait) => wait::finished(&state, &call, reply, wait).await,
        };
        if replayed {
            let name = HeaderName::from_static("idempotency-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        Ok(response)
    }
}

/// The change and the answer that is kept of it, unless it was made before.
fn once(
    tx: &mut Tx<'_>,
    call: &Call,
    body: &str,
    limits: Limits,
    change: &impl Fn(&mut Tx<'_>) -> Result<Reply, Error>,
) -> Result<Done, Error> {
    let Some(key) = &call.key else { return Ok(Done::Now(made(tx, call, limits, change)?)) };
    let (model, fingerprint) = (scope(tx, call)?, call.fingerprint(body));
    let key = Key { model: &model, key, fingerprint: &fingerprint };
    let now = clock::now();
    let stored = |source| Error::Stored { what: "answer", source };
    if let Some(answer) = idempotency::find(tx, &key, now)? {
        return Ok(Done::Before(serde_json::from_str(&answer).map_err(stored)?));
    }
    let reply = made(tx, call, limits, change)?;
    let answer = serde_json::to_string(&reply).map_err(stored)?;
    idempotency::keep(tx, &key, &answer, now)?;
    Ok(Done::Now(reply))
}

/// Where a key counts. The end of a model counts outside of it: its answer must outlive it.
fn scope(tx: &mut Tx<'_>, call: &Call) -> Result<String, Error> {
    let Some(resource) = &call.resource else { return Ok(String::new()) };
    let is_end = resource.is_model() && call.method == Method::DELETE;
    match resource.model() {
        model if !model.is_empty() && !is_end => Ok(models::find(tx, model)?.id),
        _ => Ok(String::new()),
    }
}

/// The change under its conditions, and its answer with address and entity tag.
fn made(
    tx: &mut Tx<'_>,
    call: &Call,
    limits: Limits,
    change: &impl Fn(&mut Tx<'_>) -> Result<Reply, Error>,
) -> Result<Reply, Error> {
    let vantage = limits.vantage;
    check(tx, call, vantage)?;
    let mut reply = flows::trace::within(&call.trace, || change(tx))?;
    if let Some(flow) = reply.flow {
        flows::check_room(tx, flow, limits.queue_max, limits.flows_max)?;
    }
    // What was posted to a collection is about the new resource, all else about its own path.
    let own = call.resource.clone();
    let named = reply.resource.take();
    let location = named.clone().or_else(|| own.clone());
    let subject = if call.method == Method::POST { location.clone() } else { own.or(named) };
    reply.location = location.map(|resource| resource.address());
    let Some(resource) = subject else { return Ok(reply) };
    // An answer that is kept for its key must be complete.
    if call.key.is_none() && resource.is_large() {
        let generation = if_there(resource.generation(tx))?.flatten();
        reply.untagged = Some(Untagged { resource, generation });
    } else {
        reply.etag = if_there(resource.tag(tx, vantage))?;
    }
    Ok(reply)
}

/// What was read of a resource, which may have gone with the change itself.
fn if_there<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::NotFound(_) | Error::Flow(_)) => Ok(None),
        read => read.map(Some),
    }
}

/// The answer with the entity tag that would have kept others from writing. It has none if somebody
/// else has changed the resource since: a client that has not seen that must not be able to say so.
async fn tagged(state: &State, mut reply: Reply) -> Reply {
    let Some(Untagged { resource, generation }) = reply.untagged.take() else { return reply };
    let vantage = state.vantage();
    let tag = state.read(move |tx| {
        let etag = if_there(resource.tag(tx, vantage))?;
        // After the tag: what is read later is newer, also where a transaction sees what others commit.
        let now = if_there(resource.generation(tx))?.flatten();
        Ok(etag.filter(|_| now == generation))
    });
    match tag.await {
        Ok(etag) => reply.etag = etag,
        // What was accepted stays accepted.
        Err(error) => tracing::warn!(error = %super::sentence(&error), "entity tag not read"),
    }
    reply
}

/// Compares what the client has seen with what is.
fn check(tx: &mut Tx<'_>, call: &Call, vantage: Vantage) -> Result<(), Error> {
    if call.if_match.is_none() && call.expect_generation.is_none() {
        return Ok(());
    }
    let Some(resource) = &call.resource else {
        let text = "nothing at this path has an entity tag or a generation to compare with";
        return Err(Error::Invalid(text.to_owned()));
    };
    let address = resource.address();
    if let Some(wanted) = &call.if_match {
        let etag = resource.tag(tx, vantage)?;
        if !wanted.match_strongly(&etag) {
            tracing::debug!(?wanted, etag, "precondition failed");
            let text = format!("{address} has changed since: its entity tag is {etag} now");
            return Err(Error::Precondition { text, etag });
        }
    }
    if let Some(expected) = call.expect_generation {
        let none = || Error::Invalid(format!("expect_generation: {address} has no generation"));
        let generation = resource.generation(tx)?.ok_or_else(none)?;
        if generation != expected {
            let text = format!("{address} is at generation {generation}, not {expected}");
            return Err(Error::Precondition { text, etag: resource.tag(tx, vantage)? });
        }
    }
    Ok(())
}
