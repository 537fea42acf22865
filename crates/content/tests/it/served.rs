//! What is served: publications, distributions, and what their paths lead to.

use tutti_content::distribution::{self, Wish};
use tutti_content::modify::Removal;
use tutti_content::publication::{self, NewPublication};
use tutti_content::serve::{self, Found};
use tutti_content::{Error, Named, Window, remote};

use crate::Files;

fn serving(base_path: &str) -> Wish {
    Wish { name: base_path.into(), base_path: base_path.into(), ..Wish::default() }
}

impl Files {
    async fn serve(&self, wish: Wish) -> Result<i64, Error> {
        self.write(move |tx| Ok(distribution::create(tx, "file", &wish, 1)?.id)).await
    }

    async fn publish(&self, version: i64) -> publication::Publication {
        let settings = serde_json::json!({"manifest": publication::MANIFEST});
        let new = NewPublication {
            repository: self.repository,
            version,
            content_type: "file".into(),
            settings,
        };
        let published =
            publication::publish(&self.store, &self.artifacts, new, Some(publication::MANIFEST), 3);
        published.await.unwrap()
    }

    /// What a path leads to, in a word: the bytes of a file, the names in a directory.
    async fn at(&self, path: &str) -> String {
        let asked = path.to_owned();
        match self.read(move |tx| serve::find(tx, &asked)).await {
            Found::File(file) => {
                let path = self.artifacts.path(&file.digest.unwrap());
                std::fs::read_to_string(path).unwrap()
            }
            Found::Directory(entries, is_all) => {
                assert!(is_all);
                let name = |entry: serve::Entry| match entry.is_directory {
                    true => format!("{}/", entry.name),
                    false => entry.name,
                };
                entries.into_iter().map(name).collect::<Vec<_>>().join(" ")
            }
            Found::WithSlash => "with slash".into(),
            Found::Nothing => "nothing".into(),
        }
    }
}

#[tokio::test]
async fn paths_lead_to_files_and_directories() {
    for files in Files::all().await {
        files.add(&[("x", "1"), ("d/a", "2"), ("d/e/f", "3"), ("d-b", "4"), ("d0", "5")]).await;
        let repository = Some(files.repository);
        files.serve(Wish { repository, ..serving("team/app") }).await.unwrap();
        for (path, expected) in [
            ("team/app/x", "1"),
            ("team/app/d/e/f", "3"),
            ("team/app/", "d/ d-b d0 x"),
            ("team/app/d/", "a e/"),
            ("team/app", "with slash"),
            ("team/app/d", "with slash"),
            ("team/app/d/e", "with slash"),
            ("team", "with slash"),
            ("team/", "app/"),
            ("", "team/"),
            ("team/app/y", "nothing"),
            ("team/app/y/", "nothing"),
            ("team/app/x/", "nothing"),
            ("team/ap", "nothing"),
            ("team/app/../app/x", "nothing"),
            ("other/", "nothing"),
        ] {
            assert_eq!(files.at(path).await, expected, "{path}");
        }
        files.add(&[("d/index.html", "index")]).await;
        assert_eq!(files.at("team/app/d/").await, "index");
    }
}

#[tokio::test]
async fn a_repository_is_served_as_it_was_last_published() {
    for files in Files::all().await {
        let first = files.add(&[("a", "1"), ("b", "2")]).await;
        let repository = Some(files.repository);
        files.serve(Wish { repository, ..serving("newest") }).await.unwrap();
        files.serve(Wish { repository, version: Some(first), ..serving("first") }).await.unwrap();
        assert_eq!(files.at("newest/PULP_MANIFEST").await, "nothing");
        let published = files.publish(first).await;
        let publication = Some(published.id);
        let id = files.serve(Wish { publication, ..serving("published") }).await.unwrap();
        let digest = |text: &str| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
            digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let manifest = format!("a,{},1\nb,{},1\n", digest("1"), digest("2"));
        for base in ["newest", "first", "published"] {
            assert_eq!(files.at(&format!("{base}/PULP_MANIFEST")).await, manifest);
        }
        assert_eq!(files.at("published/").await, "PULP_MANIFEST a b");
        // What comes later is served once it is published.
        let second = files.add(&[("a", "3")]).await;
        assert_eq!(files.at("newest/a").await, "1");
        files.publish(second).await;
        for (path, expected) in [("newest/a", "3"), ("first/a", "1"), ("published/a", "1")] {
            assert_eq!(files.at(path).await, expected);
        }
        files.write(move |tx| publication::drop(tx, published.id)).await.unwrap();
        assert_eq!(files.at("published/a").await, "nothing");
        let left = files.read(move |tx| distribution::required(tx, id)).await;
        assert_eq!(left.publication, None);
    }
}

#[tokio::test]
async fn the_size_of_what_is_here_is_known() {
    for files in Files::all().await {
        files.add(&[("a", "123")]).await;
        let unannounced =
            files.store.write(|tx| tx.exec("UPDATE unit_artifact SET size = NULL", ()));
        unannounced.await.unwrap();
        files.serve(Wish { repository: Some(files.repository), ..serving("x") }).await.unwrap();
        let found = files.read(|tx| serve::find(tx, "x/a")).await;
        assert!(matches!(found, Found::File(file) if file.size == Some(3)));
        files.publish(1).await;
        assert!(files.at("x/PULP_MANIFEST").await.ends_with(",3\n"));
    }
}

#[tokio::test]
async fn base_paths_do_not_nest() {
    for files in Files::all().await {
        files.serve(serving("a/b")).await.unwrap();
        for (path, is_refused) in [
            ("a", true),
            ("a/b/c", true),
            ("a/bc", false),
            ("a/b-c", false),
            ("a/c", false),
            ("ab", false),
        ] {
            let made = files.serve(serving(path)).await;
            assert_eq!(matches!(made, Err(Error::Nested { .. })), is_refused, "{path}: {made:?}");
        }
        for path in ["", "/a", "x/", "x//y", "../x"] {
            assert!(matches!(files.serve(serving(path)).await, Err(Error::Path(_))), "{path}");
        }
        let again = files.serve(Wish { name: "other".into(), ..serving("a/b") }).await;
        assert!(matches!(again, Err(Error::Taken { .. })), "{again:?}");
        let wish = Wish { name: "moved".into(), ..serving("a/b/c") };
        let moved = files.write(move |tx| {
            let found = distribution::list(tx, &filter("a/b"), Window { limit: 1, offset: 0 })?;
            distribution::change(tx, found.rows[0].id, &wish, 2)
        });
        moved.await.unwrap();
        assert_eq!(files.at("a/b").await, "with slash");
    }
}

fn filter(base_path: &str) -> distribution::Filter {
    let named = Named { content_types: vec!["file".into()], ..Named::default() };
    distribution::Filter {
        named,
        base_path: Some(base_path.into()),
        ..distribution::Filter::default()
    }
}

#[tokio::test]
async fn lists_are_filtered_and_counted() {
    for files in Files::all().await {
        let made = files.write(|tx| {
            for (name, label) in [("alpha", "1"), ("Alpine", "2"), ("beta_1", "1"), ("betax1", "3")]
            {
                let labels = [("team".to_owned(), label.to_owned())].into();
                let wish = remote::Wish { name: name.into(), labels, ..remote::Wish::default() };
                remote::create(tx, "file", &wish, 1)?;
            }
            let wish = remote::Wish { name: "python".into(), ..remote::Wish::default() };
            remote::create(tx, "python", &wish, 1)
        });
        made.await.unwrap();
        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (Named::default(), "betax1 beta_1 Alpine alpha"),
            (Named { name: text("alpha"), ..Named::default() }, "alpha"),
            (Named { name: text("nope"), ..Named::default() }, ""),
            (
                Named { name_in: Some(vec!["alpha".into(), "betax1".into()]), ..Named::default() },
                "betax1 alpha",
            ),
            (Named { contains: text("lp"), ..Named::default() }, "Alpine alpha"),
            (Named { contains: text("a_1"), ..Named::default() }, "beta_1"),
            (Named { icontains: text("A_1"), ..Named::default() }, "beta_1"),
            (Named { iexact: text("ALPINE"), ..Named::default() }, "Alpine"),
            (Named { startswith: text("al"), ..Named::default() }, "alpha"),
            (Named { istartswith: text("AL"), ..Named::default() }, "Alpine alpha"),
            (
                Named { labels: [("team".into(), "1".into())].into(), ..Named::default() },
                "beta_1 alpha",
            ),
            (
                Named { labelled: vec!["team".into()], ..Named::default() },
                "betax1 beta_1 Alpine alpha",
            ),
            (Named { unlabelled: vec!["team".into()], ..Named::default() }, ""),
        ] {
            let filter = Named { content_types: vec!["file".into()], ..filter };
            let asked = filter.clone();
            let page =
                files.read(move |tx| remote::list(tx, &asked, Window { limit: 2, offset: 0 }));
            let page = page.await;
            let names: Vec<&str> = page.rows.iter().map(|row| row.name.as_str()).collect();
            let all: Vec<&str> = expected.split_whitespace().collect();
            assert_eq!(page.count, all.len() as u64, "{filter:?}");
            assert_eq!(names, all.iter().copied().take(2).collect::<Vec<_>>(), "{filter:?}");
        }
    }
}

#[tokio::test]
async fn a_large_directory_is_cut() {
    let files = Files::all().await.swap_remove(0);
    let names: Vec<String> = (0..2_500)
        .map(|n| format!("d{n:04}/f"))
        .chain((0..1_200).map(|n| format!("f{n:04}")))
        .collect();
    let new: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let units = files.units(&new, 2).await;
    files.modify(&units, Removal::All).await.unwrap();
    files.serve(Wish { repository: Some(files.repository), ..serving("big") }).await.unwrap();
    for (max, expected) in [(100, (100, false)), (10_000, (3_700, true))] {
        let listed = files.read(move |tx| {
            let target = serve::target(tx, "big")?.unwrap();
            let (entries, is_all) = serve::entries(tx, &target, "", max)?;
            Ok((entries.len(), is_all))
        });
        assert_eq!(listed.await, expected);
    }
}
