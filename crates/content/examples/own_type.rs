//! A content type of one's own, with metadata in two layers: a list of names, and for each name a document that says which
//! file belongs to it. Here both are in a directory; `http://…` is the same.
//!
//! `cargo run -p tutti-content --example own_type`

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, MIGRATIONS, SyncRequest,
    digest::{Expected, sha256},
    download::{Page, Policy, Request, Source, SourceSettings},
    pipeline::{
        Ask, Declared, DeclaredFile, Error, Failure, Place, Progress, SAVE_UNITS, Stage, Stages,
        documents, one_by_one,
    },
    repository,
    sync::{Plan, Start, sync_with},
};
use tutti_store::Store;

const CONTENT_TYPE: &str = "note";

async fn plan(start: Start) -> Result<Option<Plan>, Error> {
    let origin = start.origin;
    // The first layer: which notes there are.
    let (urls, expected) = ([start.source.url], Expected::default());
    let Some(list) = origin.client.page(&Request::new(&urls, &expected)).await? else {
        return Ok(None);
    };
    let names = String::from_utf8_lossy(&list.bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let list = Stage::new("list", move |_, _, output| async move {
        for name in names {
            output.send(name).await?;
        }
        Ok(())
    });
    // The second: what each of them is. It runs beside the downloads of those that are known already.
    let beside = origin.client.url().clone();
    let at = move |name: &str| beside.join(name).map_or_else(|_| String::new(), Into::into);
    let (asks, files) = (at.clone(), Arc::clone(&origin));
    let notes = documents(
        "notes",
        &origin,
        move |name: &String| Ask {
            name: name.clone(),
            urls: vec![asks(&format!("{name}.sha256"))],
            accept: None,
            known: Default::default(),
            most: 1_000,
            place: Place::Path(name.clone()),
        },
        move |_, name, page: Page| {
            let digest = String::from_utf8_lossy(&page.bytes);
            let expected = Expected::sha256(digest.trim(), None);
            let file = DeclaredFile::new(&name, at(&format!("{name}.txt")), expected);
            Ok(vec![Declared::new(&files, CONTENT_TYPE, &name, vec![file])])
        },
    );
    // A stage of one's own among the standard ones: it reads what has been downloaded.
    let titles = one_by_one("titles", |context, mut note: Declared| async move {
        let Some(artifact) = &note.files[0].artifact else { return Ok([note]) };
        let text = std::fs::read_to_string(context.artifacts().path(&artifact.digest));
        let text = text.map_err(|error| Failure::at(&note.path, error.to_string()))?;
        note.metadata = serde_json::json!({ "title": text.lines().next() }).to_string();
        Ok([note])
    });
    Ok(Some(Plan {
        first: list.then(notes),
        stages: Stages::standard(10).before(SAVE_UNITS, titles)?,
        memory: Plan::remember(&()),
        documents: Vec::new(),
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("list"), "shopping\nmissing\n")?;
    std::fs::write(at("shopping.txt"), "Shopping\nmilk\n")?;
    std::fs::write(at("shopping.sha256"), sha256(b"Shopping\nmilk\n"))?;

    let store = Store::open(&at("content.db").to_string_lossy(), MIGRATIONS).await?;
    let artifacts = Artifacts::open(&at("artifacts"))?;
    store.write(|tx| repository::ensure(tx, "notes", CONTENT_TYPE, 0)).await?;
    let source = Source {
        url: format!("file://{}", at("list").display()),
        policy: Policy::Immediate,
        settings: SourceSettings { retries: 0, ..SourceSettings::default() },
        ..Source::default()
    };
    let (repository, mirror, optimize) = ("notes".to_owned(), true, true);
    let request = SyncRequest { repository, source, mirror, optimize, complete: None };
    let (progress, cancellation) = (Progress::default(), CancellationToken::new());
    let outcome = sync_with(&store, &artifacts, request, &progress, &cancellation, plan).await?;
    println!("{:?}\n{:?}", outcome.version.map(|version| version.counts.0), outcome.failures);
    Ok(())
}
