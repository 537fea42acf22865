//! Uploads and downloads.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tutti_model::api::{ArtifactInfo, CharmInfo};

use crate::charm::charm;
use crate::world::{World, refusal};

#[tokio::test]
async fn bytes_come_back() {
    for world in World::all().await {
        let file = world.directory.path().join("file");
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&file, &bytes).unwrap();
        let artifact: ArtifactInfo =
            world.client.post_file("/v1/artifacts", &file, |_, _| {}).await.unwrap();
        assert_eq!(artifact.size, bytes.len() as u64);
        let mut back = Vec::new();
        let path = format!("/v1/artifacts/{}", artifact.digest);
        world.client.get_bytes_to(&path, &mut back).await.unwrap();
        assert_eq!(back, bytes);
        for digest in ["0".repeat(64), "..%2F..%2Ftutti.db".into(), "x".into()] {
            let path = format!("/v1/artifacts/{digest}");
            let problem = refusal(world.client.get_bytes_to(&path, &mut Vec::new()).await);
            assert_eq!(problem.status, 404, "{digest}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn bad_charms_are_refused_with_every_reason() {
    for world in World::all().await {
        world.model().await;
        let upload = async |source: crate::charm::Source| {
            let archive = source.pack(world.directory.path());
            let path = "/v1/models/m/charms";
            refusal(world.client.post_file::<CharmInfo>(path, &archive, |_, _| {}).await)
        };
        let no_entry = charm("db").without("dispatch");
        let problem = upload(no_entry).await;
        assert_eq!(problem.status, 422);
        assert!(problem.detail.starts_with("the charm cannot be used: "), "{}", problem.detail);
        let two = charm("db").with("metadata.yaml", "name: DB\nsubordinate: true\n");
        let problem = upload(two).await;
        assert!(problem.reasons.len() >= 2, "{problem:#?}");
        let problem = upload(charm("db").without("metadata.yaml")).await;
        assert!(
            problem.detail.contains("neither metadata.yaml nor charmcraft.yaml"),
            "{}",
            problem.detail
        );
        let file = world.directory.path().join("no.charm");
        std::fs::write(&file, "not a zip").unwrap();
        let path = "/v1/models/m/charms";
        let problem = refusal(world.client.post_file::<CharmInfo>(path, &file, |_, _| {}).await);
        assert_eq!(problem.status, 422, "{}", problem.detail);
        let nowhere = "/v1/models/nope/charms";
        let problem = refusal(world.client.post_file::<CharmInfo>(nowhere, &file, |_, _| {}).await);
        assert_eq!(problem.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn what_nothing_refers_to_goes_when_it_is_old() {
    for mut world in World::all().await {
        world.model().await;
        let file = world.directory.path().join("file");
        std::fs::write(&file, "refused").unwrap();
        let orphan: ArtifactInfo =
            world.client.post_file("/v1/artifacts", &file, |_, _| {}).await.unwrap();
        let used = world.upload(&charm("db")).await;
        let path =
            |digest: &str| world.options.data.join("artifacts").join(&digest[..2]).join(digest);
        let (orphan, used) = (path(&orphan.digest), path(&used.digest));
        let yesterday = std::time::SystemTime::now() - std::time::Duration::from_hours(24);
        for path in [&orphan, &used] {
            std::fs::File::open(path).unwrap().set_modified(yesterday).unwrap();
        }
        world.restart().await;
        world.until("the orphan is gone", || async { !orphan.exists() }).await;
        assert!(used.exists());
        world.end().await;
    }
}

#[tokio::test]
async fn a_refused_upload_that_does_not_end_is_closed_behind_the_refusal() {
    let world = World::sqlite().await;
    let mut socket = UnixStream::connect(world.options.socket()).await.unwrap();
    let head =
        "POST /v1/models/nope/charms HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![0; 1024 * 1024];
    // Bounded: this is more than the controller reads.
    for _ in 0..1024 {
        if socket.write_all(&chunk).await.is_err() {
            break;
        }
    }
    assert!(socket.write_all(&chunk).await.is_err(), "the connection is still open");
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
    world.end().await;
}
