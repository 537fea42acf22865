//! What a program called and fired, and what came of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{Context, Event, Failure, Hook, Moment, Procedure};

/// A recorder remembers this many messages, and forgets the oldest.
const MESSAGES_MAX: usize = 10_000;

/// Remembers all calls and events of a bus to which it was given as a [`Hook`]. Clones share everything.
///
/// ```
/// # use std::sync::Arc;
/// # use tutti_bus::{Bus, Result, testing::Recorder};
/// # #[tutti_bus::api(name = "greeter")]
/// # pub trait Greeter {
/// #     async fn greet(&self, name: String) -> Result<String>;
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let recorder = Recorder::new();
/// let bus = Bus::offline_with_hooks(vec![Arc::new(recorder.clone())]);
/// bus.serve_here(GreeterStub::new().on_greet(|_| Ok("Hi".to_owned())));
///
/// GreeterClient::new(&bus).greet("Ann").await?;
///
/// recorder.assert_called::<GreeterGreetArguments>(1);
/// assert_eq!(recorder.calls::<GreeterGreetArguments>()[0].name, "Ann");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<VecDeque<Sent>>>);

/// One call made, or one event fired.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The id of the message.
    pub id: String,
    /// The API.
    pub api: String,
    /// The procedure or event.
    pub name: String,
    /// Whether it is an event.
    pub is_event: bool,
    /// The arguments of the call, or the parameters of the event.
    pub parameters: Box<RawValue>,
    /// What was answered, or why not; nothing while a call waits, and for events.
    pub outcome: Option<Result<Box<RawValue>, String>>,
}

impl Recorder {
    /// Has seen nothing yet.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Everything seen, the oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.messages().iter().cloned().collect()
    }

    /// The last message of this name that was sent.
    pub fn last(&self, api: &str, name: &str) -> Option<Sent> {
        let messages = self.messages();
        messages.iter().rev().find(|sent| sent.api == api && sent.name == name).cloned()
    }

    /// The arguments of all calls of one procedure, the oldest first.
    pub fn calls<P: Procedure>(&self) -> Vec<P> {
        self.read(false, P::API, P::NAME)
    }

    /// All events of one kind that were fired, the oldest first.
    pub fn events<E: Event>(&self) -> Vec<E> {
        self.read(true, E::API, E::NAME)
    }

    /// Fails unless a procedure was called so many times.
    #[track_caller]
    pub fn assert_called<P: Procedure>(&self, times: usize) {
        let called = self.calls::<P>().len();
        assert_eq!(called, times, "calls of {}.{}; {}", P::API, P::NAME, self.in_words());
    }

    /// Fails unless an event was fired so many times.
    #[track_caller]
    pub fn assert_fired<E: Event>(&self, times: usize) {
        let fired = self.events::<E>().len();
        assert_eq!(fired, times, "events {}.{}; {}", E::API, E::NAME, self.in_words());
    }

    fn read<T: DeserializeOwned>(&self, is_event: bool, api: &str, name: &str) -> Vec<T> {
        let messages = self.messages();
        let wanted = messages
            .iter()
            .filter(|sent| sent.is_event == is_event && sent.api == api && sent.name == name);
        wanted.filter_map(|sent| serde_json::from_str(sent.parameters.get()).ok()).collect()
    }

    fn in_words(&self) -> String {
        let names: Vec<String> =
            self.messages().iter().map(|sent| format!("{}.{}", sent.api, sent.name)).collect();
        format!("all that was sent: {}", names.join(", "))
    }

    fn messages(&self) -> MutexGuard<'_, VecDeque<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, context: &Context, is_event: bool, parameters: &RawValue) {
        let mut messages = self.messages();
        if messages.len() >= MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(Sent {
            id: context.id().to_owned(),
            api: context.api().to_owned(),
            name: context.name().to_owned(),
            is_event,
            parameters: parameters.to_owned(),
            outcome: None,
        });
    }

    fn end(&self, context: &Context, outcome: Result<&RawValue, &str>) {
        let mut messages = self.messages();
        if let Some(sent) = messages.iter_mut().rev().find(|sent| sent.id == context.id()) {
            sent.outcome = Some(outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned));
        }
    }
}

impl Hook for Recorder {
    fn on<'a>(&'a self, moment: Moment<'a>) -> BoxFuture<'a, Result<(), Failure>> {
        match moment {
            Moment::BeforeCall { context, arguments } => self.add(context, false, arguments),
            Moment::AfterCall { context, outcome, .. } => self.end(context, outcome),
            Moment::AfterFire { context, parameters } => self.add(context, true, parameters),
            _ => {}
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
