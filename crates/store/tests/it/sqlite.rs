//! What only a file of one's own can suffer: a second process, `kill -9`, a full disk, damage.

use std::{
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tutti_store::{Error, Store, ToValue};

use crate::{
    basics::{MIGRATIONS, sql},
    engine::Engine,
};

#[tokio::test]
async fn a_second_opening_is_refused_by_name() {
    let engine = Engine::sqlite();
    let store = engine.open(MIGRATIONS).await;
    let refused = Store::open(&engine.url, MIGRATIONS).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("test.db"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    store.close().await;
    engine.open(MIGRATIONS).await.close().await;
}

/// Not a test of its own: what the process does that is killed. It says each number it was told to be durable.
#[tokio::test]
#[ignore = "run by the test below"]
async fn child() {
    let Ok(url) = std::env::var("TUTTI_STORE_CHILD") else { return };
    let store = Store::open(&url, MIGRATIONS).await.unwrap();
    let first: i64 = store.read(|tx| tx.one(sql::COUNT, ())).await.unwrap();
    for n in first.. {
        store
            .write(move |tx| {
                tx.exec(sql::NUMBER, (n,))?;
                tx.outbox("number", &n)
            })
            .await
            .unwrap();
        println!("durable {n}");
    }
}

#[tokio::test]
async fn what_was_answered_survives_kill() {
    let engine = Engine::sqlite();
    for _ in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::child", "--ignored", "--nocapture"])
            .env("TUTTI_STORE_CHILD", &engine.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines.map(Result::unwrap).filter_map(|line| {
            line.strip_prefix("durable ").map(|number| number.parse::<i64>().unwrap())
        });
        let last = durable.take(60).last().unwrap();
        // On Unix this is SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let store = engine.open(MIGRATIONS).await;
        store.check().await.unwrap();
        let numbers: Vec<i64> = store.read(|tx| tx.all(sql::NUMBERS, ())).await.unwrap();
        assert!(numbers.len() as i64 > last);
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>());
        assert_eq!(store.outbox_last().await.unwrap(), numbers.len() as i64);
        store.close().await;
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_its_own_and_passes() {
    let engine = Engine::sqlite();
    let store = engine.open(MIGRATIONS).await;
    let pages = |count: i64| {
        let sql: &'static str = format!("PRAGMA max_page_count = {count}").leak();
        store.write(move |tx| tx.one::<i64>(sql, ()))
    };
    let used: i64 = store.read(|tx| tx.one("PRAGMA page_count", ())).await.unwrap();
    pages(used + 20).await.unwrap();
    let fill = || {
        store.write(|tx| {
            let rows = (0..1000_i64).map(|n| vec![format!("{n:0>300}").to_value(), n.to_value()]);
            tx.insert_many("thing", &["id", "n"], rows)
        })
    };
    // The small ones come in the same batch as those there is no space for.
    let numbers = (0..5_i64).map(|n| store.write(move |tx| tx.exec(sql::NUMBER, (n,))));
    let (one, two, small) = tokio::join!(fill(), fill(), futures_util::future::join_all(numbers));
    assert!(matches!(one, Err(Error::DiskFull)), "{one:?}");
    assert!(matches!(two, Err(Error::DiskFull)), "{two:?}");
    assert!(small.iter().all(Result::is_ok), "{small:?}");
    let things = "SELECT count(*) FROM thing";
    let count: i64 = store.read(move |tx| tx.one(things, ())).await.unwrap();
    assert_eq!(count, 0, "nothing is half written");
    pages(100_000).await.unwrap();
    assert_eq!(fill().await.unwrap(), 1000, "usable again once there is space");
    store.check().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn damage_is_found() {
    let engine = Engine::sqlite();
    let store = engine.open(MIGRATIONS).await;
    let rows = || (0..5000_i64).map(|n| vec![n.to_value()]);
    store.write(move |tx| tx.insert_many("number", &["n"], rows())).await.unwrap();
    store.check().await.unwrap();
    store.close().await;
    let mut file = std::fs::OpenOptions::new().write(true).open(engine.file()).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0x55; 8192]).unwrap();
    drop(file);
    let found = match Store::open(&engine.url, MIGRATIONS).await {
        Ok(store) => store.check().await,
        Err(error) => Err(error),
    };
    assert!(found.is_err());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let engine = Engine::sqlite();
    std::fs::write(engine.file(), "this is a text about something else".repeat(100)).unwrap();
    let refused = Store::open(&engine.url, MIGRATIONS).await.unwrap_err();
    assert!(matches!(refused, Error::Open { .. }), "{refused:?}");
    let nowhere = Store::open("/nonexistent/directory/a.db", MIGRATIONS).await.unwrap_err();
    assert!(nowhere.to_string().contains("/nonexistent/directory/a.db"));
}

#[tokio::test]
async fn opening_what_is_up_to_date_is_quick() {
    let engine = Engine::sqlite();
    engine.open(MIGRATIONS).await.close().await;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let store = engine.open(MIGRATIONS).await;
        best = best.min(started.elapsed());
        store.close().await;
    }
    assert!(best < Duration::from_millis(50), "{best:?}");
}
