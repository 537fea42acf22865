//! Files that are fetched when somebody asks.

use std::time::Duration;

use tutti_content::{
    Artifacts, Error,
    digest::sha256,
    download::{Policy, Source, SourceSettings},
    fetch::{FetchError, Fetcher, Offer, Wanted, offers},
    unit::{self, NewFile, NewUnit},
};
use tutti_store::{Json, Store};

use crate::{
    server::{Answer, Server},
    stores,
};

struct Bench {
    store: Store,
    artifacts: Artifacts,
    server: Server,
    fetcher: Fetcher,
    policy: Policy,
    unit: i64,
    directory: tempfile::TempDir,
    _database: Option<tempfile::TempDir>,
}

impl Bench {
    /// A unit whose file is not here.
    async fn all(policy: Policy, bytes: &[u8]) -> Vec<Self> {
        let mut all = Vec::new();
        for (store, database) in stores().await {
            let directory = tempfile::tempdir().unwrap();
            let artifacts = Artifacts::open(directory.path()).unwrap();
            let (digest, size) = (sha256(bytes), bytes.len() as u64);
            let file = NewFile { path: "a".into(), digest: Some(digest.clone()), size: Some(size) };
            let new = NewUnit {
                content_type: "file".into(),
                path: "a".into(),
                identity: digest,
                metadata: "{}".into(),
                files: vec![file],
            };
            let saved = store.write(move |tx| unit::save(tx, std::slice::from_ref(&new), 1)).await;
            let unit = saved.unwrap()[0].id;
            let (fetcher, server) = (Fetcher::new(&store, &artifacts), Server::start().await);
            let database = (directory, database);
            let (directory, database) = database;
            all.push(Self {
                store,
                artifacts,
                server,
                fetcher,
                policy,
                unit,
                directory,
                _database: database,
            });
        }
        all
    }

    fn offer(&self, path: &str) -> (Source, Offer) {
        let settings = SourceSettings {
            retries: 1,
            retry_delay_ms: 1,
            read_timeout_ms: 2_000,
            ..SourceSettings::default()
        };
        let source = Source {
            id: 1,
            url: self.server.at("/list"),
            policy: self.policy,
            settings,
            ..Source::default()
        };
        (source, Offer { remote: 1, url: self.server.at(path), digests: Json::default() })
    }

    /// What a client gets.
    async fn get(&self, bytes: &[u8], paths: &[&str]) -> Result<Vec<u8>, (Vec<u8>, FetchError)> {
        let wanted = Wanted {
            unit: self.unit,
            path: "a".into(),
            digest: Some(sha256(bytes)),
            size: Some(bytes.len() as u64),
        };
        let offers = paths.iter().map(|path| self.offer(path)).collect();
        let mut got = Vec::new();
        let mut reading = match self.fetcher.open(wanted, offers).await {
            Ok(reading) => reading,
            Err(error) => return Err((got, error)),
        };
        loop {
            match reading.chunk().await {
                Ok(Some(chunk)) => got.extend(chunk),
                Ok(None) => return Ok(got),
                Err(error) => return Err((got, error)),
            }
        }
    }

    async fn is_stored(&self) -> bool {
        let unit = self.unit;
        let files = self.store.read(move |tx| unit::files(tx, unit)).await.unwrap();
        let on_disk = self.artifacts.contains(files[0].digest.as_ref().unwrap());
        assert_eq!(files[0].is_stored, on_disk);
        files[0].is_stored
    }

    fn is_clean(&self) {
        let incoming = self.directory.path().join("incoming");
        assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
    }
}

fn large() -> Vec<u8> {
    (0..400_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn many_ask_and_one_fetches() {
    for bytes in [b"abc".to_vec(), Vec::new(), large(), vec![7; 512 * 1024]] {
        for bench in Bench::all(Policy::OnDemand, &bytes).await {
            bench.server.bytes("/a", &bytes);
            bench.server.delay(Duration::from_millis(50));
            let clients = (0..20).map(|_| bench.get(&bytes, &["/a"]));
            for got in futures_util::future::join_all(clients).await {
                assert!(got.unwrap() == bytes);
            }
            assert_eq!(bench.server.asked().len(), 1);
            assert!(bench.is_stored().await);
            bench.is_clean();
        }
    }
}

#[tokio::test]
async fn what_is_streamed_is_not_kept() {
    for bytes in [b"abc".to_vec(), large()] {
        for bench in Bench::all(Policy::Streamed, &bytes).await {
            bench.server.bytes("/a", &bytes);
            for _ in 0..2 {
                assert!(bench.get(&bytes, &["/a"]).await.unwrap() == bytes);
                assert_eq!(bench.server.asked().len(), 1);
                assert!(!bench.is_stored().await);
                bench.is_clean();
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_the_last_byte_of_wrong_bytes() {
    for bytes in [b"abc".to_vec(), large(), vec![7; 512 * 1024]] {
        let mut wrong = bytes.clone();
        *wrong.last_mut().unwrap() ^= 1;
        for bench in Bench::all(Policy::OnDemand, &bytes).await {
            bench.server.bytes("/a", &wrong);
            let (got, error) = bench.get(&bytes, &["/a"]).await.unwrap_err();
            assert!(got.len() < bytes.len(), "{} of {}", got.len(), bytes.len());
            let is_expected = matches!(error, FetchError::Upstream(_) | FetchError::Changed);
            assert!(is_expected, "{error:?}");
            // The fetch may still be trying.
            while bench.get(&bytes, &["/gone"]).await.is_ok() {}
            assert!(!bench.is_stored().await);
        }
    }
}

#[tokio::test]
async fn what_nobody_reads_goes_on_only_if_it_is_kept() {
    let bytes = large();
    for policy in [Policy::Streamed, Policy::OnDemand] {
        for bench in Bench::all(policy, &bytes).await {
            let answers = vec![Answer::Stall(bytes.clone(), 900_000), Answer::Bytes(bytes.clone())];
            bench.server.answers("/a", answers);
            let wanted = Wanted {
                unit: bench.unit,
                path: "a".into(),
                digest: Some(sha256(&bytes)),
                size: Some(bytes.len() as u64),
            };
            let mut reading = bench.fetcher.open(wanted, vec![bench.offer("/a")]).await.unwrap();
            reading.chunk().await.unwrap();
            drop(reading);
            assert!(bench.get(&bytes, &["/a"]).await.unwrap() == bytes);
            let goes_on =
                bench.server.asked().iter().any(|asked| asked.headers.contains_key("range"));
            assert_eq!(goes_on, policy == Policy::OnDemand);
            bench.is_clean();
        }
    }
}

#[tokio::test]
async fn another_remote_helps() {
    let bytes = large();
    for bench in Bench::all(Policy::OnDemand, &bytes).await {
        bench.server.bytes("/b", &bytes);
        assert!(bench.get(&bytes, &["/a", "/b"]).await.unwrap() == bytes);
        assert!(bench.is_stored().await);
        let (_, error) = bench.get(&bytes, &[]).await.unwrap_err();
        assert!(matches!(error, FetchError::NoOffer { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_no_matter() {
    let bytes = large();
    for bench in Bench::all(Policy::OnDemand, &bytes).await {
        let answers = vec![Answer::Cut(bytes.clone(), 900_000), Answer::Bytes(bytes.clone())];
        bench.server.answers("/a", answers);
        assert!(bench.get(&bytes, &["/a"]).await.unwrap() == bytes);
        assert!(bench.server.asked()[1].headers.contains_key("range"));
    }
}

#[tokio::test]
async fn offers_are_found() {
    for bench in Bench::all(Policy::OnDemand, b"abc").await {
        let unit = bench.unit;
        let found = bench
            .store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO remote_artifact (unit, path, remote, url, digests) \
                     VALUES ($1, 'a', 9, 'http://h/a', '{\"sha512\":\"00\"}')",
                    (unit,),
                )?;
                offers(tx, unit, "a").map_err(|error| match error {
                    Error::Store(error) => error,
                    other => panic!("{other:?}"),
                })
            })
            .await
            .unwrap();
        assert_eq!((found[0].remote, found[0].url.as_str()), (9, "http://h/a"));
        assert_eq!(found[0].digests.0.len(), 1);
    }
}
