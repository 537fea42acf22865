//! Publications: a version with the files that clients find their way by.
//!
//! A publication serves every file of its version at its path, and adds files of its own: of the type `file`, a manifest.
//! The manifest is made while the version is read in parts and stored like any artifact, so that it costs no memory.

use futures_util::{Stream, stream};
use tutti_store::{Json, Store, ToValue, Tx, Value, row, sql};

use crate::page;
use crate::repository::difference::holds;
use crate::{Artifact, Artifacts, Error, Page, Window, number, record_artifact};

/// Lines of a manifest that are read at once.
const LINES_AT_ONCE: u32 = 1_000;

/// The name of a manifest, unless told otherwise (Pulp).
pub const MANIFEST: &str = "PULP_MANIFEST";

macro_rules! columns {
    () => {
        "SELECT id, repository, version, content_type, settings, created FROM publication WHERE "
    };
}

sql! {
    CREATE = "INSERT INTO publication (id, repository, version, content_type, settings, created) VALUES ($1, $2, $3, $4, $5, $6)";
    BY_ID = concat!(columns!(), "id = $1");
    BY_IDS = concat!(columns!(), "id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))");
    LIST = "SELECT id, count(*) OVER () FROM publication WHERE content_type IN (SELECT value FROM json_each($1)) \
        AND (CAST($2 AS BIGINT) IS NULL OR repository = $2) AND (CAST($3 AS BIGINT) IS NULL OR version = $3) \
        ORDER BY id DESC LIMIT $4 OFFSET $5";
    OF_VERSION = "SELECT id FROM publication WHERE repository = $1 AND version = $2";
    DROP = "DELETE FROM publication WHERE id = $1";
    DROP_FILES = "DELETE FROM published_file WHERE publication = $1";
    UNSERVED = "UPDATE distribution SET publication = NULL WHERE publication = $1";
    LINES = concat!("SELECT c.path, f.digest, coalesce(f.size, a.size) FROM repository_content c \
        JOIN unit_artifact f ON f.unit = c.unit AND f.path = c.path LEFT JOIN artifact a ON a.digest = f.digest \
        WHERE c.repository = $1 AND ", holds!("c", "$2"), " AND c.path > $3 ORDER BY c.path LIMIT $4");
}

row! {
    /// A publication.
    #[derive(Clone, Debug)]
    pub struct Publication {
        /// Id.
        pub id: i64,
        /// The repository.
        pub repository: i64,
        /// The number of its version.
        pub version: i64,
        /// What it publishes: `file`, `python`.
        pub content_type: String,
        /// What its content type keeps of it: of a file repository, `{"manifest": …}`.
        pub settings: Json<serde_json::Value>,
        /// UTC microseconds.
        pub created: i64,
    }

    /// A line of a manifest.
    struct Line {
        path: String,
        digest: Option<String>,
        size: Option<u64>,
    }
}

/// Which publications.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one of these content types.
    pub content_types: Vec<String>,
    /// Of this repository.
    pub repository: Option<i64>,
    /// Of this version of it.
    pub version: Option<i64>,
}

/// What is published.
#[derive(Clone, Debug)]
pub struct NewPublication {
    /// The repository.
    pub repository: i64,
    /// The number of its version.
    pub version: i64,
    /// Its content type.
    pub content_type: String,
    /// What its content type keeps of the publication.
    pub settings: serde_json::Value,
}

/// Publishes a version, with a manifest of this name if there is to be one.
///
/// # Errors
/// [`Error::Path`] if the manifest's name is none; those of [`Artifacts::put`]; [`Error::Store`].
pub async fn publish(
    store: &Store,
    artifacts: &Artifacts,
    new: NewPublication,
    manifest: Option<&str>,
    now: i64,
) -> Result<Publication, Error> {
    let mut files = Vec::new();
    if let Some(name) = manifest {
        if !crate::path::is_relative(name) {
            return Err(Error::Path(name.to_owned()));
        }
        let lines = manifest_of(store, new.repository, new.version);
        files.push((name.to_owned(), artifacts.put(lines).await?));
    }
    store.write(move |tx| create(tx, &new, &files, now)).await
}

/// Makes a publication whose own files are stored.
///
/// # Errors
/// [`Error::Store`].
pub fn create(
    tx: &mut Tx<'_>,
    new: &NewPublication,
    files: &[(String, Artifact)],
    now: i64,
) -> Result<Publication, Error> {
    let id = number::take(tx, 1)?;
    let (content_type, settings) = (new.content_type.as_str(), Json(&new.settings));
    tx.exec(CREATE, (id, new.repository, new.version, content_type, settings, now))?;
    for (_, artifact) in files {
        record_artifact(tx, artifact, now)?;
    }
    let rows = files.iter().map(|(path, artifact)| -> Vec<Value> {
        vec![id.to_value(), path.to_value(), artifact.digest.to_value(), artifact.size.to_value()]
    });
    tx.insert_many("published_file", &["publication", "path", "digest", "size"], rows)?;
    required(tx, id)
}

/// The manifest of a version, a line for each file whose digest is known: `path,sha256,size`.
fn manifest_of(
    store: &Store,
    repository: i64,
    version: i64,
) -> impl Stream<Item = Result<Vec<u8>, Error>> + use<> {
    let begin = (store.clone(), String::new());
    stream::try_unfold(begin, move |(store, after)| async move {
        let wanted = (repository, version, after, LINES_AT_ONCE);
        let lines: Vec<Line> = store.read(move |tx| tx.all(LINES, wanted)).await?;
        let Some(last) = lines.last().map(|line| line.path.clone()) else { return Ok(None) };
        let text: String = lines.iter().filter_map(text_of).collect();
        Ok(Some((text.into_bytes(), (store, last))))
    })
}

fn text_of(line: &Line) -> Option<String> {
    let (digest, size) = (line.digest.as_ref()?, line.size.unwrap_or_default());
    Some(format!("{},{digest},{size}\n", line.path))
}

/// The publication of an id.
///
/// # Errors
/// [`Error::Store`].
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Publication>, Error> {
    Ok(tx.maybe(BY_ID, (id,))?)
}

/// The publication of an id, which has to be there.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, id: i64) -> Result<Publication, Error> {
    by_id(tx, id)?.ok_or(Error::Missing { what: "publication", id })
}

/// A page of the publications that a filter lets through, newest first.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, filter: &Filter, window: Window) -> Result<Page<Publication>, Error> {
    let values = |window: Window| {
        vec![
            Json(&filter.content_types).to_value(),
            filter.repository.to_value(),
            filter.version.to_value(),
            window.limit.to_value(),
            window.offset.to_value(),
        ]
    };
    page::page(tx, window, LIST, BY_IDS, values, |one: &Publication| one.id)
}

/// Drops a publication; distributions that served it serve nothing.
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    for statement in [UNSERVED, DROP_FILES, DROP] {
        tx.exec(statement, (id,))?;
    }
    Ok(())
}

/// Drops the publications of a version.
pub(crate) fn drop_of_version(tx: &mut Tx<'_>, repository: i64, version: i64) -> Result<(), Error> {
    let found: Vec<i64> = tx.all(OF_VERSION, (repository, version))?;
    found.into_iter().try_for_each(|id| drop(tx, id))
}
