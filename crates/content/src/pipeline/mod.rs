//! A pipeline: from what a source declares to a version of a repository.
//!
//! A pipeline is a chain of [`Stage`]s joined by bounded channels ([`Input`], [`Output`]). A stage is a function from a stream of one type
//! to a stream of another; how it is called, one by one, concurrently, in batches of whatever has accumulated, or once for
//! everything, is a wrapper of its own. All stages run at the same time, and memory does not grow with the source.
//!
//! A content type brings a first stage, `Stage<(), Declared>`, that reads the source's metadata and declares units. Behind
//! it comes a [list](Stages) that finds what is there, fetches what is not, saves it, and adds it to the
//! [draft](crate::repository::Draft) of the next version. The content type may put stages of its own into the list. Nobody sees
//! anything of it before [`sync`](mod@crate::sync) completes the draft.
//!
//! What [cannot be fetched](Failure) is left out and reported, and does not vanish from the repository.
//!
//! An example is `examples/own_type.rs`: a content type of one's own, with metadata in two layers.

mod channel;
mod context;
mod declared;
mod error;
mod failure;
mod progress;
mod schedule;
mod seen;
mod stage;
mod stages;
pub(crate) mod stock;

pub use channel::{Input, Output};
pub use context::Context;
pub use declared::{Declared, DeclaredFile, Origin};
pub use error::Error;
pub(crate) use error::in_one_line;
pub use failure::{Failure, Place};
pub use progress::{Counts, Progress};
pub use schedule::{batches, concurrent, gather, one_by_one};
pub use stage::{Stage, together};
pub use stages::{ADD, DOWNLOAD, QUERY, SAVE_ARTIFACTS, SAVE_UNITS, Stages};
pub use stock::{Ask, documents};

/// Runs a chain to its end.
///
/// # Errors
/// The first error of a stage, after which all others are dropped; [`Error::Cancelled`].
pub async fn run<U: Send + 'static>(context: Context, chain: Stage<(), U>) -> Result<(), Error> {
    stage::run(context, chain).await
}
