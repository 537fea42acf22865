//! A configuration by http.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// As in Python.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No honest configuration is larger.
const BYTES_MAX: usize = 1 << 20;

/// The text at `url`, and whether the server says that it is JSON.
pub(super) async fn fetch(url: &str) -> Result<(String, bool), String> {
    match tokio::time::timeout(TIMEOUT, fetch_slowly(url)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

async fn fetch_slowly(url: &str) -> Result<(String, bool), String> {
    let uri: Uri = url.parse().map_err(|error| format!("it is no URL ({error})"))?;
    if uri.scheme_str() != Some("http") {
        return Err(
            "only http is spoken here, without TLS: fetch the file by other means".to_owned()
        );
    }
    let host = uri.host().ok_or("the URL names no host")?.to_owned();
    let authority =
        uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(in_words)?;
    if !response.status().is_success() {
        return Err(format!("the server answered {}", response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.contains("json"));
    let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
    driver.abort();
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    String::from_utf8(body.into()).map(|text| (text, is_json)).map_err(|error| error.to_string())
}

fn in_words(error: hyper::Error) -> String {
    error.to_string()
}
