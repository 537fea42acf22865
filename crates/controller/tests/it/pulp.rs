//! Content in Pulp's ways: its REST API as a client drives it, and what is served.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::world::{Answer, World};

const V3: &str = "/pulp/api/v3";

/// The SHA-256 of `one`.
const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

impl World {
    async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.send(method, path, &[], &body).await
    }

    async fn read(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, Value::Null).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json"),
            "{}",
            answer.body
        );
        answer.json()
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", &format!("{V3}{path}"), body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    /// The task of an answer, once it has ended.
    async fn task(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 202, "{}", answer.body);
        let href = answer.json::<Value>()["task"].as_str().unwrap().to_owned();
        for _ in 0..600 {
            let task = self.read(&href).await;
            if !["waiting", "running", "canceling"].contains(&task["state"].as_str().unwrap()) {
                return task;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{href} does not end");
    }

    /// Does something and answers its task, which has to succeed.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let path = if path.starts_with(V3) { path.to_owned() } else { format!("{V3}{path}") };
        let task = self.task(&self.ask(method, &path, body).await).await;
        assert_eq!(task["state"], "completed", "{method} {path}: {task}");
        task
    }

    /// Sends a form with a file.
    async fn form(
        &self,
        method: &str,
        path: &str,
        more: &str,
        fields: &[(&str, &str)],
        file: (&str, &str, &str),
    ) -> Answer {
        let mut body: String = fields
            .iter()
            .map(|(name, value)| {
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            })
            .collect();
        let (name, filename, text) = file;
        let last = format!(
            "--x\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\r\n{text}\r\n--x--\r\n"
        );
        body.push_str(&last);
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=x\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        );
        let mut socket = UnixStream::connect(self.options.socket()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        Answer::read(&answer)
    }

    /// Brings a file and answers the address of its unit.
    async fn bring(&self, path: &str, text: &str) -> String {
        let fields = [("relative_path", path)];
        let answer = self
            .form("POST", &format!("{V3}/content/file/files/"), "", &fields, ("file", "f", text))
            .await;
        let task = self.task(&answer).await;
        assert_eq!(task["state"], "completed", "{task}");
        task["created_resources"][0].as_str().unwrap().to_owned()
    }

    /// A repository of files.
    async fn repository(&self, name: &str) -> String {
        let made = self.made("/repositories/file/file/", json!({"name": name})).await;
        made["pulp_href"].as_str().unwrap().to_owned()
    }

    async fn distribute(&self, path: &str, mut body: Value) -> String {
        body["name"] = path.into();
        body["base_path"] = path.into();
        let task = self.done("POST", "/distributions/file/file/", body).await;
        task["created_resources"][0].as_str().unwrap().to_owned()
    }

    async fn served(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("/pulp/content/{path}"), headers, &Value::Null).await
    }
}

#[tokio::test]
async fn files_are_brought_published_and_served() {
    for world in World::all().await {
        let repository = world.repository("files").await;
        let (one, two) = (world.bring("d/one", "one").await, world.bring("two", "two").await);
        let again = world.bring("d/one", "one").await;
        assert_eq!(again, one);
        let modified = world
            .done("POST", &format!("{repository}modify/"), json!({"add_content_units": [one, two]}))
            .await;
        let version = format!("{repository}versions/1/");
        assert_eq!(modified["created_resources"], json!([version]));
        let shown = world.read(&version).await;
        assert_eq!(shown["content_summary"]["present"]["file.file"]["count"], 2);
        let present =
            shown["content_summary"]["present"]["file.file"]["href"].as_str().unwrap().to_owned();
        let listed = world.read(&present).await;
        assert_eq!(listed["count"], 2);
        assert_eq!(listed["results"][0]["relative_path"], "d/one");
        assert_eq!(listed["results"][0]["sha256"], ONE);
        let published =
            world.done("POST", "/publications/file/file/", json!({"repository": repository})).await;
        let publication = published["created_resources"][0].as_str().unwrap().to_owned();
        assert_eq!(published["result"]["manifest"], "PULP_MANIFEST");
        let distribution = world.distribute("team/app", json!({"publication": publication})).await;
        let manifest = world.served("team/app/PULP_MANIFEST", &[]).await;
        assert_eq!(manifest.body.lines().next().unwrap(), format!("d/one,{ONE},3"));
        check_served(&world).await;
        // What is served stays, until it is not served any more.
        let refused = world.ask("DELETE", &version, Value::Null).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        world.done("DELETE", &distribution, Value::Null).await;
        assert_eq!(world.served("team/app/two", &[]).await.status, 404);
        world.done("DELETE", &version, Value::Null).await;
        assert_eq!(world.ask("GET", &publication, Value::Null).await.status, 404);
        world.done("DELETE", &repository, Value::Null).await;
        assert_eq!(world.ask("GET", &repository, Value::Null).await.status, 404);
        let cleaned =
            world.done("POST", "/orphans/cleanup/", json!({"orphan_protection_time": 0})).await;
        assert_eq!(cleaned["result"]["content"], 2);
        assert_eq!(world.ask("GET", &one, Value::Null).await.status, 404);
        world.end().await;
    }
}

async fn check_served(world: &World) {
    let whole = world.served("team/app/d/one", &[]).await;
    let tag = format!("\"{ONE}\"");
    assert_eq!(
        (whole.status, whole.body.as_str(), whole.header("etag")),
        (200, "one", tag.as_str())
    );
    assert_eq!(whole.header("cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(whole.header("x-pulp-artifact-size"), "3");
    let since = whole.header("last-modified").to_owned();
    for (headers, status, body) in [
        (vec![("If-None-Match", tag.as_str())], 304, ""),
        (vec![("If-Modified-Since", since.as_str())], 304, ""),
        (vec![("Range", "bytes=1-")], 206, "ne"),
        (vec![("Range", "bytes=-1")], 206, "e"),
        (vec![("Range", "bytes=1-1"), ("If-Range", tag.as_str())], 206, "n"),
        (vec![("Range", "bytes=1-1"), ("If-Range", "\"other\"")], 200, "one"),
        (vec![("Range", "bytes=3-")], 416, ""),
    ] {
        let part = world.served("team/app/d/one", &headers).await;
        assert_eq!((part.status, part.body.as_str()), (status, body), "{headers:?}");
    }
    let part = world.served("team/app/d/one", &[("Range", "bytes=1-")]).await;
    assert_eq!(part.header("content-range"), "bytes 1-2/3");
    let head = world.send("HEAD", "/pulp/content/team/app/d/one", &[], &Value::Null).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "3", ""));
    let page = world.served("team/app/", &[]).await;
    assert!(page.body.contains("<a href=\"d/\">d/</a>"), "{}", page.body);
    let moved = world.served("team/app/d", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (301, "/pulp/content/team/app/d/"));
    for path in ["team/app/none", "team/app/d/one/x", "team/app/%2e%2e/app/two", "none"] {
        assert_eq!(world.served(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_upload_in_parts() {
    for world in World::all().await {
        let upload = world.made("/uploads/", json!({"size": 6})).await;
        let href = upload["pulp_href"].as_str().unwrap().to_owned();
        for (range, text, status) in [
            ("bytes 3-5/6", "def", 200),
            ("bytes 0-2/6", "abcd", 400),
            ("bytes 4-9/6", "ef", 400),
            ("bytes 0-2/6", "abc", 200),
        ] {
            let more = format!("Content-Range: {range}\r\n");
            let put = world.form("PUT", &href, &more, &[], ("file", "f", text)).await;
            assert_eq!(put.status, status, "{range}: {}", put.body);
        }
        assert_eq!(
            world.read(&href).await["chunks"],
            json!([{"offset": 0, "size": 3}, {"offset": 3, "size": 3}])
        );
        let wrong = world.ask("POST", &format!("{href}commit/"), json!({"sha256": ONE})).await;
        let failed = world.task(&wrong).await;
        assert_eq!(failed["state"], "failed");
        assert!(failed["error"]["description"].as_str().unwrap().contains("SHA-256"), "{failed}");
        let digest = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
        let committed =
            world.done("POST", &format!("{href}commit/"), json!({"sha256": digest})).await;
        let artifact = committed["created_resources"][0].as_str().unwrap();
        assert_eq!(world.read(artifact).await["sha256"], digest);
        assert_eq!(world.read(&format!("{V3}/artifacts/?sha256={digest}")).await["count"], 1);
        assert_eq!(world.ask("GET", &href, Value::Null).await.status, 404);
        let body = json!({"relative_path": "x", "artifact": artifact});
        let made = world.done("POST", "/content/file/files/", body).await;
        assert_eq!(made["result"]["relative_path"], "x");
        let in_use = world.ask("DELETE", artifact, Value::Null).await;
        assert_eq!(in_use.status, 409, "{}", in_use.body);
        world.end().await;
    }
}

/// What is refused, and how.
fn refusals(repository: &str, other: &str) -> Vec<(&'static str, String, Value, u16, Value)> {
    let kept = json!({"add_content_units": [other], "overwrite": false});
    let lists = "/repositories/file/file/";
    vec![
        (
            "POST",
            lists.to_owned(),
            json!({"name": "files"}),
            400,
            json!({"name": ["This field must be unique."]}),
        ),
        ("POST", lists.to_owned(), json!({}), 400, json!({"name": ["This field is required."]})),
        (
            "GET",
            "/repositories/file/file/?colour=red".into(),
            Value::Null,
            400,
            json!({"errors": ["Invalid Filter: 'colour'"]}),
        ),
        (
            "GET",
            "/repositories/file/python/".into(),
            Value::Null,
            404,
            json!({"detail": "Not found."}),
        ),
        (
            "GET",
            "/tasks/0192ab00-0000-7000-8000-000000000000/".into(),
            Value::Null,
            404,
            json!({"detail": "Not found."}),
        ),
        (
            "POST",
            format!("{}modify/", repository.trim_start_matches(V3)),
            kept,
            409,
            json!({"detail": "There is other content at a already, and it is not to be overwritten."}),
        ),
        (
            "POST",
            format!("{}sync/", repository.trim_start_matches(V3)),
            json!({}),
            400,
            json!(["A remote must be specified or the repository must have one."]),
        ),
    ]
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_pulps_words() {
    for world in World::all().await {
        let repository = world.repository("files").await;
        let unit = world.bring("a", "one").await;
        world
            .done("POST", &format!("{repository}modify/"), json!({"add_content_units": [unit]}))
            .await;
        let other = world.bring("a", "two").await;
        for (method, path, body, status, expected) in refusals(&repository, &other) {
            let answer = world.ask(method, &format!("{V3}{path}"), body).await;
            assert_eq!(
                (answer.status, answer.json::<Value>()),
                (status, expected),
                "{method} {path}"
            );
            assert_eq!(answer.header("content-type"), "application/json");
        }
        world.distribute("a/b", json!({"repository": repository})).await;
        let nested = json!({"name": "x", "base_path": "a/b/c"});
        let nested = world.ask("POST", &format!("{V3}/distributions/file/file/"), nested).await;
        assert_eq!(nested.status, 400);
        assert!(
            nested.json::<Value>()["base_path"][0].as_str().unwrap().contains("overlaps"),
            "{}",
            nested.body
        );
        world.end().await;
    }
}

#[tokio::test]
async fn tasks_are_found_cancelled_and_purged() {
    for world in World::all().await {
        let repository = world.repository("files").await;
        let changed = world.done("PATCH", &repository, json!({"description": "x"})).await;
        assert_eq!(changed["result"]["description"], "x");
        let href = changed["pulp_href"].as_str().unwrap();
        let again = world.ask("PATCH", href, json!({"state": "canceled"})).await;
        assert_eq!(again.status, 409, "{}", again.body);
        for (query, count) in [
            ("", 1),
            ("?state=completed&name=content.change-repository", 1),
            ("?state__in=waiting,failed", 0),
            ("?name__contains=sync", 0),
            (&format!("?reserved_resources={repository}"), 1),
            (&format!("?exclusive_resources__in={repository}"), 1),
            (&format!("?shared_resources={repository}"), 0),
            ("?finished_at__lt=2001-01-01T00:00:00Z", 0),
            ("?started_at__gte=2001-01-01", 1),
            ("?offset=5", 1),
        ] {
            let list = world.read(&format!("{V3}/tasks/{query}")).await;
            assert_eq!(list["count"], count, "{query}: {list}");
        }
        world
            .done(
                "POST",
                "/tasks/purge/",
                json!({"finished_before": "2001-01-01T00:00:00.000000Z"}),
            )
            .await;
        assert_eq!(world.ask("GET", href, Value::Null).await.status, 200);
        let later = json!({"finished_before": "2101-01-01T00:00:00.000000Z"});
        let purged = world.done("POST", "/tasks/purge/", later).await;
        assert!(purged["progress_reports"][0]["done"].as_u64().unwrap() >= 2, "{purged}");
        assert_eq!(world.ask("GET", href, Value::Null).await.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn a_directory_is_mirrored_and_fetched_from_on_demand() {
    for world in World::all().await {
        let source = world.directory.path().join("source");
        std::fs::create_dir_all(source.join("d")).unwrap();
        std::fs::write(source.join("d/one"), "one").unwrap();
        std::fs::write(source.join("PULP_MANIFEST"), format!("d/one,{ONE},3\n")).unwrap();
        let url = format!("file://{}/PULP_MANIFEST", source.display());
        let remote = json!({"name": "r", "url": url, "policy": "on_demand", "password": "secret"});
        let remote = world.made("/remotes/file/file/", remote).await;
        assert!(!remote.to_string().contains("secret"), "{remote}");
        let href = remote["pulp_href"].as_str().unwrap();
        let made = json!({"name": "mirror", "remote": href});
        let repository = world.made("/repositories/file/file/", made).await;
        let repository = repository["pulp_href"].as_str().unwrap();
        let synced =
            world.done("POST", &format!("{repository}sync/"), json!({"mirror": true})).await;
        let created = synced["created_resources"].as_array().unwrap();
        assert_eq!(created[0], format!("{repository}versions/1/"));
        assert!(created[1].as_str().unwrap().contains("/publications/file/file/"), "{synced}");
        world.distribute("mirror", json!({"repository": repository})).await;
        let listed = world
            .read(&format!("{V3}/content/file/files/?repository_version={repository}versions/1/"))
            .await;
        assert_eq!(
            (&listed["results"][0]["artifact"], &listed["results"][0]["sha256"]),
            (&Value::Null, &json!(ONE))
        );
        let head = world.send("HEAD", "/pulp/content/mirror/d/one", &[], &Value::Null).await;
        assert_eq!((head.status, head.header("content-length")), (200, "3"));
        assert_eq!(world.read(&format!("{V3}/artifacts/?sha256={ONE}")).await["count"], 0);
        let fetched = world.served("mirror/d/one", &[]).await;
        assert_eq!((fetched.status, fetched.body.as_str()), (200, "one"));
        std::fs::remove_file(source.join("d/one")).unwrap();
        let stored = world.served("mirror/d/one", &[("Range", "bytes=0-0")]).await;
        assert_eq!((stored.status, stored.body.as_str()), (206, "o"));
        assert_eq!(
            world.served("mirror/PULP_MANIFEST", &[]).await.body,
            format!("d/one,{ONE},3\n")
        );
        let again =
            world.done("POST", &format!("{repository}sync/"), json!({"mirror": true})).await;
        assert_eq!(again["progress_reports"][0]["code"], "sync.was_skipped", "{again}");
        std::fs::remove_file(source.join("PULP_MANIFEST")).unwrap();
        let failed =
            world.task(&world.ask("POST", &format!("{repository}sync/"), json!({})).await).await;
        assert_eq!(failed["state"], "failed", "{failed}");
        world.end().await;
    }
}

#[tokio::test]
async fn an_index_of_python() {
    for world in World::all().await {
        let made = json!({"name": "py"});
        let repository = world.made("/repositories/python/python/", made).await;
        let distribution =
            json!({"name": "py", "base_path": "team/py", "repository": repository["pulp_href"]});
        world.done("POST", "/distributions/python/pypi/", distribution).await;
        let fields = [
            (":action", "file_upload"),
            ("name", "Foo_Bar"),
            ("version", "1.0"),
            ("requires_python", ">=3.8"),
        ];
        let file = ("content", "Foo_Bar-1.0.tar.gz", "one");
        let path = "/pypi/team/py/legacy/";
        let uploaded = world.form("POST", path, "", &fields, file).await;
        assert_eq!(uploaded.status, 201, "{}", uploaded.body);
        let again = world.form("POST", path, "", &fields, file).await;
        assert_eq!(again.status, 201, "{}", again.body);
        let other =
            world.form("POST", path, "", &fields, ("content", "Foo_Bar-1.0.tar.gz", "two")).await;
        assert_eq!(other.status, 400, "{}", other.body);
        let kind = "application/vnd.pypi.simple.v1+json";
        let page = world
            .send("GET", "/pypi/team/py/simple/foo-bar/", &[("Accept", kind)], &Value::Null)
            .await;
        assert_eq!((page.status, page.header("content-type")), (200, kind));
        let document: Value = page.json();
        let file = &document["files"][0];
        assert_eq!(
            (&file["filename"], &file["hashes"]["sha256"]),
            (&json!("Foo_Bar-1.0.tar.gz"), &json!(ONE))
        );
        assert_eq!(
            (&file["requires-python"], &file["size"], &document["versions"]),
            (&json!(">=3.8"), &json!(3), &json!(["1.0"]))
        );
        let address = file["url"].as_str().unwrap().trim_start_matches("/pulp/content/").to_owned();
        assert_eq!(world.served(&address, &[]).await.body, "one");
        let seen = [("Accept", kind), ("If-None-Match", page.header("etag"))];
        let known = world.send("GET", "/pypi/team/py/simple/foo-bar/", &seen, &Value::Null).await;
        assert_eq!(known.status, 304);
        let html = world.ask("GET", "/pypi/team/py/simple/foo-bar/", Value::Null).await;
        assert!(
            html.body.contains(&format!("#sha256={ONE}\" data-requires-python=\"&gt;=3.8\"")),
            "{}",
            html.body
        );
        let moved = world.ask("GET", "/pypi/team/py/simple/Foo_Bar/", Value::Null).await;
        assert_eq!(
            (moved.status, moved.header("location")),
            (301, "/pypi/team/py/simple/foo-bar/")
        );
        assert_eq!(world.ask("GET", "/pypi/team/py/simple/none/", Value::Null).await.status, 404);
        let root = world.ask("GET", "/pypi/team/py/simple/", Value::Null).await;
        assert!(root.body.contains("<a href=\"foo-bar/\">foo-bar</a>"), "{}", root.body);
        let project = world.read("/pypi/team/py/pypi/foo.bar/json").await;
        assert_eq!(project["info"]["version"], "1.0");
        assert_eq!(project["releases"]["1.0"][0]["digests"]["sha256"], ONE);
        world.end().await;
    }
}
