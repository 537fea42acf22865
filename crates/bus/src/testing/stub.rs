//! An API served by closures, which remembers its calls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;

use crate::generated::Execution;
use crate::schema::ApiSchema;
use crate::{Call, Failure, Procedure, Result, Service};

/// A stub remembers this many calls, and forgets the oldest.
const CALLS_MAX: usize = 10_000;

type Answer = Arc<dyn Fn(Call<'_>) -> Result<Box<RawValue>> + Send + Sync>;

/// An API served by closures. The macro makes a typed one for each API. Clones share everything.
#[derive(Clone)]
pub struct Stub(Arc<Shared>);

struct Shared {
    schema: ApiSchema,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: HashMap<&'static str, Answer>,
    calls: VecDeque<(String, Box<RawValue>)>,
}

impl Stub {
    /// Answers every call with a failure, until it is told better.
    pub fn new(schema: &ApiSchema) -> Stub {
        Stub(Arc::new(Shared { schema: schema.clone(), state: Mutex::default() }))
    }

    /// Sets what a procedure answers.
    pub fn answer<P: Procedure>(
        &self,
        answer: impl Fn(P) -> Result<P::Answer> + Send + Sync + 'static,
    ) {
        let answer: Answer =
            Arc::new(move |call: Call<'_>| call.respond(&answer(call.parse::<P>()?)?));
        self.state().answers.insert(P::NAME, answer);
    }

    /// The arguments of all calls of one procedure so far, the oldest first.
    pub fn calls<P: Procedure>(&self) -> Vec<P> {
        let state = self.state();
        let calls = state.calls.iter().filter(|(procedure, _)| procedure == P::NAME);
        calls.filter_map(|(_, arguments)| serde_json::from_str(arguments.get()).ok()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, call: Call<'_>) -> Result<Box<RawValue>> {
        let answer = {
            let mut state = self.state();
            state.calls.push_back((call.procedure.to_owned(), call.arguments.to_owned()));
            if state.calls.len() > CALLS_MAX {
                state.calls.pop_front();
            }
            state.answers.get(call.procedure).cloned()
        };
        match answer {
            Some(answer) => answer(call),
            None if self.0.schema.rpc(call.procedure).is_none() => Err(call.unknown()),
            None => Err(Failure::message(format!(
                "the stub of {} has no answer for {}",
                self.0.schema.name(),
                call.procedure
            ))),
        }
    }
}

impl Service for Stub {
    fn schema(&self) -> &ApiSchema {
        &self.0.schema
    }

    fn execute<'a>(&'a self, call: Call<'a>) -> Execution<'a> {
        Box::pin(async move { self.run(call) })
    }
}
