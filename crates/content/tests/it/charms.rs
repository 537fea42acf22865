//! Charms: revisions that only grow.

use tutti_content::repository::{self, Draft, Member, version};
use tutti_content::{Error, charm};

use crate::{artifact, stores};

#[tokio::test]
async fn revisions_only_grow_and_versions_never_change() {
    for (store, _directory) in stores().await {
        let revisions = store
            .write(|tx| {
                repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 1)?;
                let mut publish = |name: &str, at_least: i64, byte: u8| {
                    charm::publish(tx, "charms/m", name, at_least, &artifact(byte), "{}", 2)
                        .map(|unit| unit.revision)
                };
                Ok::<_, Error>(vec![
                    publish("db", 0, 1)?,
                    publish("db", 0, 1)?,
                    publish("db", 7, 2)?,
                    publish("db", 3, 3)?,
                    publish("web", 0, 4)?,
                ])
            })
            .await
            .unwrap();
        assert_eq!(revisions, [0, 1, 7, 8, 0]);

        let next = store
            .write(|tx| {
                let repository = repository::required(tx, "charms/m")?;
                let newest = charm::find(tx, "charms/m", "db", 8)?.unwrap();
                let draft = Draft::begin_in(tx, &repository, 3)?;
                let content_type = charm::CONTENT_TYPE.to_owned();
                draft.remove(
                    tx,
                    &[Member { path: "db_8.charm".into(), unit: newest.id, content_type }],
                )?;
                draft.complete(tx, None, 3)?;
                charm::publish(tx, "charms/m", "db", 0, &artifact(5), "{}", 4)
            })
            .await
            .unwrap();
        assert_eq!(next.revision, 9, "a removed revision's number is not given again");

        let (third, newest, versions, latest) = store
            .read(|tx| {
                let repository = repository::required(tx, "charms/m")?;
                Ok::<_, Error>((
                    version::content(tx, repository.id, 3, "", 10)?,
                    charm::list(tx, "charms/m")?,
                    version::list(tx, repository.id)?,
                    charm::latest(tx, "charms/m", "db")?,
                ))
            })
            .await
            .unwrap();
        let paths: Vec<_> = third.iter().map(|unit| unit.path.as_str()).collect();
        assert_eq!(paths, ["db_0.charm", "db_1.charm", "db_7.charm"]);
        let numbers: Vec<_> =
            newest.iter().map(|unit| (unit.name.as_str(), unit.revision, unit.size)).collect();
        assert_eq!(
            numbers,
            [("db", 0, 10), ("db", 1, 10), ("db", 7, 10), ("db", 9, 10), ("web", 0, 10)]
        );
        assert_eq!(versions.len(), 8);
        let count = versions.last().unwrap().counts.0["charm"];
        assert_eq!((count.added, count.removed, count.present), (1, 0, 5));
        assert_eq!(latest.unwrap().revision, 9);
    }
}

#[tokio::test]
async fn a_repository_holds_one_content_type() {
    for (store, _directory) in stores().await {
        let error = store
            .write(|tx| {
                repository::ensure(tx, "files", "file", 1)?;
                repository::ensure(tx, "files", charm::CONTENT_TYPE, 1)
            })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ContentType { .. }), "{error}");
        let error = store.read(|tx| repository::required(tx, "nothing")).await.unwrap_err();
        assert!(matches!(error, Error::NoRepository(_)), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_repository_leaves_no_versions_and_no_revisions() {
    for (store, _directory) in stores().await {
        let (left, next) = store
            .write(|tx| {
                let made = repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 1)?;
                charm::publish(tx, "charms/m", "db", 4, &artifact(1), "{}", 2)?;
                repository::drop(tx, made.id)?;
                repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 3)?;
                Ok::<_, Error>((
                    charm::list(tx, "charms/m")?,
                    charm::next(tx, "charms/m", "db", 0)?,
                ))
            })
            .await
            .unwrap();
        assert!(left.is_empty());
        assert_eq!(next, 0);
    }
}
