//! Files that are fetched when somebody asks.
//!
//! However many ask for a file, it is fetched once; all of them get it while it arrives. The last byte is held back until the
//! whole is known to be what it was announced to be: who has all bytes has the right ones. Then it is stored, or, by the
//! policy `streamed`, forgotten.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::Stream;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tutti_store::{Json, Store, Tx, row, sql};

use crate::{
    Artifact, Artifacts, Error, Incoming, artifact,
    artifact::Growth,
    digest::{Algorithm, Digests, Expected},
    download::{self, Client, Policy, Request, Source},
    unit,
};

/// Bytes handed out at once.
const READ_AT_ONCE: u64 = 256 * 1024;

/// Sources whose connections are kept.
const CLIENTS_MAX: usize = 100;

sql! {
    OFFERS = "SELECT remote, url, digests FROM remote_artifact WHERE unit = $1 AND path = $2 ORDER BY remote";
}

row! {
    /// Where a file of a unit can be fetched.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Offer {
        /// Id of the remote.
        pub remote: i64,
        /// Where it has the file.
        pub url: String,
        /// What the remote announces beside the SHA-256.
        pub digests: Json<Digests>,
    }
}

/// Where a file of a unit can be fetched.
///
/// # Errors
/// [`Error::Store`].
pub fn offers(tx: &mut Tx<'_>, unit: i64, path: &str) -> Result<Vec<Offer>, Error> {
    Ok(tx.all(OFFERS, (unit, path))?)
}

/// Why a file could not be handed out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// No remote offers it.
    #[error("no remote offers {path:?}")]
    NoOffer {
        /// The file.
        path: String,
    },
    /// No remote that offers it has it.
    #[error("it could not be fetched")]
    Upstream(#[source] Arc<download::Error>),
    /// It could not be stored.
    #[error("it could not be stored")]
    Store(#[source] Arc<Error>),
    /// What was handed out already is not what the remote has now.
    #[error("it changed while it was fetched")]
    Changed,
    /// The fetch ended without a word.
    #[error("the fetch was abandoned")]
    Abandoned,
}

/// A file that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The unit.
    pub unit: i64,
    /// Which of its files.
    pub path: String,
    /// SHA-256, if known.
    pub digest: Option<String>,
    /// Bytes, if known.
    pub size: Option<u64>,
}

/// Fetches files when somebody asks. Cheap to clone: clones share what is under way.
#[derive(Clone, Debug)]
pub struct Fetcher(Arc<Inner>);

type Key = (i64, String);
type End = Option<Result<(), FetchError>>;

#[derive(Debug)]
struct Inner {
    store: Store,
    artifacts: Artifacts,
    under_way: Mutex<HashMap<Key, UnderWay>>,
    /// Fetches so far.
    begun: AtomicU64,
    clients: tokio::sync::Mutex<HashMap<i64, (Source, Client)>>,
}

/// A fetch that others can join.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    growth: watch::Receiver<Growth>,
    end: watch::Receiver<End>,
    /// Gone when nobody reads any more.
    readers: Weak<DropGuard>,
    unread: CancellationToken,
    is_kept: bool,
}

/// How a fetch is followed.
#[derive(Clone, Debug)]
struct Following {
    growth: watch::Receiver<Growth>,
    end: watch::Receiver<End>,
    _reader: Arc<DropGuard>,
}

/// A file that is being handed out.
#[derive(Debug)]
pub struct Reading {
    following: Following,
    /// Bytes handed out.
    position: u64,
    /// The beginning they are from.
    beginning: u32,
}

impl Fetcher {
    /// Over that store.
    #[must_use]
    pub fn new(store: &Store, artifacts: &Artifacts) -> Self {
        let (store, artifacts) = (store.clone(), artifacts.clone());
        let (under_way, begun) = (Mutex::default(), AtomicU64::new(0));
        let clients = tokio::sync::Mutex::default();
        Self(Arc::new(Inner { store, artifacts, under_way, begun, clients }))
    }

    /// Begins to hand out a file; answers when there is a first byte. The remotes are tried in that order.
    ///
    /// # Errors
    /// [`FetchError`], if none of the remotes has it.
    pub async fn open(
        &self,
        wanted: Wanted,
        offers: Vec<(Source, Offer)>,
    ) -> Result<Reading, FetchError> {
        if offers.is_empty() {
            return Err(FetchError::NoOffer { path: wanted.path });
        }
        let following = self.follow(wanted, offers);
        let mut reading = Reading { following, position: 0, beginning: 0 };
        reading.ready().await?;
        Ok(reading)
    }

    fn follow(&self, wanted: Wanted, offers: Vec<(Source, Offer)>) -> Following {
        let key = (wanted.unit, wanted.path.clone());
        let mut under_way = self.0.under_way();
        if let Some(following) = under_way.get_mut(&key).and_then(UnderWay::join) {
            return following;
        }
        let (growth, grows) = watch::channel(Growth::default());
        let (end, ends) = watch::channel(None);
        let unread = CancellationToken::new();
        let reader = Arc::new(unread.clone().drop_guard());
        let is_kept = offers.iter().any(|(source, _)| source.policy != Policy::Streamed);
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed);
        let listed = UnderWay {
            number,
            growth: grows.clone(),
            end: ends.clone(),
            readers: Arc::downgrade(&reader),
            unread: unread.clone(),
            is_kept,
        };
        under_way.insert(key.clone(), listed);
        drop(under_way);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            // Gone from the list when it ends, however it ends.
            let listed = Listed { inner: Arc::clone(&inner), key, number };
            let fetch = inner.fetch(&wanted, offers, Arc::new(growth));
            let ended = tokio::select! {
                ended = fetch => ended,
                // What is kept is of use to the next who asks.
                () = unread.cancelled(), if !is_kept => Err(FetchError::Abandoned),
            };
            drop(listed);
            end.send_replace(Some(ended));
        });
        Following { growth: grows, end: ends, _reader: reader }
    }
}

impl UnderWay {
    /// Joins, unless it is about to end because nobody read any more.
    fn join(&mut self) -> Option<Following> {
        let reader = match self.readers.upgrade() {
            Some(reader) => reader,
            None if self.is_kept => {
                let reader = Arc::new(self.unread.clone().drop_guard());
                self.readers = Arc::downgrade(&reader);
                reader
            }
            None => return None,
        };
        Some(Following { growth: self.growth.clone(), end: self.end.clone(), _reader: reader })
    }
}

impl Inner {
    async fn fetch(
        &self,
        wanted: &Wanted,
        offers: Vec<(Source, Offer)>,
        growth: Arc<watch::Sender<Growth>>,
    ) -> Result<(), FetchError> {
        let mut failure = FetchError::NoOffer { path: wanted.path.clone() };
        for (source, offer) in offers {
            let mut digests = offer.digests.0;
            let sha256 = wanted.digest.clone().map(|digest| (Algorithm::Sha256, digest));
            digests.extend(sha256);
            let expected = Expected { digests, size: wanted.size };
            let others = expected.digests.keys().copied();
            let incoming = self.artifacts.incoming().with_digests(others);
            let mut incoming = incoming.watched_by(Arc::clone(&growth));
            match self.fetch_from(&source, &offer.url, &expected, &mut incoming).await {
                Ok(()) => {
                    let is_kept = source.policy != Policy::Streamed;
                    let ended = self.end(wanted, incoming, is_kept).await;
                    return ended.map_err(|error| FetchError::Store(Arc::new(error)));
                }
                Err(error) => {
                    incoming.begin_anew().await;
                    failure = FetchError::Upstream(Arc::new(error));
                }
            }
        }
        Err(failure)
    }

    async fn fetch_from(
        &self,
        source: &Source,
        url: &str,
        expected: &Expected,
        incoming: &mut Incoming,
    ) -> Result<(), download::Error> {
        let client = self.client(source).await?;
        let urls = [url.to_owned()];
        client.fetch(&Request::new(&urls, expected), incoming).await.map(drop)
    }

    async fn end(
        &self,
        wanted: &Wanted,
        mut incoming: Incoming,
        is_kept: bool,
    ) -> Result<(), Error> {
        if !is_kept {
            return incoming.pass_on().await;
        }
        let artifact = incoming.place().await?;
        self.artifacts.settle([artifact.digest.clone()]).await?;
        let (unit, path) = (wanted.unit, wanted.path.clone());
        let arrived = move |tx: &mut Tx<'_>| {
            let Artifact { digest, size } = &artifact;
            let now = tx.now()?;
            artifact::record(tx, &artifact, now)?;
            unit::arrived(tx, [(unit, path.as_str(), digest.as_str(), *size)])
        };
        self.store.write(arrived).await
    }

    /// The client of a source, as long as the source is the same.
    async fn client(&self, source: &Source) -> Result<Client, download::Error> {
        let mut clients = self.clients.lock().await;
        if let Some((_, client)) = clients.get(&source.id).filter(|(known, _)| known == source) {
            return Ok(client.clone());
        }
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let client = Client::new(source).await?;
        clients.insert(source.id, (source.clone(), client.clone()));
        Ok(client)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry of what is under way.
struct Listed {
    inner: Arc<Inner>,
    key: Key,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut under_way = self.inner.under_way();
        // Another one may have taken its place.
        if under_way.get(&self.key).is_some_and(|listed| listed.number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

/// What a reader can do next.
enum Next {
    Read(Arc<File>, u64),
    End,
}

impl Reading {
    /// The next bytes; none at the end, when all that were handed out are known to be right.
    ///
    /// # Errors
    /// [`FetchError`]: what was handed out is worth nothing.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, FetchError> {
        let (file, position, length) = match self.ready().await? {
            Next::End => return Ok(None),
            Next::Read(file, to) => (file, self.position, (to - self.position).min(READ_AT_ONCE)),
        };
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut chunk, position).map(|()| chunk)
        });
        let read = read.await.unwrap_or_else(|lost| Err(io::Error::other(lost)));
        let failed = |source| {
            let error = Error::Receive { received: position, source: Box::new(source) };
            FetchError::Store(Arc::new(error))
        };
        let chunk = read.map_err(failed)?;
        self.position += chunk.len() as u64;
        Ok(Some(chunk))
    }

    /// All of it, as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<u8>, FetchError>> {
        futures_util::stream::try_unfold(self, |mut reading| async move {
            Ok(reading.chunk().await?.map(|chunk| (chunk, reading)))
        })
    }

    /// Waits until there is something that was not handed out, or the end.
    async fn ready(&mut self) -> Result<Next, FetchError> {
        loop {
            let ended = self.following.end.borrow_and_update().clone();
            let growth = self.following.growth.borrow_and_update().clone();
            if let Some(Err(error)) = ended {
                return Err(error);
            }
            if self.position > 0 && growth.beginnings != self.beginning {
                return Err(FetchError::Changed);
            }
            self.beginning = growth.beginnings;
            // Without its last byte nobody takes it for whole.
            let to =
                if ended.is_some() { growth.written } else { growth.written.saturating_sub(1) };
            match growth.file {
                Some(file) if self.position < to => return Ok(Next::Read(file, to)),
                _ if ended.is_some() => return Ok(Next::End),
                _ => {}
            }
            let Following { growth, end, .. } = &mut self.following;
            // Once it has ended nothing grows any more.
            let lives = tokio::select! {
                ended = end.changed() => ended.is_ok(),
                grown = growth.changed() => grown.is_ok() || end.changed().await.is_ok(),
            };
            if !lives {
                return Err(FetchError::Abandoned);
            }
        }
    }
}
