//! How a stage calls its function: for one item after the other, for several at once, for all that have accumulated, for all.
//!
//! A function answers what comes of its items: nothing, one (`Option`, an array) or many (`Vec`). If it answers
//! [`Error::LeftOut`], that item is left out and the others go on; every other error ends the pipeline.

use tokio::task::JoinSet;

use super::{Context, Error, Output, Stage};

/// Calls `f` for one item after the other, in their order.
pub fn one_by_one<T, U, F, Done, Items>(name: &'static str, mut f: F) -> Stage<T, U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(Context, T) -> Done + Send + 'static,
    Done: Future<Output = Result<Items, Error>> + Send + 'static,
    Items: IntoIterator<Item = U, IntoIter: Send> + Send + 'static,
{
    Stage::new(name, move |context: Context, mut input, output| async move {
        while let Some(item) = input.next().await {
            let done = f(context.clone(), item).await;
            hand_on(&context, &output, done).await?;
        }
        Ok(())
    })
}

/// Calls `f` for up to `at_once` items at the same time. What is done goes on at once, in whatever order: a slow item keeps
/// nobody but itself waiting.
pub fn concurrent<T, U, F, Done, Items>(name: &'static str, at_once: usize, f: F) -> Stage<T, U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(Context, T) -> Done + Send + Sync + 'static,
    Done: Future<Output = Result<Items, Error>> + Send + 'static,
    Items: IntoIterator<Item = U, IntoIter: Send> + Send + 'static,
{
    Stage::new(name, move |context: Context, mut input, output| async move {
        let mut running = JoinSet::new();
        let mut is_ended = false;
        while !(is_ended && running.is_empty()) {
            tokio::select! {
                item = input.next(), if !is_ended && running.len() < at_once.max(1) => match item {
                    Some(item) => drop(running.spawn(f(context.clone(), item))),
                    None => is_ended = true,
                },
                Some(done) = running.join_next() => {
                    let panicked = |source| Err(Error::Panicked { stage: name, source });
                    hand_on(&context, &output, done.unwrap_or_else(panicked)).await?;
                }
            }
        }
        Ok(())
    })
}

/// Calls `f` with all items that have accumulated since the last call, up to `most`. It never waits for more: behind a slow
/// stage the batches are small, behind a fast one they are large.
pub fn batches<T, U, F, Done, Items>(name: &'static str, most: usize, mut f: F) -> Stage<T, U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(Context, Vec<T>) -> Done + Send + 'static,
    Done: Future<Output = Result<Items, Error>> + Send + 'static,
    Items: IntoIterator<Item = U, IntoIter: Send> + Send + 'static,
{
    Stage::new(name, move |context: Context, mut input, output| async move {
        while let Some(batch) = input.batch(most).await {
            let done = f(context.clone(), batch).await;
            hand_on(&context, &output, done).await?;
        }
        Ok(())
    })
}

/// Calls `f` once, with all items: for what cannot begin before everything is known. It holds everything in memory.
pub fn gather<T, U, F, Done, Items>(name: &'static str, f: F) -> Stage<T, U>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnOnce(Context, Vec<T>) -> Done + Send + 'static,
    Done: Future<Output = Result<Items, Error>> + Send + 'static,
    Items: IntoIterator<Item = U, IntoIter: Send> + Send + 'static,
{
    Stage::new(name, move |context: Context, mut input, output| async move {
        let mut all = Vec::new();
        while let Some(item) = input.next().await {
            all.push(item);
        }
        let done = f(context.clone(), all).await;
        hand_on(&context, &output, done).await
    })
}

async fn hand_on<U>(
    context: &Context,
    output: &Output<U>,
    done: Result<impl IntoIterator<Item = U, IntoIter: Send>, Error>,
) -> Result<(), Error> {
    match done {
        Ok(items) => {
            for item in items {
                output.send(item).await?;
            }
            Ok(())
        }
        Err(Error::LeftOut(failure)) => context.leave_out(*failure),
        Err(error) => Err(error),
    }
}
