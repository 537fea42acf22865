use std::{collections::BTreeSet, fs::FileTimes, io, time::SystemTime};

use futures_util::Stream;

use super::{Artifacts, directory::AGE_MAX};
use crate::{Error, digest::hexadecimal};

#[tokio::test]
async fn the_same_bytes_are_stored_once_and_become_young_again() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let stored = artifacts.put(chunks(&["a", "b"])).await.unwrap();
    let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    let file = std::fs::File::open(artifacts.path(&stored.digest)).unwrap();
    for by_name in [false, true] {
        file.set_times(old).unwrap();
        assert!(artifacts.old().unwrap().contains(&stored.digest));
        let again = match by_name {
            false => artifacts.put(chunks(&["ab"])).await.unwrap(),
            true => artifacts.keep(&stored.digest).await.unwrap().unwrap(),
        };
        assert_eq!(again, stored);
        assert!(artifacts.old().unwrap().is_empty());
    }
    let incoming = std::fs::read_dir(directory.path().join("incoming")).unwrap();
    assert_eq!(incoming.count(), 0);
    for unknown in [hexadecimal(&[0; 32]), "../../etc".to_owned()] {
        assert_eq!(artifacts.keep(&unknown).await.unwrap(), None);
    }
}

fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<&'static str, io::Error>> {
    futures_util::stream::iter(parts.iter().map(|part| Ok(*part)).collect::<Vec<_>>())
}

#[tokio::test]
async fn equal_bytes_have_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let one = artifacts.put(chunks(&["tut", "ti"])).await.unwrap();
    let two = artifacts.put(chunks(&["tutti"])).await.unwrap();
    assert_eq!(one, two);
    assert_eq!(std::fs::read(artifacts.path(&one.digest)).unwrap(), b"tutti");
    assert!(artifacts.contains(&one.digest));
}

#[tokio::test]
async fn known_digest() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let empty = artifacts.put(chunks(&[])).await.unwrap();
    assert_eq!(empty.digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(empty.size, 0);
}

#[tokio::test]
async fn a_broken_stream_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let broken = futures_util::stream::iter(vec![
        Ok("half"),
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone")),
    ]);
    let error = artifacts.put(broken).await.unwrap_err();
    assert!(matches!(error, Error::Receive { received: 4, .. }), "{error}");
    let incoming = directory.path().join("incoming");
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
}

#[tokio::test]
async fn files_are_stored_like_streams() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(&directory.path().join("artifacts")).unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, vec![7; 200_000]).unwrap();
    let artifact = artifacts.put_file(&file).await.unwrap();
    assert_eq!(artifact.size, 200_000);
    assert_eq!(std::fs::read(artifacts.path(&artifact.digest)).unwrap(), vec![7; 200_000]);
}

#[tokio::test]
async fn what_is_stored_again_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let kept = artifacts.put(chunks(&["kept"])).await.unwrap().digest;
    let again = artifacts.put(chunks(&["again"])).await.unwrap().digest;
    let gone = artifacts.put(chunks(&["gone"])).await.unwrap().digest;
    for digest in [&again, &gone] {
        let file = std::fs::File::open(artifacts.path(digest)).unwrap();
        file.set_modified(SystemTime::now() - AGE_MAX * 2).unwrap();
    }
    let left_behind = artifacts.path(&gone).with_file_name(".left");
    for (name, age) in
        [(&left_behind, AGE_MAX * 2), (&left_behind.with_extension("new"), AGE_MAX / 2)]
    {
        let file = std::fs::File::create(name).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let old = artifacts.old().unwrap();
    assert_eq!(old, BTreeSet::from([again.clone(), gone.clone()]));
    assert!(!left_behind.exists() && left_behind.with_extension("new").exists());
    artifacts.put(chunks(&["again"])).await.unwrap();
    for (digest, removed) in [(&kept, false), (&again, false), (&gone, true), (&gone, true)] {
        assert_eq!(artifacts.remove_old(digest).await.unwrap(), removed);
        assert_eq!(artifacts.contains(digest), !removed);
    }
}

#[tokio::test]
async fn only_digests_are_names() {
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    for name in ["", "..", "../../etc/passwd", &"A".repeat(64), &"a".repeat(63)] {
        assert!(!artifacts.contains(name), "{name}");
        let removed = artifacts.remove_old(name).await;
        assert!(matches!(removed, Err(Error::Digest(_))), "{name}");
    }
}
