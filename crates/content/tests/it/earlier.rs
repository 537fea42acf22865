//! A database of the first layout, with charms in it, is brought to the present one.

use tutti_content::repository::{self, version};
use tutti_content::{Error, MIGRATIONS, charm};
use tutti_store::{Tx, sql};

use crate::{addresses, artifact, open};

sql! {
    REPOSITORY = "INSERT INTO repository (name, content_type, version, created) VALUES ($1, 'charm', $2, 1)";
    VERSION = "INSERT INTO repository_version (repository, number, created) VALUES ($1, $2, $2)";
    UNIT = "INSERT INTO content_unit (id, content_type, namespace, name, revision, digest, size, metadata, created) \
            VALUES ($1, 'charm', $2, 'db', $3, $4, 10, '{}', 1)";
    CONTENT = "INSERT INTO repository_content (repository, content_unit, added, removed) VALUES ($1, $2, $3, $4)";
}

/// Two models with the same charm; one has a second revision, and removed the first.
fn fill(tx: &mut Tx<'_>) -> Result<(), tutti_store::Error> {
    let digest = |byte| artifact(byte).digest;
    for (model, versions) in [("charms/a", 2), ("charms/b", 1)] {
        tx.exec(REPOSITORY, (model, versions))?;
        for number in 1..=versions {
            tx.exec(VERSION, (model, number))?;
        }
    }
    tx.exec(UNIT, ("a0", "charms/a", 0, digest(1)))?;
    tx.exec(UNIT, ("a1", "charms/a", 1, digest(2)))?;
    tx.exec(UNIT, ("b0", "charms/b", 0, digest(1)))?;
    tx.exec(CONTENT, ("charms/a", "a0", 1, Some(2)))?;
    tx.exec(CONTENT, ("charms/a", "a1", 2, None::<i64>))?;
    tx.exec(CONTENT, ("charms/b", "b0", 1, None::<i64>))?;
    Ok(())
}

#[tokio::test]
async fn charms_of_the_first_layout_are_kept() {
    for (url, _directory) in addresses() {
        let store = open(&url, &MIGRATIONS[..1]).await;
        store.write(fill).await.unwrap();
        store.close().await;

        let store = open(&url, MIGRATIONS).await;
        let (first, list, other, next) = store
            .write(|tx| {
                let a = repository::required(tx, "charms/a")?;
                assert_eq!((a.version, a.next_version), (2, 3));
                let counts: Vec<_> =
                    version::list(tx, a.id)?.into_iter().map(|version| version.counts.0).collect();
                assert!(counts[0].is_empty());
                assert_eq!(counts[2]["charm"], version::Count { added: 1, removed: 1, present: 1 });
                Ok::<_, Error>((
                    charm::find(tx, "charms/a", "db", 0)?.unwrap(),
                    charm::list(tx, "charms/a")?,
                    charm::list(tx, "charms/b")?,
                    charm::publish(tx, "charms/b", "db", 0, &artifact(9), "{}", 9)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!((first.digest.as_str(), first.size), (artifact(1).digest.as_str(), 10));
        assert_eq!(list.iter().map(|unit| unit.revision).collect::<Vec<_>>(), [1]);
        assert_eq!(other[0].id, first.id, "the same charm is one unit");
        assert_eq!(next.revision, 1);
    }
}
