//! A caller's closure on its way to the thread that runs it, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::{Error, Tx};

/// How a run of the closure ended.
pub(crate) enum Verdict {
    /// Keep what it wrote.
    Keep,
    /// Roll it back alone.
    RollBack,
    /// The engine wants the whole transaction run again.
    Again(Error),
}

/// A closure with its result type erased.
pub(crate) trait Job: Send {
    /// Called once, when the writer turns to it; what is left for another job.
    fn take_up(&mut self) -> Option<Box<dyn Job>> {
        None
    }

    /// How many wait for it.
    fn callers(&self) -> usize {
        1
    }

    /// Runs the closure; a run again replaces the result of the one before.
    fn run(&mut self, tx: Tx<'_>) -> Verdict;

    /// After a run that was rolled back: the jobs to run in its place, if its work can be divided.
    fn split(&mut self) -> Vec<Box<dyn Job>> {
        Vec::new()
    }

    /// Replaces a result that was to be kept but could not be committed.
    fn fail(&mut self, error: Error);

    /// Hands the result to the caller, who may have stopped waiting.
    fn answer(self: Box<Self>);
}

struct Write<F, T, E> {
    closure: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Write<F, T, E>
where
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, mut tx: Tx<'_>) -> Verdict {
        let closure = &self.closure;
        let result = guarded(|| closure(&mut tx));
        let (result, verdict) = match (result, tx.into_failed()) {
            (_, Some(conflict @ Error::Conflict { .. })) => {
                (Err(conflict.clone().into()), Verdict::Again(conflict))
            }
            // The closure passed over a failed statement: what it believes to have written is not there.
            (Ok(_), Some(failed)) => (Err(failed.into()), Verdict::RollBack),
            (Ok(value), None) => (Ok(value), Verdict::Keep),
            (Err(error), _) => (Err(error), Verdict::RollBack),
        };
        self.result = Some(result);
        verdict
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(error.into()));
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Nobody listening is fine: what is committed is committed.
            let _ = self.reply.send(result);
        }
    }
}

struct Read<F, T, E> {
    closure: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Read<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, mut tx: Tx<'_>) -> Verdict {
        let Some(closure) = self.closure.take() else { return Verdict::RollBack };
        self.result = Some(guarded(|| closure(&mut tx)));
        Verdict::RollBack
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            let _ = self.reply.send(result);
        }
    }
}

/// A job for the writer, and where its answer will arrive.
pub(crate) fn write<F, T, E>(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Write { closure, result: None, reply }), answer)
}

/// A job for a reader, and where its answer will arrive.
pub(crate) fn read<F, T, E>(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Read { closure: Some(closure), result: None, reply }), answer)
}

/// Turns a panic into an error: the thread serves everybody and must live.
pub(crate) fn guarded<T, E: From<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "not a message".to_owned());
        Err(Error::Panicked { message }.into())
    })
}
