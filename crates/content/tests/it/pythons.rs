//! Syncs of a Python index.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, Error, SyncOutcome, SyncRequest,
    digest::sha256,
    download::{Policy, Source, SourceSettings},
    pipeline::{self, Progress},
    repository::{self, Wish, version},
    sync, unit,
};
use tutti_store::Store;

use crate::{
    server::{Answer, Server},
    stores,
};

struct Bench {
    store: Store,
    artifacts: Artifacts,
    server: Server,
    request: SyncRequest,
    _directories: (tempfile::TempDir, Option<tempfile::TempDir>),
}

/// What a version says of a unit, and the digests of its files by path, if their bytes are here.
type Unit = (Value, BTreeMap<String, Option<String>>);

impl Bench {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (store, database) in stores().await {
            let directory = tempfile::tempdir().unwrap();
            let artifacts = Artifacts::open(&directory.path().join("artifacts")).unwrap();
            let server = Server::start().await;
            let wish = Wish { name: "index".into(), ..Wish::default() };
            store.write(move |tx| repository::create(tx, "python", &wish, 1)).await.unwrap();
            let settings = SourceSettings { retries: 0, ..SourceSettings::default() };
            let source = Source { id: 3, url: server.url.clone(), settings, ..Source::default() };
            let (repository, complete) = ("index".to_owned(), None);
            let request =
                SyncRequest { repository, source, mirror: true, optimize: true, complete };
            let _directories = (directory, database);
            all.push(Self { store, artifacts, server, request, _directories });
        }
        all
    }

    /// The index has these projects.
    fn projects(&self, names: &[&str]) {
        let projects: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        let page = json!({ "projects": projects }).to_string();
        self.server.answers("/simple/", vec![json_page(&page)]);
    }

    /// A project has these files, whose bytes are their names; wheels have metadata of their own.
    fn project(&self, name: &str, filenames: &[&str], more: &Value) {
        let file = |filename: &&str| {
            let mut file = json!({
                "filename": filename,
                "url": format!("../../files/{filename}"),
                "hashes": { "sha256": sha256(filename.as_bytes()) },
                "size": filename.len(),
                "requires-python": ">=3.8",
            });
            self.server.bytes(&format!("/files/{filename}"), filename.as_bytes());
            if filename.ends_with(".whl") {
                let own = format!("metadata of {filename}");
                file["core-metadata"] = json!({ "sha256": sha256(own.as_bytes()) });
                self.server.bytes(&format!("/files/{filename}.metadata"), own.as_bytes());
            }
            file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            file
        };
        let files: Vec<_> = filenames.iter().map(file).collect();
        let page = json!({ "meta": {"api-version": "1.1"}, "name": name, "files": files });
        self.server.bytes(&format!("/simple/{name}/"), page.to_string().as_bytes());
    }

    async fn sync(&self) -> Result<SyncOutcome, pipeline::Error> {
        let (progress, cancellation) = (Progress::default(), CancellationToken::new());
        sync(&self.store, &self.artifacts, self.request.clone(), &progress, &cancellation).await
    }

    async fn version(&self, number: i64) -> BTreeMap<String, Unit> {
        let units = self.store.read(move |tx| {
            let found = repository::required(tx, "index")?;
            let mut units = Vec::new();
            for unit in version::content(tx, found.id, number, "", 1_000)? {
                let files = unit::files(tx, unit.id)?;
                units.push((unit, files));
            }
            Ok::<_, Error>(units)
        });
        let units = units.await.unwrap().into_iter().map(|(unit, files)| {
            let file = |file: unit::UnitFile| {
                let digest = file.digest.filter(|_| file.is_stored);
                if let Some(digest) = &digest {
                    let bytes = std::fs::read(self.artifacts.path(digest)).unwrap();
                    assert_eq!(sha256(&bytes), *digest);
                }
                (file.path, digest)
            };
            let metadata = serde_json::from_str(&unit.metadata).unwrap();
            (unit.path, (metadata, files.into_iter().map(file).collect()))
        });
        units.collect()
    }

    async fn paths(&self, number: i64) -> Vec<String> {
        self.version(number).await.into_keys().collect()
    }
}

fn json_page(page: &str) -> Answer {
    let kind = "Content-Type: application/vnd.pypi.simple.v1+json\r\n";
    Answer::Plain(page.as_bytes().to_vec(), kind)
}

const WHEEL: &str = "a_a-1.0-py3-none-any.whl";

#[tokio::test]
async fn an_index_is_mirrored() {
    for bench in Bench::all().await {
        bench.projects(&["A.a", "b"]);
        bench.project(
            "a-a",
            &[WHEEL, "a_a-0.9.tar.gz"],
            &json!({"upload-time": "2024-01-01T00:00:00Z"}),
        );
        let digest = sha256(b"b-2.zip");
        let html = format!(
            "<html><a href='/files/b-2.zip#sha256={digest}' data-yanked=bad>b-2.zip</a></html>"
        );
        bench
            .server
            .answers("/simple/b/", vec![Answer::Plain(html.into(), "Content-Type: text/html\r\n")]);
        bench.server.bytes("/files/b-2.zip", b"b-2.zip");
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.failures, []);
        assert_eq!((outcome.counts.metadata, outcome.counts.downloaded), (3, 4));
        let version = bench.version(1).await;
        let paths: Vec<_> = version.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a-a/a_a-0.9.tar.gz", &format!("a-a/{WHEEL}"), "b/b-2.zip"]);
        let (metadata, files) = &version[&format!("a-a/{WHEEL}")];
        for (name, value) in [
            ("name", json!("a_a")),
            ("version", json!("1.0")),
            ("packagetype", json!("bdist_wheel")),
            ("requires_python", json!(">=3.8")),
            ("upload_time", json!("2024-01-01T00:00:00Z")),
            ("yanked", Value::Null),
        ] {
            assert_eq!(metadata[name], value, "{name}");
        }
        assert_eq!(files[&format!("a-a/{WHEEL}")], Some(sha256(WHEEL.as_bytes())));
        let own = sha256(format!("metadata of {WHEEL}").as_bytes());
        assert_eq!(files[&format!("a-a/{WHEEL}.metadata")], Some(own));
        let (metadata, _) = &version["b/b-2.zip"];
        assert_eq!(
            (&metadata["yanked"], &metadata["yanked_reason"]),
            (&json!(true), &json!("bad"))
        );
    }
}

#[tokio::test]
async fn pages_that_have_not_changed_are_not_read() {
    for bench in Bench::all().await {
        bench.projects(&["a", "b"]);
        bench.project("a", &["a-1.tar.gz"], &json!({}));
        bench.project("b", &["b-1.tar.gz"], &json!({}));
        bench.sync().await.unwrap();
        bench.server.asked();
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.version.is_none());
        assert_eq!((outcome.counts.declared, outcome.counts.removed), (0, 0));
        let asked = bench.server.asked();
        assert_eq!(asked.len(), 3);
        let pages = asked.iter().filter(|asked| asked.path != "/simple/");
        assert!(pages.clone().all(|asked| asked.headers.contains_key("if-none-match")));
        // One changes, one goes, and what has not changed stays.
        bench.projects(&["a", "c"]);
        bench.project("c", &["c-1.tar.gz"], &json!({}));
        bench.sync().await.unwrap();
        assert_eq!(bench.paths(2).await, ["a/a-1.tar.gz", "c/c-1.tar.gz"]);
        // So it is remembered over syncs that did not read it.
        bench.server.asked();
        bench.sync().await.unwrap();
        let asked = bench.server.asked();
        let is_known = |asked: &&crate::server::Asked| asked.headers.contains_key("if-none-match");
        assert_eq!(asked.iter().filter(is_known).count(), 2);
    }
}

#[tokio::test]
async fn a_page_that_fails_leaves_its_project_as_it_was() {
    for bench in Bench::all().await {
        for (n, failure) in [
            Answer::Status(404, ""),
            Answer::Status(500, ""),
            json_page("{\"files\": 7}"),
            Answer::Plain(b"sorry".to_vec(), "Content-Type: text/html\r\n"),
            Answer::Cut(b"{\"files\": []}".to_vec(), 5),
            Answer::Redirect("http://169.254.169.254/".into()),
        ]
        .into_iter()
        .enumerate()
        {
            bench.projects(&["a", "aa", "b"]);
            bench.project("a", &["a-1.tar.gz", "a-2.tar.gz"], &json!({}));
            bench.project("aa", &["aa-1.tar.gz"], &json!({}));
            bench.project("b", &["b-1.tar.gz"], &json!({}));
            bench.sync().await.unwrap();
            bench.projects(&["a", "b"]);
            bench.server.answers("/simple/a/", vec![failure.clone()]);
            let new = format!("b-2.{n}.tar.gz");
            bench.project("b", &[&new], &json!({}));
            let outcome = bench.sync().await.unwrap();
            assert_eq!(outcome.failed, 1, "{failure:?}");
            assert_eq!(outcome.failures[0].name, "a", "{failure:?}");
            let number = outcome.version.unwrap().number;
            let expected = ["a/a-1.tar.gz", "a/a-2.tar.gz", &format!("b/{new}")];
            assert_eq!(bench.paths(number).await, expected, "{failure:?}");
        }
        bench.server.answers("/simple/", vec![Answer::Status(500, "")]);
        bench.sync().await.unwrap_err();
    }
}

#[tokio::test]
async fn what_is_yanked_is_another_unit() {
    for bench in Bench::all().await {
        bench.projects(&["a"]);
        bench.project("a", &["a-1.tar.gz"], &json!({}));
        bench.sync().await.unwrap();
        bench.project("a", &["a-1.tar.gz"], &json!({"yanked": "oops"}));
        let outcome = bench.sync().await.unwrap();
        assert_eq!(outcome.counts.downloaded, 0, "the bytes are the same");
        assert_eq!(bench.version(1).await["a/a-1.tar.gz"].0["yanked"], Value::Null);
        assert_eq!(bench.version(2).await["a/a-1.tar.gz"].0["yanked"], true);
    }
}

#[tokio::test]
async fn only_what_is_wanted_is_asked_for() {
    for mut bench in Bench::all().await {
        bench.request.source.content = json!({"includes": ["A>=2"], "prereleases": true});
        bench.request.source.policy = Policy::OnDemand;
        bench.request.source.url = bench.server.at("/simple/");
        bench.project(
            "a",
            &["a-1.tar.gz", "a-2.tar.gz", "a-3rc1.tar.gz", "a-x.tar.gz"],
            &json!({}),
        );
        bench.sync().await.unwrap();
        assert_eq!(bench.paths(1).await, ["a/a-2.tar.gz", "a/a-3rc1.tar.gz"]);
        let asked: Vec<_> = bench.server.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(asked, ["/simple/a/"]);
        assert_eq!(bench.version(1).await["a/a-2.tar.gz"].1["a/a-2.tar.gz"], None);
        // Another selection is another question.
        bench.request.source.content = json!({"includes": ["a"]});
        bench.sync().await.unwrap();
        assert_eq!(bench.paths(2).await, ["a/a-1.tar.gz", "a/a-2.tar.gz"]);
        bench.request.source.content = json!({"includes": ["a b"]});
        let error = bench.sync().await.unwrap_err();
        assert!(matches!(error, pipeline::Error::Other(_)), "{error:?}");
    }
}

#[tokio::test]
async fn hostile_pages_do_no_harm() {
    for bench in Bench::all().await {
        bench.projects(&["a", "../../x", "b/c"]);
        let files: Vec<_> = ["a-1/../../../x.tar.gz", "a-1.tar.gz", "a-2.tar.gz", "a-3.tar.gz"]
            .iter()
            .zip(["x", "file:///etc/hostname", "http://169.254.169.254/x", "javascript:1"])
            .map(|(name, url)| json!({"filename": name, "url": url, "hashes": {"sha256": sha256(b"1")}}))
            .collect();
        let page = json!({ "files": files }).to_string();
        bench.server.answers("/simple/a/", vec![json_page(&page)]);
        let outcome = bench.sync().await.unwrap();
        assert!(outcome.version.is_none());
        assert_eq!(outcome.failed, 3, "{:?}", outcome.failures);
        let asked: Vec<_> = bench.server.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(asked, ["/simple/", "/simple/a/"]);
    }
}
