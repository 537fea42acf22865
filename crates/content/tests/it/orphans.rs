//! What nothing holds is forgotten when it is old.

use std::collections::BTreeSet;

use tutti_content::{Error, charm, orphan, repository};

use crate::{artifact, stores};

#[tokio::test]
async fn what_a_version_holds_is_no_orphan() {
    for (store, _directory) in stores().await {
        let digests = BTreeSet::from([artifact(1).digest, artifact(2).digest, artifact(3).digest]);
        let kept = BTreeSet::from([artifact(3).digest]);
        let (young, old, artifacts) = store
            .write(move |tx| {
                for name in ["kept", "dropped"] {
                    repository::ensure(tx, name, charm::CONTENT_TYPE, 1)?;
                }
                charm::publish(tx, "kept", "db", 0, &artifact(1), "{}", 5)?;
                charm::publish(tx, "dropped", "db", 0, &artifact(2), "{}", 5)?;
                let dropped = repository::required(tx, "dropped")?;
                repository::drop(tx, dropped.id)?;
                let young = orphan::forget_units(tx, 4, 10)?;
                let held = orphan::forget_artifacts(tx, &digests, &kept)?;
                assert!(held.is_empty(), "a unit refers to it: {held:?}");
                let old = orphan::forget_units(tx, 5, 10)?;
                Ok::<_, Error>((young, old, orphan::forget_artifacts(tx, &digests, &kept)?))
            })
            .await
            .unwrap();
        assert_eq!((young, old), (0, 1));
        assert_eq!(artifacts, [artifact(2).digest]);
        let left = store.read(|tx| charm::list(tx, "kept")).await.unwrap();
        assert_eq!(left.len(), 1);
    }
}
