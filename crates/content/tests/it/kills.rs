//! `kill -9` at any point of a sync: what can be seen is whole, and the next sync goes on.
//!
//! The test starts itself again as the process that syncs. `TUTTI_TEST_KILLS` says how often it is killed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, Error, MIGRATIONS, SyncRequest,
    digest::sha256,
    download::Source,
    pipeline::Progress,
    repository::{self, version},
    sync, unit,
};
use tutti_store::Store;

use crate::{addresses, open, server::Server};

/// What the source has; most of it is new each time.
const FILES: usize = 150;

/// Not a test: the process that is killed.
#[tokio::test]
async fn the_process_that_syncs() {
    let Ok(url) = std::env::var("TUTTI_KILLED_DATABASE") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let store = Store::open(&url, MIGRATIONS).await.unwrap();
    let artifacts = Artifacts::open(Path::new(&variable("TUTTI_KILLED_ARTIFACTS"))).unwrap();
    let source = Source { url: variable("TUTTI_KILLED_SOURCE"), ..Source::default() };
    let request = SyncRequest {
        repository: "files".into(),
        source,
        mirror: true,
        optimize: true,
        complete: None,
    };
    let (progress, cancellation) = (Progress::default(), CancellationToken::new());
    sync(&store, &artifacts, request, &progress, &cancellation).await.unwrap();
}

struct Bench {
    database: String,
    artifacts: PathBuf,
    server: Server,
}

/// What a version holds: digests by path.
type Held = BTreeMap<String, String>;

impl Bench {
    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::the_process_that_syncs", "--nocapture"])
            .env("TUTTI_KILLED_DATABASE", &self.database)
            .env("TUTTI_KILLED_ARTIFACTS", &self.artifacts)
            .env("TUTTI_KILLED_SOURCE", self.server.at("/m/PULP_MANIFEST"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Some of what the source has is new, and some is gone.
    fn source_changes(&self, round: usize) -> Held {
        let mut lines = Vec::new();
        let mut held = Held::new();
        for number in round * FILES..(round + 1) * FILES {
            let content = format!("content {number}");
            // Every tenth path stays and has other content.
            let path = if number % 10 == 0 {
                format!("same {}", number % 100)
            } else {
                format!("n{number}")
            };
            let digest = sha256(content.as_bytes());
            if held.insert(path.clone(), digest.clone()).is_none() {
                lines.push(format!("{path},{digest},{}", content.len()));
                self.server.bytes(&format!("/m/{path}"), content.as_bytes());
            } else {
                held.insert(path.clone(), lines_digest(&lines, &path));
            }
        }
        self.server.bytes("/m/PULP_MANIFEST", lines.join("\n").as_bytes());
        held
    }

    /// What can be seen, whole or not at all.
    async fn versions(&self) -> BTreeMap<i64, Held> {
        let store = open(&self.database, MIGRATIONS).await;
        let versions = store
            .read(|tx| {
                let found = repository::required(tx, "files")?;
                let mut versions = BTreeMap::new();
                for number in 0..=found.version {
                    let mut held = Vec::new();
                    for unit in version::content(tx, found.id, number, "", 100_000)? {
                        held.push((unit.path, unit::files(tx, unit.id)?));
                    }
                    versions.insert(number, held);
                }
                Ok::<_, Error>(versions)
            })
            .await
            .unwrap();
        store.close().await;
        let whole = |(path, files): (String, Vec<unit::UnitFile>)| {
            assert_eq!(files.len(), 1);
            assert!(files[0].is_stored, "{path}");
            let digest = files[0].digest.clone().unwrap();
            let shelf = self.artifacts.join(&digest[..2]);
            assert_eq!(sha256(&std::fs::read(shelf.join(&digest)).unwrap()), digest, "{path}");
            (path, digest)
        };
        let held =
            |(number, units): (i64, Vec<_>)| (number, units.into_iter().map(whole).collect());
        versions.into_iter().map(held).collect()
    }
}

fn lines_digest(lines: &[String], path: &str) -> String {
    let start = format!("{path},");
    let line = lines.iter().find(|line| line.starts_with(&start)).unwrap();
    line.split(',').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_all_that_is_seen_is_whole() {
    if std::env::var("TUTTI_KILLED_DATABASE").is_ok() {
        return;
    }
    let kills = std::env::var("TUTTI_TEST_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(20);
    let addresses = addresses();
    let kills = kills.div_ceil(u32::try_from(addresses.len()).unwrap());
    for (database, _directory) in addresses {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = directory.path().join("artifacts");
        let bench = Bench { database, artifacts, server: Server::start().await };
        let store = open(&bench.database, MIGRATIONS).await;
        store.write(|tx| repository::ensure(tx, "files", "file", 1)).await.unwrap();
        store.close().await;
        let mut source = bench.source_changes(0);
        let begun = Instant::now();
        assert!(bench.start().wait().unwrap().success());
        let whole_run = begun.elapsed();
        let mut seen = bench.versions().await;
        assert_eq!(seen[&1], source);
        let (mut killed, mut round) = (0, 0);
        for number in 0..kills {
            // Wherever the last one came to, the next one has something to do.
            if seen.values().next_back() == Some(&source) {
                round += 1;
                source = bench.source_changes(round);
            }
            let mut child = bench.start();
            // Spread evenly over a run, in no order.
            let at = 0.05 + 0.9 * (f64::from(number) * 0.618_034).fract();
            std::thread::sleep(whole_run.mul_f64(at).min(Duration::from_secs(20)));
            killed += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            let now = bench.versions().await;
            for (number, held) in &seen {
                assert_eq!(now.get(number), Some(held), "version {number} never changes");
            }
            for held in now.values().skip(seen.len()) {
                assert_eq!(*held, source, "what is new is all of it");
            }
            seen = now;
        }
        println!("killed {killed} of {kills} times, {round} rounds");
        assert!(killed * 3 >= kills, "{killed} of {kills} were too late");
        assert!(bench.start().wait().unwrap().success());
        assert_eq!(bench.versions().await.values().next_back(), Some(&source));
    }
}
