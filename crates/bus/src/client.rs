//! Calls by type: what clients made by the macro return.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Bus, CallOptions, Error};

/// A remote procedure, as the type of its arguments.
///
/// It must serialise as an object whose keys are the arguments.
pub trait Procedure: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it returns.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// The name of the API, dots and all.
    const API: &'static str;
    /// The name of the procedure in its API.
    const NAME: &'static str;
    /// How long to wait for the answer, if nobody says otherwise.
    const TIMEOUT: Option<Duration>;
}

/// A call that is made when it is awaited.
#[must_use = "a call is made when it is awaited"]
pub struct PendingCall<P> {
    bus: Bus,
    arguments: P,
    options: CallOptions,
}

impl<P: Procedure> PendingCall<P> {
    /// A call with these arguments and options.
    pub fn new(bus: &Bus, options: &CallOptions, arguments: P) -> Self {
        Self { bus: bus.clone(), arguments, options: options.clone() }
    }

    /// Sets how long to wait for the answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets all options of this call.
    pub fn with_options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// The arguments, to change them.
    pub fn arguments_mut(&mut self) -> &mut P {
        &mut self.arguments
    }
}

impl<P: Procedure> IntoFuture for PendingCall<P> {
    type Output = Result<P::Answer, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { bus, arguments, mut options } = self;
        options.timeout = options.timeout.or(P::TIMEOUT);
        Box::pin(async move { bus.request(P::API, P::NAME, &arguments, &options).await })
    }
}
