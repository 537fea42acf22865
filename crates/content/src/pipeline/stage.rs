//! A stage: an async function from a stream of one type to a stream of another.

use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Context, Error, Input, Output,
    channel::{ITEMS_MAX, channel},
};

type Run<T, U> =
    Box<dyn FnOnce(Context, Input<T>, Output<U>) -> BoxFuture<'static, Result<(), Error>> + Send>;

/// A stage, or several that were joined. How its function is called is a matter of the wrapper it was made with:
/// [`one_by_one`](super::one_by_one), [`concurrent`](super::concurrent), [`batches`](super::batches),
/// [`gather`](super::gather), or [`Stage::new`] for one that reads and writes as it likes.
pub struct Stage<T, U> {
    name: &'static str,
    run: Run<T, U>,
}

impl<T: Send + 'static, U: Send + 'static> Stage<T, U> {
    /// A stage that reads and writes as it likes. Its output ends when the function does.
    pub fn new<F, Running>(name: &'static str, run: F) -> Self
    where
        F: FnOnce(Context, Input<T>, Output<U>) -> Running + Send + 'static,
        Running: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let run = Box::new(|context, input, output| run(context, input, output).boxed());
        Self { name, run }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The same stage under another name.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Two stages as one: what this one writes, `next` reads. Both run at the same time.
    #[must_use]
    pub fn then<V: Send + 'static>(self, next: Stage<U, V>) -> Stage<T, V> {
        let name = next.name;
        Stage::new(name, move |context, input, output| async move {
            let (between, read) = channel(ITEMS_MAX);
            let first = self.start(context.clone(), input, between);
            let second = next.run(context, read, output);
            tokio::try_join!(first, second)?;
            Ok(())
        })
    }

    /// Runs it to its end.
    pub(super) async fn run(
        self,
        context: Context,
        input: Input<T>,
        output: Output<U>,
    ) -> Result<(), Error> {
        match (self.run)(context, input, output.clone()).await {
            Ok(()) => output.end(),
            Err(Error::Closed) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Runs it beside whoever waits for it; dropped, it ends.
    async fn start(
        self,
        context: Context,
        input: Input<T>,
        output: Output<U>,
    ) -> Result<(), Error> {
        let stage = self.name;
        let task = AbortOnDropHandle::new(tokio::spawn(self.run(context, input, output)));
        task.await.unwrap_or_else(|source| Err(Error::Panicked { stage, source }))
    }
}

/// Several first stages as one: their items come together as they come.
#[must_use]
pub fn together<U: Send + 'static>(stages: Vec<Stage<(), U>>) -> Stage<(), U> {
    Stage::new("together", move |context: Context, _, output: Output<U>| async move {
        let running = stages.into_iter().map(|stage| {
            let (nothing, input) = channel(1);
            nothing.end();
            let (name, running) = (stage.name, (stage.run)(context.clone(), input, output.clone()));
            let task = AbortOnDropHandle::new(tokio::spawn(running));
            async move {
                match task
                    .await
                    .unwrap_or_else(|source| Err(Error::Panicked { stage: name, source }))
                {
                    Err(Error::Closed) => Ok(()),
                    ended => ended,
                }
            }
        });
        futures_util::future::try_join_all(running).await.map(drop)
    })
}

/// Runs a chain that reads nothing, to its end; what it writes goes nowhere.
pub(super) async fn run<U: Send + 'static>(
    context: Context,
    chain: Stage<(), U>,
) -> Result<(), Error> {
    let (nothing, input) = channel(1);
    nothing.end();
    let (output, mut rest) = channel(ITEMS_MAX);
    let drained = async {
        while rest.next().await.is_some() {}
        Ok(())
    };
    let cancellation = context.cancellation().clone();
    tokio::select! {
        biased;
        () = cancellation.cancelled() => Err(Error::Cancelled),
        ended = async { tokio::try_join!(chain.start(context, input, output), drained) } => ended.map(drop),
    }
}

impl<T, U> std::fmt::Debug for Stage<T, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}
