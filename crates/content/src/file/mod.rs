//! The content type `file`: a list of files with their digests, `PULP_MANIFEST`, and the files beside it.
//!
//! - this file: the first stage of a sync: the list, line by line;
//! - [`manifest`]: what a line says, and which lines are refused.

pub mod manifest;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Artifact, Error,
    artifact::blocking,
    digest::{Algorithm, Expected},
    download::{Request, Validators},
    pipeline::{
        self, Context, Declared, DeclaredFile, Failure, Origin, Output, Place, Stage, Stages,
    },
    sync::{Document, Plan, Start},
};

/// The name of the content type.
pub const CONTENT_TYPE: &str = "file";

/// The list's name where it is published.
pub const MANIFEST: &str = "PULP_MANIFEST";

/// The largest list that is read.
const MANIFEST_BYTES_MAX: u64 = 2 << 30;

/// A longer line than this has a path that nothing may have.
const LINE_BYTES_MAX: u64 = 1_200;

/// Lines read at once.
const LINES_AT_ONCE: usize = 500;

/// What is remembered of a list.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    validators: Validators,
    digest: String,
}

/// Fetches the list; none if it is what it was.
///
/// # Errors
/// [`pipeline::Error::Download`] if it cannot be fetched; [`pipeline::Error::Content`].
pub async fn plan(start: Start) -> Result<Option<Plan>, pipeline::Error> {
    let memory = Memory::deserialize(&start.memory).unwrap_or_default();
    let Start { origin, artifacts, progress, .. } = start;
    let (urls, expected) = ([origin.client.url().to_string()], Expected::default());
    let request = Request {
        known: &memory.validators,
        most: MANIFEST_BYTES_MAX,
        ..Request::new(&urls, &expected)
    };
    let mut incoming = artifacts.incoming();
    let fetched = origin.client.fetch(&request, &mut incoming).await?;
    progress.count(|counts| counts.metadata += 1);
    let Some(fetched) = fetched else { return Ok(None) };
    if fetched.digests.get(&Algorithm::Sha256) == Some(&memory.digest) {
        return Ok(None);
    }
    let list = incoming.place().await?;
    artifacts.settle([list.digest.clone()]).await?;
    let total = lines(&artifacts.path(&list.digest)).await?;
    progress.count(|counts| counts.total = Some(total));
    let memory = Memory { validators: fetched.validators, digest: list.digest.clone() };
    let at_once = origin.client.concurrency() * 2;
    let document = Document { path: MANIFEST.to_owned(), artifact: list.clone() };
    Ok(Some(Plan {
        first: first(origin, list),
        stages: Stages::standard(at_once),
        memory: Plan::remember(&memory),
        documents: vec![document],
    }))
}

/// Declares a unit for each line of a list that is here.
fn first(origin: Arc<Origin>, list: Artifact) -> Stage<(), Declared> {
    Stage::new("manifest", move |context: Context, _, output: Output<Declared>| async move {
        let path = context.artifacts().path(&list.digest);
        let opened = path.clone();
        let open = move || File::open(&opened).map_err(Error::file("open", &opened));
        let mut lines = Lines { file: BufReader::new(blocking(&path, open).await?), number: 0 };
        loop {
            let read = path.clone();
            let (rest, some) = blocking(&path, move || {
                let some = lines.some().map_err(Error::file("read", &read))?;
                Ok((lines, some))
            })
            .await?;
            lines = rest;
            if some.is_empty() {
                return Ok(());
            }
            for line in some {
                match line.and_then(|line| declare(&origin, &line)) {
                    Ok(declared) => output.send(declared).await?,
                    Err(failure) => context.leave_out(failure)?,
                }
            }
        }
    })
}

/// How many lines a list has; comments are few.
async fn lines(list: &Path) -> Result<u64, Error> {
    let path = list.to_owned();
    blocking(list, move || {
        let count = |path: &Path| {
            let (mut file, mut chunk, mut count) = (File::open(path)?, vec![0; 256 * 1024], 0);
            loop {
                match file.read(&mut chunk)? {
                    0 => return Ok(count),
                    read => {
                        let bytes = chunk.get(..read).unwrap_or_default();
                        count += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                    }
                }
            }
        };
        count(&path).map_err(Error::file("read", &path))
    })
    .await
}

/// A line that can be read, with its number.
struct Line {
    number: u64,
    text: String,
}

struct Lines {
    file: BufReader<File>,
    number: u64,
}

impl Lines {
    /// The next lines; none at the end.
    fn some(&mut self) -> std::io::Result<Vec<Result<Line, Failure>>> {
        let mut lines = Vec::new();
        while lines.len() < LINES_AT_ONCE {
            let mut bytes = Vec::new();
            if self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.number += 1;
            let number = self.number;
            let refused =
                |why: &str| Err(Failure::nowhere(&format!("line {number} of {MANIFEST}"), why));
            if !bytes.ends_with(b"\n") && bytes.len() as u64 == LINE_BYTES_MAX {
                self.file.skip_until(b'\n')?;
                lines.push(refused("it is too long"));
                continue;
            }
            match String::from_utf8(bytes) {
                Ok(text) if manifest::is_entry(&text) => lines.push(Ok(Line { number, text })),
                Ok(_) => {}
                Err(_) => lines.push(refused("it is not UTF-8")),
            }
        }
        Ok(lines)
    }
}

fn declare(origin: &Arc<Origin>, line: &Line) -> Result<Declared, Failure> {
    let entry = manifest::parse(&line.text).map_err(|refused| Failure {
        name: format!("line {} of {MANIFEST}: {:?}", line.number, refused.path),
        reason: refused.why.to_owned(),
        place: if refused.is_path { Place::Path(refused.path) } else { Place::Nowhere },
    })?;
    let expected = Expected::sha256(&entry.digest, Some(entry.size));
    let url = beside(origin.client.url(), &entry.path);
    let file = DeclaredFile::new(&entry.path, url, expected);
    Ok(Declared::new(origin, CONTENT_TYPE, &entry.path, vec![file]))
}

/// The url of a file that lies beside the list.
fn beside(list: &Url, path: &str) -> String {
    let mut url = list.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop().extend(path.split('/'));
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_beside_the_list() {
        for (list, path, expected) in [
            ("http://h/a/PULP_MANIFEST", "b/c", "http://h/a/b/c"),
            ("http://h/PULP_MANIFEST?x=1", "b c,d", "http://h/b%20c,d"),
            ("file:///a/PULP_MANIFEST", "%2e%2e/x", "file:///a/%252e%252e/x"),
            ("http://h/a/PULP_MANIFEST", "ä?#", "http://h/a/%C3%A4%3F%23"),
        ] {
            assert_eq!(beside(&Url::parse(list).unwrap(), path), expected);
        }
    }
}
