//! The same of files: a source whose url is `file://` leads to files below the directory of that url.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use url::Url;

use super::{
    error::Reason,
    fetch::{Request, Validators},
    transfer::{Body, Reply},
};

/// Bytes read at once.
const READ_AT_ONCE: u64 = 256 * 1024;

/// Reads a file; none if it is still what it was.
pub(super) async fn transfer(
    source: &Url,
    url: &Url,
    request: &Request<'_>,
    body: &mut Body<'_>,
) -> Result<Option<Reply>, Reason> {
    let refused = |why| Reason::Url { url: url.to_string(), why };
    if source.scheme() != "file" {
        return Err(refused("only a source of files leads to files"));
    }
    let path = |url: &Url| url.to_file_path().map_err(|()| refused("it is no path"));
    let (below, path) = (directory(&path(source)?), path(url)?);
    let (mut file, validators) = blocking(move || open(&below, &path)).await?;
    if !request.known.is_empty() && *request.known == validators {
        return Ok(None);
    }
    body.begin_anew().await;
    loop {
        let (file_again, chunk) = blocking(move || {
            let mut chunk = Vec::new();
            Read::by_ref(&mut file).take(READ_AT_ONCE).read_to_end(&mut chunk)?;
            Ok((file, chunk))
        })
        .await?;
        if chunk.is_empty() {
            break;
        }
        file = file_again;
        body.take(request, &chunk).await?;
    }
    body.ended(request)?;
    Ok(Some(Reply { url: url.to_string(), validators, ..Reply::default() }))
}

/// What a source's url names is a directory, or a file in one.
fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    path.parent().unwrap_or(path).to_owned()
}

/// Opens a file unless links lead out of the directory.
fn open(below: &Path, path: &Path) -> io::Result<(std::fs::File, Validators)> {
    let (below, path) = (below.canonicalize()?, path.canonicalize()?);
    if !path.starts_with(&below) {
        let why = format!("{} is not below {}", path.display(), below.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let file = std::fs::File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let since = found.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{}-{}\"", since.as_nanos(), found.len());
    Ok((file, Validators { etag: Some(etag), last_modified: None }))
}

async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Reason> {
    let done = tokio::task::spawn_blocking(run).await;
    done.unwrap_or_else(|lost| Err(io::Error::other(lost))).map_err(Reason::Read)
}
