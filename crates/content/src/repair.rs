//! What is not as it should be on disk: bytes that are gone or changed, and bytes that need not be here.
//!
//! Both end the same way: the artifact's row goes, and with it the claim that the bytes are here. What a remote offers is
//! fetched again when it is asked for.

use tutti_store::{Json, Store, Tx, sql};

use crate::repository::difference::holds;
use crate::{Artifacts, Error};

/// Artifacts that are looked at between two looks at the database.
const LOOKED_AT_ONCE: u32 = 200;

sql! {
    ALL = "SELECT digest FROM artifact WHERE digest > $1 ORDER BY digest LIMIT $2";
    OF_VERSION = concat!("SELECT DISTINCT a.digest FROM repository_content c JOIN unit_artifact f ON f.unit = c.unit \
        JOIN artifact a ON a.digest = f.digest WHERE c.repository = $1 AND ", holds!("c", "$2"), " AND a.digest > $3 \
        ORDER BY a.digest LIMIT $4");
    FORGET = "DELETE FROM artifact {rows} WHERE digest = $1";
    IS_OFFERED = "SELECT f.digest FROM unit_artifact f {rows} WHERE f.digest = $1 \
        AND EXISTS (SELECT 1 FROM remote_artifact o WHERE o.unit = f.unit AND o.path = f.path)";
    /// Files of units of these repositories that remotes offer for each unit that has them, that no other repository holds, and
    /// that no publication has.
    RECLAIMABLE = "SELECT DISTINCT a.digest FROM repository_content c JOIN unit_artifact f ON f.unit = c.unit \
        JOIN artifact a ON a.digest = f.digest \
        WHERE c.repository IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND a.digest > $2 \
        AND NOT EXISTS (SELECT 1 FROM published_file p WHERE p.digest = a.digest) \
        AND NOT EXISTS (SELECT 1 FROM unit_artifact g WHERE g.digest = a.digest AND (NOT EXISTS ( \
            SELECT 1 FROM remote_artifact o WHERE o.unit = g.unit AND o.path = g.path) \
            OR EXISTS (SELECT 1 FROM repository_content e WHERE e.unit = g.unit \
            AND e.repository NOT IN (SELECT CAST(value AS BIGINT) FROM json_each($1))))) \
        ORDER BY a.digest LIMIT $3";
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// The files of a version of a repository.
    Version(i64, i64),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Artifacts that were looked at.
    pub looked_at: u64,
    /// Those whose bytes are gone.
    pub missing: u64,
    /// Those whose bytes are others.
    pub corrupted: u64,
    /// Of both, those that can be fetched again.
    pub fetchable: u64,
}

/// Reads artifacts again. Without `verify`, only looks whether they are there and as long as they should be.
/// `progress` is told how far it is now and then; it answers whether to go on.
///
/// # Errors
/// [`Error::File`], [`Error::Store`].
pub async fn repair<F: Future<Output = bool>>(
    store: &Store,
    artifacts: &Artifacts,
    scope: Scope,
    verify: bool,
    mut progress: impl FnMut(Report) -> F,
) -> Result<Report, Error> {
    let (mut report, mut after) = (Report::default(), String::new());
    loop {
        let from = after.clone();
        let digests: Vec<String> = store
            .read(move |tx| match scope {
                Scope::All => tx.all(ALL, (from, LOOKED_AT_ONCE)),
                Scope::Version(repository, number) => {
                    tx.all(OF_VERSION, (repository, number, from, LOOKED_AT_ONCE))
                }
            })
            .await?;
        let Some(last) = digests.last() else { return Ok(report) };
        after.clone_from(last);
        let mut bad = Vec::new();
        for digest in digests {
            report.looked_at += 1;
            match state(artifacts, &digest, verify).await? {
                Bytes::Good => continue,
                Bytes::Missing => report.missing += 1,
                Bytes::Corrupted => report.corrupted += 1,
            }
            bad.push(digest);
        }
        report.fetchable += give_up(store, artifacts, bad).await?;
        if !progress(report.clone()).await {
            return Ok(report);
        }
    }
}

/// Removes the files of repositories that remotes offer and nothing else needs; answers how many.
///
/// # Errors
/// [`Error::File`], [`Error::Store`].
pub async fn reclaim(
    store: &Store,
    artifacts: &Artifacts,
    repositories: &[i64],
) -> Result<u64, Error> {
    let (mut count, mut after) = (0, String::new());
    loop {
        let (from, ids) = (after.clone(), Json(repositories.to_vec()));
        let digests: Vec<String> =
            store.read(move |tx| tx.all(RECLAIMABLE, (ids, from, LOOKED_AT_ONCE))).await?;
        let Some(last) = digests.last() else { return Ok(count) };
        after.clone_from(last);
        count += digests.len() as u64;
        give_up(store, artifacts, digests).await?;
    }
}

enum Bytes {
    Good,
    Missing,
    Corrupted,
}

async fn state(artifacts: &Artifacts, digest: &str, verify: bool) -> Result<Bytes, Error> {
    let path = artifacts.path(digest);
    if !verify {
        return Ok(if path.is_file() { Bytes::Good } else { Bytes::Missing });
    }
    let read = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || digest_of(&path)).await
    };
    match read.map_err(std::io::Error::other).and_then(|read| read) {
        Ok(found) if found == digest => Ok(Bytes::Good),
        Ok(_) => Ok(Bytes::Corrupted),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Bytes::Missing),
        Err(error) => Err(Error::file("read", &path)(error)),
    }
}

/// The SHA-256 of a file. Blocks.
fn digest_of(path: &std::path::Path) -> std::io::Result<String> {
    use aws_lc_rs::digest::{Context, SHA256};
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(crate::digest::hexadecimal(hash.finish().as_ref())),
            read => hash.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}

/// Forgets artifacts and removes what is left of their files; answers how many can be fetched again.
async fn give_up(store: &Store, artifacts: &Artifacts, digests: Vec<String>) -> Result<u64, Error> {
    let forgotten = digests.clone();
    let fetchable = store.write(move |tx| forget(tx, &forgotten)).await?;
    for digest in digests {
        let path = artifacts.path(&digest);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(fetchable)
}

fn forget(tx: &mut Tx<'_>, digests: &[String]) -> Result<u64, Error> {
    let keys = || digests.iter().map(|digest| (digest.as_str(),));
    let offered: std::collections::BTreeSet<String> =
        tx.all_many::<String>(IS_OFFERED, keys())?.into_iter().collect();
    tx.exec_many(FORGET, keys())?;
    Ok(offered.len() as u64)
}
