//! Downloads from servers that misbehave.

use std::time::Duration;

use tutti_content::{
    Artifacts,
    digest::{Expected, sha256},
    download::{Client, Credentials, Error, Fetched, Reason, Request, Source, SourceSettings},
};

use crate::server::{Answer, Server};

struct Bench {
    server: Server,
    artifacts: Artifacts,
    source: Source,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(&directory.path().join("artifacts")).unwrap();
        let server = Server::start().await;
        let settings = SourceSettings {
            retries: 2,
            retry_delay_ms: 1,
            read_timeout_ms: 2_000,
            ..SourceSettings::default()
        };
        let source = Source { url: server.at("/list"), settings, ..Source::default() };
        Self { server, artifacts, source, directory }
    }

    async fn fetch(&self, urls: &[String], expected: &Expected) -> Result<Fetched, Error> {
        let client = Client::new(&self.source).await?;
        let mut incoming = self.artifacts.incoming();
        let fetched = client.fetch(&Request::new(urls, expected), &mut incoming).await?.unwrap();
        let artifact = incoming.place().await.unwrap();
        self.artifacts.settle([artifact.digest]).await.unwrap();
        Ok(fetched)
    }

    /// Fetches `/file`, which should be these bytes.
    async fn file(&self, bytes: &[u8]) -> Result<(), Error> {
        let expected = Expected::sha256(&sha256(bytes), Some(bytes.len() as u64));
        self.fetch(&[self.server.at("/file")], &expected).await?;
        assert_eq!(std::fs::read(self.artifacts.path(&sha256(bytes))).unwrap(), bytes);
        Ok(())
    }

    /// Nothing half is left behind.
    fn is_clean(&self) {
        let incoming = self.directory.path().join("artifacts/incoming");
        assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
    }
}

/// More than one piece, so that some of it is on the disk already.
fn large() -> Vec<u8> {
    (0..700_000_u32).flat_map(u32::to_le_bytes).take(700_000).collect()
}

#[tokio::test]
async fn a_broken_body_goes_on_where_it_broke() {
    let bench = Bench::new().await;
    let bytes = large();
    let cut = |after| Answer::Cut(bytes.clone(), after);
    bench.server.answers("/file", vec![cut(300_000), Answer::Bytes(bytes.clone())]);
    bench.file(&bytes).await.unwrap();
    let asked = bench.server.asked();
    let range = asked[1].headers["range"].strip_prefix("bytes=").unwrap();
    let from: usize = range.strip_suffix('-').unwrap().parse().unwrap();
    assert!((1..=300_000).contains(&from), "{from}");
    assert!(asked[1].headers.contains_key("if-range"));
    // What changed meanwhile is fetched anew, and nothing of the two is mixed.
    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    bench.server.answers("/file", vec![cut(300_000), Answer::Bytes(other.clone())]);
    bench.file(&other).await.unwrap();
    // Ranges that the server does not know of.
    let third: Vec<u8> = bytes.iter().map(|byte| byte ^ 2).collect();
    let plain = Answer::Plain(third.clone(), "");
    bench.server.answers("/file", vec![Answer::Cut(third.clone(), 300_000), plain]);
    bench.file(&third).await.unwrap();
    bench.is_clean();
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_goes_on_in_the_next() {
    let mut bench = Bench::new().await;
    bench.source.settings.total_timeout_ms = Some(1_000);
    bench.source.settings.read_timeout_ms = 60_000;
    let bytes = large();
    let answers = vec![Answer::Stall(bytes.clone(), 600_000), Answer::Bytes(bytes.clone())];
    bench.server.answers("/file", answers);
    bench.file(&bytes).await.unwrap();
    assert!(bench.server.asked()[1].headers.contains_key("range"));
    bench.is_clean();
}

#[tokio::test]
async fn what_is_packed_is_not_taken_for_what_it_is_not() {
    let bench = Bench::new().await;
    let gzip = "Content-Encoding: gzip\r\n";
    bench.server.answers("/file", vec![Answer::Plain(b"abc".to_vec(), gzip)]);
    // Known by its digest it is right as it is, and its size is minded.
    bench.file(b"abc").await.unwrap();
    let error = bench.file(b"abcd").await.unwrap_err();
    assert!(matches!(error.reason, Reason::TooShort { .. }), "{error:?}");
    let error = bench.fetch(&[bench.server.at("/file")], &Expected::default()).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Encoding(_)), "{error:?}");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let bench = Bench::new().await;
    for first in [
        Answer::Status(429, "Retry-After: 0\r\n"),
        Answer::Status(503, ""),
        Answer::Cut(b"abc".to_vec(), 0),
        Answer::Cut(b"abc".to_vec(), 2),
        Answer::Stall(b"abc".to_vec(), 1),
        Answer::Plain(b"abd".to_vec(), ""),
        Answer::Plain(b"ab".to_vec(), ""),
        Answer::Plain(b"abcd".to_vec(), ""),
        Answer::Lie(b"abc".to_vec(), 4),
        Answer::Endless,
    ] {
        let answers = vec![first.clone(), Answer::Bytes(b"abc".to_vec())];
        bench.server.answers("/file", answers);
        bench.file(b"abc").await.unwrap_or_else(|error| panic!("{first:?}: {error:?}"));
        assert_eq!(bench.server.asked().len(), 2, "{first:?}");
        bench.is_clean();
    }
}

#[tokio::test]
async fn what_does_not_pass_says_why_and_where() {
    let bench = Bench::new().await;
    type Is = fn(&Reason) -> bool;
    let cases: [(Answer, usize, Is); 8] = [
        (Answer::Status(404, ""), 1, |reason| reason.is_absent()),
        (Answer::Status(403, ""), 1, |reason| matches!(reason, Reason::Status { .. })),
        (Answer::Status(500, ""), 3, |reason| matches!(reason, Reason::Status { .. })),
        (Answer::Plain(b"abd".to_vec(), ""), 3, |reason| matches!(reason, Reason::Digest { .. })),
        (Answer::Plain(b"ab".to_vec(), ""), 3, |reason| {
            matches!(reason, Reason::TooShort { expected: 3, received: 2 })
        }),
        (Answer::Endless, 3, |reason| matches!(reason, Reason::TooLong { expected: 3 })),
        (Answer::Stall(b"abc".to_vec(), 2), 3, |reason| {
            matches!(reason, Reason::Timeout { received: 2 })
        }),
        (Answer::Cut(b"abc".to_vec(), 1), 3, |reason| matches!(reason, Reason::Connection { .. })),
    ];
    for (answer, attempts, is_expected) in cases {
        bench.server.answers("/file", vec![answer.clone()]);
        let error = bench.file(b"abc").await.unwrap_err();
        assert!(is_expected(&error.reason), "{answer:?}: {error:?}");
        assert_eq!(error.url, bench.server.at("/file"));
        assert_eq!(bench.server.asked().len(), attempts, "{answer:?}");
        bench.is_clean();
    }
    let artifacts = std::fs::read_dir(bench.directory.path().join("artifacts")).unwrap();
    assert_eq!(artifacts.count(), 1, "only the place of what is incoming");
}

#[tokio::test]
async fn mirrors_are_tried_in_their_order() {
    let bench = Bench::new().await;
    let expected = Expected::sha256(&sha256(b"abc"), Some(3));
    let urls = ["/gone", "/wrong", "/right", "/never"].map(|path| bench.server.at(path));
    bench.server.bytes("/wrong", b"abd");
    bench.server.bytes("/right", b"abc");
    let fetched = bench.fetch(&urls, &expected).await.unwrap();
    assert_eq!(fetched.url, urls[2]);
    let asked: Vec<_> = bench.server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["/gone", "/wrong", "/right"]);
}

#[tokio::test]
async fn the_source_alone_is_told_its_secrets() {
    let mut bench = Bench::new().await;
    bench.source.settings.headers.insert("X-Key".into(), "secret".into());
    bench.source.credentials = Credentials {
        username: Some("me".into()),
        password: Some("password".into()),
        ..Credentials::default()
    };
    let other = Server::start().await;
    other.bytes("/file", b"abc");
    bench.server.answers("/file", vec![Answer::Redirect(other.at("/file"))]);
    bench.file(b"abc").await.unwrap();
    let (own, foreign) = (bench.server.asked(), other.asked());
    assert_eq!(own[0].headers["authorization"], "Basic bWU6cGFzc3dvcmQ=");
    assert_eq!(own[0].headers["x-key"], "secret");
    assert!(!foreign[0].headers.contains_key("authorization"));
    assert!(!foreign[0].headers.contains_key("x-key"));
    bench.source.credentials = Credentials { token: Some("t".into()), ..Credentials::default() };
    bench.file(b"abc").await.unwrap();
    assert_eq!(bench.server.asked()[0].headers["authorization"], "Bearer t");
}

#[tokio::test]
async fn a_source_leads_nowhere_it_must_not() {
    let mut bench = Bench::new().await;
    let internal = bench.server.at("/file");
    bench.server.bytes("/file", b"abc");
    let expected = Expected::sha256(&sha256(b"abc"), Some(3));
    // On the open internet, as far as can be told: its own requests go through a proxy, which is this server.
    bench.source.url = "http://192.0.2.1/list".into();
    for url in [&internal, "http://[::ffff:127.0.0.1]:80/x", "http://169.254.169.254/x"] {
        let error = bench.fetch(&[url.to_owned()], &expected).await.unwrap_err();
        assert!(matches!(error.reason, Reason::Address { .. }), "{error:?}");
    }
    // A name is judged by what it stands for.
    let port = internal.split(':').nth(2).unwrap();
    let error = bench.fetch(&[format!("http://localhost:{port}")], &expected).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Address { .. }), "{error:?}");
    assert_eq!(error.attempt, 1, "it is not tried again");
    let error = bench.fetch(&["file:///etc/hostname".into()], &expected).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Url { .. }), "{error:?}");
    assert!(bench.server.asked().is_empty());
    // A source within may lead to what is within, but not to the metadata of a cloud.
    bench.source.url = bench.server.at("/list");
    bench.file(b"abc").await.unwrap();
    bench.server.answers("/file", vec![Answer::Redirect("http://169.254.169.254/x".into())]);
    let error = bench.file(b"abc").await.unwrap_err();
    assert!(matches!(error.reason, Reason::Address { .. }), "{error:?}");
    bench.server.answers("/file", vec![Answer::Redirect("file:///etc/hostname".into())]);
    let error = bench.file(b"abc").await.unwrap_err();
    assert!(matches!(error.reason, Reason::Url { .. }), "{error:?}");
    bench.server.answers("/file", vec![Answer::Redirect(internal)]);
    let error = bench.file(b"abc").await.unwrap_err();
    assert!(matches!(error.reason, Reason::Redirections { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_from_outside_does_not_lead_in() {
    // The proxy answers for a host on the open internet.
    let mut bench = Bench::new().await;
    bench.source.url = "http://192.0.2.1/list".into();
    bench.source.settings.proxy_url = Some(bench.server.url.clone());
    let target = bench.server.at("/secret");
    bench.server.answers("http://192.0.2.1/file", vec![Answer::Redirect(target.clone())]);
    let (urls, expected) = (["http://192.0.2.1/file".to_owned()], Expected::default());
    let error = bench.fetch(&urls, &expected).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Address { .. }), "{error:?}");
    bench.source.settings.any_address = true;
    bench.server.bytes(&target, b"abc");
    bench.fetch(&urls, &expected).await.unwrap();
}

#[tokio::test]
async fn files_are_read_below_the_source_only() {
    let mut bench = Bench::new().await;
    let directory = bench.directory.path().join("mirror");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("file"), large()).unwrap();
    std::fs::write(bench.directory.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink("../secret", directory.join("link")).unwrap();
    bench.source.url = format!("file://{}/list", directory.display());
    let at = |name: &str| [format!("file://{}/{name}", directory.display())];
    let expected = Expected::sha256(&sha256(&large()), Some(700_000));
    bench.fetch(&at("file"), &expected).await.unwrap();
    for name in ["link", "../secret", "%2e%2e/secret", ""] {
        let error = bench.fetch(&at(name), &Expected::default()).await.unwrap_err();
        assert!(matches!(error.reason, Reason::Read(_)), "{name}: {error:?}");
    }
    let shorter = Expected { size: Some(5), ..Expected::default() };
    let error = bench.fetch(&at("file"), &shorter).await.unwrap_err();
    assert!(matches!(error.reason, Reason::TooLong { expected: 5 }), "{error:?}");
}

#[tokio::test]
async fn pages_are_bounded_also_when_packed() {
    let bench = Bench::new().await;
    let client = Client::new(&bench.source).await.unwrap();
    let (urls, expected) = ([bench.server.at("/page")], Expected::default());
    let mut request = Request { most: 100_000, ..Request::new(&urls, &expected) };
    let packed = |bytes: &[u8]| {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
        let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let length = compressor.gzip_compress(bytes, &mut packed).unwrap();
        packed.truncate(length);
        packed
    };
    let gzip = "Content-Encoding: gzip\r\n";
    bench.server.answers("/page", vec![Answer::Plain(packed(&[7; 90_000]), gzip)]);
    let page = client.page(&request).await.unwrap().unwrap();
    assert_eq!(page.bytes, [7; 90_000]);
    // A bomb: it unpacks to a thousand times its size.
    bench.server.answers("/page", vec![Answer::Plain(packed(&vec![0; 50_000_000]), gzip)]);
    let error = client.page(&request).await.unwrap_err();
    assert!(matches!(error.reason, Reason::TooLarge { most: 100_000 }), "{error:?}");
    bench.server.answers("/page", vec![Answer::Endless]);
    let error = client.page(&request).await.unwrap_err();
    assert!(matches!(error.reason, Reason::TooLarge { most: 100_000 }), "{error:?}");
    // Unchanged.
    bench.server.bytes("/page", b"abc");
    let page = client.page(&request).await.unwrap().unwrap();
    request.known = &page.validators;
    assert!(client.page(&request).await.unwrap().is_none());
}

#[tokio::test]
async fn requests_keep_their_limits() {
    let mut bench = Bench::new().await;
    bench.server.bytes("/file", b"abc");
    bench.server.delay(Duration::from_millis(20));
    bench.source.settings.concurrency = 3;
    let client = Client::new(&bench.source).await.unwrap();
    let (urls, expected) = ([bench.server.at("/file")], Expected::default());
    let fetches = (0..12).map(|_| async {
        client.page(&Request::new(&urls, &expected)).await.unwrap();
    });
    futures_util::future::join_all(fetches).await;
    assert_eq!(bench.server.at_once_most(), 3);
    bench.source.settings.rate_limit = Some(50);
    let client = Client::new(&bench.source).await.unwrap();
    let begun = std::time::Instant::now();
    let fetches = (0..6).map(|_| async {
        client.page(&Request::new(&urls, &expected)).await.unwrap();
    });
    futures_util::future::join_all(fetches).await;
    assert!(begun.elapsed() >= Duration::from_millis(100), "six, 20 ms apart");
}
