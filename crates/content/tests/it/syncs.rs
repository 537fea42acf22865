//! Syncs of lists of files.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, Error, SyncOutcome, SyncRequest,
    digest::sha256,
    download::{Policy, Source, SourceSettings},
    file, orphan,
    pipeline::{self, ADD, Context, Counts, Declared, Progress, one_by_one},
    repository::{self, Wish, version},
    sync,
    sync::sync_with,
    unit,
};
use tutti_store::Store;

use crate::{
    server::{Answer, Server},
    stores,
};

/// Files by path.
type Files = BTreeMap<String, String>;

struct Bench {
    store: Store,
    artifacts: Artifacts,
    server: Server,
    request: SyncRequest,
    _directories: (tempfile::TempDir, Option<tempfile::TempDir>),
}

impl Bench {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (store, directory) in stores().await {
            all.push(Self::new(store, directory).await);
        }
        all
    }

    async fn new(store: Store, kept: Option<tempfile::TempDir>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(&directory.path().join("artifacts")).unwrap();
        let server = Server::start().await;
        let wish = Wish { name: "files".into(), ..Wish::default() };
        store.write(move |tx| repository::create(tx, "file", &wish, 1)).await.unwrap();
        let settings = SourceSettings { retries: 0, ..SourceSettings::default() };
        let source =
            Source { id: 7, url: server.at("/m/PULP_MANIFEST"), settings, ..Source::default() };
        let request = SyncRequest {
            repository: "files".into(),
            source,
            mirror: true,
            optimize: true,
            complete: None,
        };
        Self { store, artifacts, server, request, _directories: (directory, kept) }
    }

    /// The source has these files, and no others.
    fn source_has(&self, files: &Files) {
        let mut lines = Vec::new();
        for (path, content) in files {
            lines.push(format!("{path},{},{}", sha256(content.as_bytes()), content.len()));
            self.server.bytes(&format!("/m/{path}"), content.as_bytes());
        }
        self.server.bytes("/m/PULP_MANIFEST", (lines.join("\n") + "\n").as_bytes());
    }

    async fn sync(&self) -> Result<SyncOutcome, pipeline::Error> {
        let (request, progress) = (self.request.clone(), Progress::default());
        sync(&self.store, &self.artifacts, request, &progress, &CancellationToken::new()).await
    }

    /// What a version has, with the bytes that are here; every one of them is what its digest says.
    async fn version(&self, number: i64) -> BTreeMap<String, Option<String>> {
        let units = self
            .store
            .read(move |tx| {
                let found = repository::required(tx, "files")?;
                let units = version::content(tx, found.id, number, "", 10_000)?;
                let files = units.iter().map(|unit| unit::files(tx, unit.id));
                let files = files.collect::<Result<Vec<_>, _>>()?;
                Ok::<_, Error>(units.into_iter().zip(files).collect::<Vec<_>>())
            })
            .await
            .unwrap();
        let mut held = BTreeMap::new();
        for (unit, files) in units {
            assert_eq!(files.len(), 1);
            let digest = files[0].digest.clone().unwrap();
            let bytes = files[0].is_stored.then(|| {
                let bytes = std::fs::read(self.artifacts.path(&digest)).unwrap();
                assert_eq!(sha256(&bytes), digest, "{}", unit.path);
                String::from_utf8(bytes).unwrap()
            });
            held.insert(unit.path, bytes);
        }
        held
    }

    async fn newest(&self) -> i64 {
        let found = self.store.read(|tx| repository::required(tx, "files")).await.unwrap();
        found.version
    }
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

fn held(files: &Files) -> BTreeMap<String, Option<String>> {
    files.iter().map(|(path, content)| (path.clone(), Some(content.clone()))).collect()
}

#[tokio::test]
async fn a_repository_becomes_what_its_source_is() {
    for bench in Bench::all().await {
        let first = files(&[("a", "1"), ("b/c d,e", "2"), ("same", "1")]);
        bench.source_has(&first);
        let outcome = bench.sync().await.unwrap();
        let count = outcome.version.unwrap().counts.0["file"];
        assert_eq!((count.added, count.removed, count.present), (3, 0, 3));
        assert_eq!((outcome.counts.declared, outcome.counts.added), (3, 3));
        assert_eq!(outcome.counts.total, Some(3));
        let second = files(&[("a", "1"), ("b/c d,e", "changed"), ("new", "3")]);
        bench.source_has(&second);
        bench.server.asked();
        let outcome = bench.sync().await.unwrap();
        let count = outcome.version.unwrap().counts.0["file"];
        assert_eq!((count.added, count.removed, count.present), (2, 2, 3));
        assert_eq!((outcome.counts.added, outcome.counts.removed), (2, 1));
        let asked: Vec<_> = bench.server.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(asked.len(), 3, "only what is new: {asked:?}");
        assert_eq!(bench.version(1).await, held(&first), "a version never changes");
        assert_eq!(bench.version(2).await, held(&second));
    }
}

#[tokio::test]
async fn without_mirror_nothing_is_removed() {
    for mut bench in Bench::all().await {
        bench.request.mirror = false;
        bench.source_has(&files(&[("a", "1"), ("b", "2")]));
        bench.sync().await.unwrap();
        bench.source_has(&files(&[("b", "changed"), ("c", "3")]));
        bench.sync().await.unwrap();
        let expected = files(&[("a", "1"), ("b", "changed"), ("c", "3")]);
        assert_eq!(bench.version(2).await, held(&expected));
    }
}

#[tokio::test]
async fn an_unchanged_source_costs_one_question() {
    for mut bench in Bench::all().await {
        bench.source_has(&files(&[("a", "1"), ("b", "2")]));
        bench.sync().await.unwrap();
        bench.server.asked();
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.was_skipped && outcome.version.is_none());
        let asked = bench.server.asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].headers.contains_key("if-none-match"));
        // Asked to look again, it fetches the list and nothing else, and there is no new version.
        bench.request.optimize = false;
        let outcome = bench.sync().await.unwrap();
        assert!(!outcome.was_skipped && outcome.version.is_none());
        assert_eq!((outcome.counts.units, outcome.counts.downloaded), (2, 0));
        assert_eq!(bench.server.asked().len(), 1);
        // Another mode is another question, and bytes that are gone are fetched again.
        bench.request.optimize = true;
        bench.request.mirror = false;
        assert!(!bench.sync().await.unwrap().was_skipped);
        assert!(bench.sync().await.unwrap().was_skipped);
        let digest = sha256(b"1");
        std::fs::remove_file(bench.artifacts.path(&digest)).unwrap();
        forget(&bench.store, digest).await;
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.counts.downloaded, 1);
        assert_eq!(bench.version(1).await, held(&files(&[("a", "1"), ("b", "2")])));
    }
}

async fn forget(store: &Store, digest: String) {
    let forgotten = store
        .write(move |tx| tx.exec("DELETE FROM artifact WHERE digest = $1", (digest.as_str(),)))
        .await;
    assert_eq!(forgotten.unwrap(), 1);
}

#[tokio::test]
async fn later_means_later() {
    for mut bench in Bench::all().await {
        let source = files(&[("a", "1"), ("b", "2")]);
        bench.source_has(&source);
        bench.request.source.policy = Policy::OnDemand;
        bench.sync().await.unwrap();
        assert_eq!(bench.server.asked().len(), 1, "the list");
        let none = source.keys().map(|path| (path.clone(), None)).collect();
        assert_eq!(bench.version(1).await, none);
        let urls: Vec<(String, i64)> = bench
            .store
            .read(|tx| tx.all("SELECT url, remote FROM remote_artifact ORDER BY url", ()))
            .await
            .unwrap();
        let expected = ["/m/a", "/m/b"].map(|path| (bench.server.at(path), 7));
        assert_eq!(urls, expected);
        // Another policy fetches what is missing, for the same units: no new version.
        bench.request.source.policy = Policy::Immediate;
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.version.is_none());
        assert_eq!(outcome.counts.downloaded, 2);
        assert_eq!(bench.version(1).await, held(&source));
    }
}

#[tokio::test]
async fn credentials_in_an_address_stay_there() {
    for mut bench in Bench::all().await {
        bench.source_has(&files(&[("a", "1"), ("b", "2")]));
        bench.server.answers("/m/b", vec![Answer::Status(403, "")]);
        let address = bench.request.source.url.replace("http://", "http://m%65:secret@");
        bench.request.source.url = address;
        let outcome = bench.sync().await.unwrap();
        assert!(!format!("{:?}", outcome.failures).contains("secret"), "{:?}", outcome.failures);
        let asked = bench.server.asked();
        assert_eq!(asked.len(), 3);
        let is_let_in = |asked: &crate::server::Asked| {
            asked.headers.get("authorization").map(String::as_str) == Some("Basic bWU6c2VjcmV0")
        };
        assert!(asked.iter().all(is_let_in), "{asked:?}");
        bench.server.bytes("/m/b", b"2");
        bench.sync().await.unwrap();
        let kept: Vec<String> = bench
            .store
            .read(|tx| {
                tx.all(
                    "SELECT url FROM remote_artifact UNION ALL SELECT last_sync FROM repository",
                    (),
                )
            })
            .await
            .unwrap();
        assert_eq!(kept.len(), 3);
        assert!(!kept.concat().contains("secret"), "{kept:?}");
        bench.server.answers("/m/PULP_MANIFEST", vec![Answer::Status(403, "")]);
        let error = bench.sync().await.unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn what_fails_is_reported_and_stays() {
    for bench in Bench::all().await {
        bench.source_has(&files(&[("a", "1"), ("b", "2"), ("c", "3")]));
        bench.sync().await.unwrap();
        bench.source_has(&files(&[("a", "changed"), ("d", "4"), ("e", "5")]));
        bench.server.answers("/m/a", vec![Answer::Status(404, "")]);
        bench.server.bytes("/m/d", b"x");
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.failed, 2);
        let mut failures = outcome.failures;
        failures.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(failures[0].name, "a");
        assert!(failures[0].reason.contains("404"), "{failures:?}");
        assert!(failures[0].reason.contains("/m/a"), "{failures:?}");
        assert_eq!(failures[1].name, "d");
        // What failed stays as it was; what is gone is gone.
        assert_eq!(bench.version(2).await, held(&files(&[("a", "1"), ("e", "5")])));
        // A run with failures is not remembered as the last word.
        bench.source_has(&files(&[("a", "changed"), ("d", "4"), ("e", "5")]));
        let outcome = bench.sync().await.unwrap();
        assert!(!outcome.was_skipped && outcome.failed == 0);
        let expected = files(&[("a", "changed"), ("d", "4"), ("e", "5")]);
        assert_eq!(bench.version(3).await, held(&expected));
    }
}

#[tokio::test]
async fn hostile_lines_are_left_out() {
    for bench in Bench::all().await {
        let digest = sha256(b"1");
        let (other, long) = (sha256(b"2"), "x".repeat(3_000));
        let list = format!(
            "# a comment\n\na,{digest},1\n../../etc/x,{digest},1\n/b,{digest},1\nc\u{1},{digest},1\n\
             d//e,{digest},1\n{long},{digest},1\na,{other},1\nA,{digest},1\nf,nonsense,1\nlast,{digest},1"
        );
        let mut list = list.into_bytes();
        list.splice(0..0, *b"\xff\xfe,bad,1\n");
        bench.server.bytes("/m/PULP_MANIFEST", &list);
        for path in ["a", "A", "last"] {
            bench.server.bytes(&format!("/m/{path}"), b"1");
        }
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.failed, 8, "{:?}", outcome.failures);
        assert_eq!(
            bench.version(1).await,
            held(&files(&[("a", "1"), ("A", "1"), ("last", "1")])),
            "the first of two, and case matters"
        );
        let asked = bench.server.asked();
        assert!(asked.iter().all(|asked| !asked.path.contains("etc")), "{asked:?}");
    }
}

#[tokio::test]
async fn no_list_no_version() {
    for bench in Bench::all().await {
        for answer in [
            Answer::Status(404, ""),
            Answer::Cut(b"a,b".to_vec(), 1),
            Answer::Redirect("http://169.254.169.254/".into()),
        ] {
            bench.server.answers("/m/PULP_MANIFEST", vec![answer]);
            let error = bench.sync().await.unwrap_err();
            assert!(matches!(error, pipeline::Error::Download(_)), "{error:?}");
            assert_eq!(bench.newest().await, 0);
        }
    }
}

#[tokio::test]
async fn cancelled_at_any_point_it_leaves_nothing_half() {
    for bench in Bench::all().await {
        let before = files(&[("kept", "0")]);
        bench.source_has(&before);
        bench.sync().await.unwrap();
        let many: Files = (0..200).map(|n| (format!("n{n}"), format!("content {n}"))).collect();
        bench.source_has(&many);
        bench.server.delay(std::time::Duration::from_millis(2));
        let moments: [fn(&Counts) -> bool; 6] = [
            |_| true,
            |counts| counts.metadata > 0,
            |counts| counts.declared > 0,
            |counts| counts.downloaded > 0,
            |counts| counts.downloaded > 20,
            |counts| counts.units > 0,
        ];
        for moment in moments {
            let (progress, cancellation) = (Progress::default(), CancellationToken::new());
            let (mut watch, cancel) = (progress.watch(), cancellation.clone());
            tokio::spawn(async move {
                watch.wait_for(moment).await.unwrap();
                cancel.cancel();
            });
            let request = bench.request.clone();
            match sync(&bench.store, &bench.artifacts, request, &progress, &cancellation).await {
                Err(pipeline::Error::Cancelled) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(bench.version(bench.newest().await).await, held(&before));
            let drafts: i64 = bench
                .store
                .read(|tx| tx.one("SELECT count(*) FROM repository_draft", ()))
                .await
                .unwrap();
            assert_eq!(drafts, 0);
        }
        // What was fetched is not fetched again.
        bench.server.delay(std::time::Duration::ZERO);
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.counts.downloaded < 200, "{:?}", outcome.counts);
        assert_eq!(bench.version(2).await, held(&many));
    }
}

#[tokio::test]
async fn bytes_that_a_dead_run_left_are_found() {
    for bench in Bench::all().await {
        let source = files(&[("a", "1"), ("b", "2")]);
        bench.source_has(&source);
        for content in source.values() {
            let bytes = futures_util::stream::iter([Ok::<_, std::io::Error>(content.clone())]);
            bench.artifacts.put(bytes).await.unwrap();
        }
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.counts.downloaded, 0, "they are on the disk, with no row");
        assert_eq!(bench.version(1).await, held(&source));
    }
}

#[tokio::test]
async fn of_two_syncs_one_wins() {
    for bench in Bench::all().await {
        let many: Files = (0..100).map(|n| (format!("n{n}"), format!("content {n}"))).collect();
        bench.source_has(&many);
        let (one, two) = tokio::join!(bench.sync(), bench.sync());
        assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
        for lost in [one, two].into_iter().filter_map(Result::err) {
            let pipeline::Error::Content(error) = lost else { panic!("{lost:?}") };
            assert!(matches!(*error, Error::DraftLost { .. }), "{error:?}");
        }
        assert_eq!(bench.version(bench.newest().await).await, held(&many));
    }
}

#[tokio::test]
async fn a_publication_appears_with_its_version() {
    for mut bench in Bench::all().await {
        bench.source_has(&files(&[("a", "1")]));
        bench.request.complete = Some(std::sync::Arc::new(|tx, completed| {
            let number = completed.version.map_or(0, |version| version.number);
            let list = &completed.documents[0];
            assert_eq!(list.path, "PULP_MANIFEST");
            tutti_content::record_artifact(tx, &list.artifact, completed.now)?;
            tx.exec(
                "INSERT INTO published_file (publication, path, digest, size) VALUES ($1, $2, $3, $4)",
                (number, list.path.as_str(), list.artifact.digest.as_str(), list.artifact.size),
            )?;
            Ok(())
        }));
        bench.sync().await.unwrap();
        let published: (i64, String) = bench
            .store
            .read(|tx| tx.one("SELECT publication, digest FROM published_file", ()))
            .await
            .unwrap();
        assert_eq!(published.0, 1);
        assert!(bench.artifacts.contains(&published.1));
    }
}

#[tokio::test]
async fn no_version_holds_what_a_cleanup_has_taken() {
    for bench in Bench::all().await {
        bench.source_has(&files(&[("a", "1"), ("b", "2")]));
        let plan = |start| async {
            let Some(mut plan) = file::plan(start).await? else { return Ok(None) };
            let cleanup = one_by_one("cleanup", |context: Context, unit: Declared| async move {
                context.store().write(|tx| orphan::forget_units(tx, i64::MAX, 100)).await?;
                Ok([unit])
            });
            plan.stages = plan.stages.before(ADD, cleanup)?;
            Ok(Some(plan))
        };
        let (progress, cancellation) = (Progress::default(), CancellationToken::new());
        let (store, request) = (&bench.store, bench.request.clone());
        let outcome =
            sync_with(store, &bench.artifacts, request, &progress, &cancellation, plan).await;
        let Err(pipeline::Error::Content(error)) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(*error, Error::Missing { what: "unit", .. }), "{error:?}");
        assert_eq!(bench.newest().await, 0);
        bench.sync().await.unwrap();
        assert_eq!(bench.version(1).await, held(&files(&[("a", "1"), ("b", "2")])));
    }
}

/// A file system of that size, gone with its guard. Only root may make one.
struct Small(tempfile::TempDir);

impl Small {
    fn new(size: &str) -> Option<Self> {
        let small = Self(tempfile::tempdir().unwrap());
        small.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).then_some(small)
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        let mut mount = std::process::Command::new("mount");
        mount.args(arguments).arg(self.0.path()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_ends_it_and_loses_nothing() {
    for mut bench in Bench::all().await {
        let Some(small) = Small::new("1m") else {
            eprintln!("not tested: only root can make a small file system");
            return;
        };
        bench.artifacts = Artifacts::open(small.0.path()).unwrap();
        let large: Files =
            (0..40).map(|n| (format!("n{n:02}"), format!("{n} ").repeat(25_000))).collect();
        bench.source_has(&large);
        let error = bench.sync().await.unwrap_err();
        assert!(error.is_disk_full(), "{error:?}");
        assert_eq!(bench.newest().await, 0);
        assert_eq!(std::fs::read_dir(small.0.path().join("incoming")).unwrap().count(), 0);
        // With room it goes on where it was.
        assert!(small.mount(&["-o", "remount,size=64m"]));
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.counts.downloaded < 40, "{:?}", outcome.counts);
        assert_eq!(bench.version(1).await, held(&large));
    }
}
