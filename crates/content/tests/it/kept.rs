//! Bytes: uploads in parts, orphans, bytes that changed or need not be here.

use std::collections::BTreeSet;

use futures_util::stream;
use tutti_content::modify::Removal;
use tutti_content::repair::{self, Report, Scope};
use tutti_content::upload::{self, Part, Uploads};
use tutti_content::{Error, orphan};

use crate::Files;

#[tokio::test]
async fn an_upload_in_parts_becomes_an_artifact() {
    for files in Files::all().await {
        let uploads = Uploads::open(&files.directory.path().join("uploads")).unwrap();
        let begun = files.write(|tx| upload::create(tx, 10, 1)).await.unwrap();
        let id = begun.id;
        for (offset, text) in [(6, "wxyz"), (0, "abcdef")] {
            let bytes = stream::iter([Ok::<_, std::io::Error>(text)]);
            let part = uploads.write(id, offset, 100, bytes).await.unwrap();
            let part = Part { offset, size: part.size };
            let seen = files.write(move |tx| upload::add_part(tx, id, part, 2)).await.unwrap();
            let finished = uploads.finish(&files.artifacts, &seen, None).await;
            if offset > 0 {
                assert!(
                    matches!(finished, Err(Error::Incomplete { offset: 0, .. })),
                    "{finished:?}"
                );
                continue;
            }
            let artifact = finished.unwrap();
            assert_eq!(
                std::fs::read(files.artifacts.path(&artifact.digest)).unwrap(),
                b"abcdefwxyz"
            );
            let wrong = uploads.finish(&files.artifacts, &seen, Some(&"0".repeat(64))).await;
            assert!(matches!(wrong, Err(Error::Mismatch { .. })), "{wrong:?}");
        }
        let long = stream::iter([Ok::<_, std::io::Error>("too long")]);
        assert!(matches!(uploads.write(id, 0, 3, long).await, Err(Error::TooLong { max: 3 })));
        assert_eq!(uploads.remove_old(&files.store, 2).await.unwrap(), 0);
        assert_eq!(uploads.remove_old(&files.store, 3).await.unwrap(), 1);
        let gone = files.store.read(move |tx| upload::required(tx, id)).await;
        assert!(matches!(gone, Err(Error::Missing { what: "upload", .. })));
    }
}

#[tokio::test]
async fn orphans_are_counted_before_they_go() {
    for files in Files::all().await {
        files.add(&[("kept", "kept")]).await;
        let orphans = files.units(&[("old", "old"), ("older", "older")], 2).await;
        files.units(&[("young", "young")], 9).await;
        let counted = files.read(|tx| orphan::count(tx, 5)).await;
        assert_eq!(counted.get("file"), Some(&2));
        let chosen = orphans.clone();
        let forgotten = files.write(move |tx| orphan::forget_chosen(tx, 5, &chosen[..1])).await;
        assert_eq!(forgotten.unwrap(), 1);
        assert_eq!(files.write(|tx| orphan::forget_units(tx, 5, 10)).await.unwrap(), 1);
        let artifacts = files.read(|tx| {
            let stored = orphan::stored(tx, 5, "", 10)?;
            orphan::artifacts(tx, &stored, &BTreeSet::new())
        });
        assert_eq!(artifacts.await.len(), 2);
    }
}

#[tokio::test]
async fn bytes_that_changed_are_found_and_those_that_are_offered_reclaimed() {
    for files in Files::all().await {
        let units = files
            .units(&[("good", "good"), ("bad", "bad"), ("gone", "gone"), ("offered", "offered")], 2)
            .await;
        let number = files.modify(&units, Removal::All).await.unwrap().unwrap().number;
        let offer = units[3];
        let offered = files.store.write(move |tx| {
            let sql = "INSERT INTO remote_artifact (unit, path, remote, url, digests) VALUES ($1, 'offered', 1, 'http://x', '{}')";
            tx.exec(sql, (offer,))
        });
        offered.await.unwrap();
        let file = |text: &str| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
            let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            files.artifacts.path(&digest)
        };
        std::fs::write(file("bad"), "BAD").unwrap();
        std::fs::remove_file(file("gone")).unwrap();
        let scope = Scope::Version(files.repository, number);
        let report = async |verify| {
            repair::repair(&files.store, &files.artifacts, scope, verify, async |_: Report| true)
                .await
                .unwrap()
        };
        let missing = Report { looked_at: 4, missing: 1, ..Report::default() };
        assert_eq!(report(false).await, missing);
        assert_eq!(report(true).await, Report { looked_at: 3, corrupted: 1, ..Report::default() });
        assert_eq!(report(true).await, Report { looked_at: 2, ..Report::default() });
        assert!(!file("bad").exists() && file("good").exists());
        let other = Files::repository(&files.store, "other").await;
        let reclaim =
            async |ids: &[i64]| repair::reclaim(&files.store, &files.artifacts, ids).await.unwrap();
        assert_eq!(reclaim(&[other]).await, 0);
        assert_eq!(reclaim(&[files.repository]).await, 1);
        assert!(!file("offered").exists() && file("good").exists());
    }
}
