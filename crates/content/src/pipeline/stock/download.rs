//! Fetches the bytes that are to be here and are not.

use super::super::stages::DOWNLOAD;
use crate::{
    download::{Policy, Request},
    pipeline::{
        Context, Declared, DeclaredFile, Error, Failure, Origin, Stage, concurrent, in_one_line,
    },
};

pub(in crate::pipeline) fn download(at_once: usize) -> Stage<Declared, Declared> {
    concurrent(DOWNLOAD, at_once, |context, mut unit: Declared| async move {
        if unit.origin.policy != Policy::Immediate && unit.identity.is_some() {
            return Ok([unit]);
        }
        let missing = unit.files.iter().filter(|file| file.artifact.is_none());
        let bytes = missing.map(|file| file.expected.size.unwrap_or_default()).sum();
        if unit.files.iter().any(|file| file.artifact.is_none()) {
            unit.room = context.room(bytes).await;
        }
        let origin = std::sync::Arc::clone(&unit.origin);
        for file in unit.files.iter_mut().filter(|file| file.artifact.is_none()) {
            if let Err(error) = fetch(&context, &origin, file).await {
                return Err(left_out(&unit.path, error));
            }
        }
        if unit.identity.is_none() {
            unit.identity = unit.files.first().and_then(|file| file.digest()).map(str::to_owned);
        }
        Ok([unit])
    })
}

async fn fetch(context: &Context, origin: &Origin, file: &mut DeclaredFile) -> Result<(), Error> {
    let others = file.expected.digests.keys().copied();
    let mut incoming = context.artifacts().incoming().with_digests(others);
    let request = Request::new(&file.urls, &file.expected);
    origin.client.fetch(&request, &mut incoming).await?;

    let artifact = incoming.place().await?;
    context.count(|counts| {
        counts.downloaded += 1;
        counts.bytes += artifact.size;
    });
    file.artifact = Some(artifact);
    file.is_fresh = true;
    Ok(())
}

/// What the source did wrong leaves out one unit; what this machine did wrong ends it all.
fn left_out(path: &str, error: Error) -> Error {
    match error {
        Error::Download(error) if !error.reason.is_disk_full() => {
            Failure::at(path, in_one_line(&*error)).into()
        }
        other => other,
    }
}
