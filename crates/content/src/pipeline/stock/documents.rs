//! A layer of metadata: one document for each item, which says what comes of it.
//!
//! The documents are asked for at the same time as each other and as everything behind them. One that cannot be fetched or
//! read leaves out what it would have told of; what the last version has of that stays.

use std::sync::Arc;

use crate::{
    digest::Expected,
    download::{Page, Request, Validators},
    pipeline::{Context, Error, Failure, Origin, Place, Stage, concurrent, in_one_line},
};

/// A document that is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is told of a failure.
    pub name: String,
    /// Where it is: mirrors in the order in which they are tried.
    pub urls: Vec<String>,
    /// The content type asked for.
    pub accept: Option<&'static str>,
    /// What it was when it was read last: if it is still that, it is not read, and its place stays as it is.
    pub known: Validators,
    /// The most bytes that are read.
    pub most: u64,
    /// Where in the repository that is what it tells of.
    pub place: Place,
}

/// Fetches the document of each item, and hands on what `read` makes of it. `read` runs on a thread of its own.
pub fn documents<T, U, A, R>(
    name: &'static str,
    origin: &Arc<Origin>,
    ask: A,
    read: R,
) -> Stage<T, U>
where
    T: Send + 'static,
    U: Send + 'static,
    A: Fn(&T) -> Ask + Send + Sync + 'static,
    R: Fn(&Context, T, Page) -> Result<Vec<U>, String> + Send + Sync + 'static,
{
    let (origin, read) = (Arc::clone(origin), Arc::new(read));
    concurrent(name, origin.client.concurrency(), move |context: Context, item: T| {
        let (ask, origin, read) = (ask(&item), Arc::clone(&origin), Arc::clone(&read));
        async move {
            let expected = Expected::default();
            let request = Request {
                known: &ask.known,
                accept: ask.accept,
                most: ask.most,
                ..Request::new(&ask.urls, &expected)
            };
            let left_out =
                |reason| Failure { name: ask.name.clone(), reason, place: ask.place.clone() };
            let page = origin.client.page(&request).await;
            context.count(|counts| counts.metadata += 1);
            let Some(page) = page.map_err(|error| left_out(in_one_line(&error)))? else {
                context.keep(&ask.place);
                return Ok(Vec::new());
            };
            let reading = context.clone();
            let read = tokio::task::spawn_blocking(move || read(&reading, item, page)).await;
            let read = read.map_err(|source| Error::Panicked { stage: name, source })?;
            read.map_err(|reason| left_out(reason).into())
        }
    })
}
