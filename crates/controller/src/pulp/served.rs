//! The content app: what is below `/pulp/content/`.
//!
//! A path is looked up in one reading transaction of a few indexed queries. A file is sent from the disk in large pieces, each
//! read on a thread that may block, the next one while one is on its way. Its entity tag is its SHA-256, so it never changes;
//! a request with `HEAD` reads nothing.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, stream};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::task::JoinHandle;
use tutti_content::fetch::Wanted;
use tutti_content::serve::{self, Entry, Found, Served};

use super::refusal::Refusal;
use crate::http::sentence;
use crate::state::{Shared, State};

/// Bytes read at a time.
const PIECE: u64 = 512 * 1024;

/// What a client may keep, as long as it asks again before it uses it.
const CACHED: &str = "public, max-age=0, must-revalidate";

/// What is not written as it is in the path of an address.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/pulp/content/", get(root)).route("/pulp/content/{*path}", get(find))
}

async fn root(state: Shared, uri: OriginalUri, method: Method, headers: HeaderMap) -> Response {
    find(state, Path(String::new()), uri, method, headers).await
}

async fn find(
    Extract(state): Shared,
    Path(path): Path<String>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let asked = path.clone();
    let found = state.store.read(move |tx| serve::find(tx, &asked)).await;
    match found {
        Ok(Found::File(file)) => match send(&state, &file, &method, &headers).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        },
        Ok(Found::Directory(entries, is_all)) => page(&path, &entries, is_all),
        Ok(Found::WithSlash) => {
            let to = format!("{}/", uri.path());
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response()
        }
        Ok(Found::Nothing) => nothing(),
        Err(error) => Refusal::from(error).into_response(),
    }
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "404: Not Found").into_response()
}

/// Sends a file, or the part of it that is wanted.
pub(super) async fn send(
    state: &State,
    file: &Served,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (Some(digest), Some(size), true) = (&file.digest, file.size, file.is_stored) else {
        return fetch(state, file, method, headers).await;
    };
    let tag = format!("\"{digest}\"");
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), file, &tag, size);
    if is_known(headers, &tag, file.created) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        return Ok(response);
    }
    let (from, until) = match part(headers, &tag, file.created, size) {
        Part::All => (0, size),
        Part::Of(from, until) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {from}-{}/{size}", until - 1);
            insert(response.headers_mut(), header::CONTENT_RANGE, &range);
            insert(response.headers_mut(), header::CONTENT_LENGTH, &(until - from).to_string());
            (from, until)
        }
        Part::None => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
            insert(response.headers_mut(), header::CONTENT_LENGTH, "0");
            return Ok(response);
        }
    };
    if method != Method::HEAD {
        match read(state.artifacts.path(digest), from, until).await {
            Ok(body) => *response.body_mut() = body,
            Err(error) => {
                tracing::error!(digest, %error, "a stored file cannot be read");
                let text = "The stored file cannot be read; it has to be repaired.";
                return Err(Refusal::detail(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
        }
    }
    Ok(response)
}

/// Hands out a file that is not here while it is fetched, and is kept then if its remote says so. With `HEAD` only what is
/// known of it is said.
async fn fetch(
    state: &State,
    file: &Served,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let asked = file.clone();
    let offers = state.store.read(move |tx| super::sync::offers(tx, &asked)).await?;
    let (Some(unit), false) = (file.unit, offers.is_empty()) else { return Ok(nothing()) };
    let mut response = Response::new(Body::empty());
    let tag = file.digest.as_ref().map(|digest| format!("\"{digest}\""));
    describe(
        response.headers_mut(),
        file,
        tag.as_deref().unwrap_or_default(),
        file.size.unwrap_or_default(),
    );
    let lines = response.headers_mut();
    // Only what is here can be sent in parts.
    lines.remove(header::ACCEPT_RANGES);
    if tag.is_none() {
        lines.remove(header::ETAG);
    }
    if file.size.is_none() {
        lines.remove(header::CONTENT_LENGTH);
        lines.remove("x-pulp-artifact-size");
    }
    if tag.is_some_and(|tag| is_known(headers, &tag, file.created)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        return Ok(response);
    }
    if method == Method::HEAD {
        return Ok(response);
    }
    let wanted =
        Wanted { unit, path: file.path.clone(), digest: file.digest.clone(), size: file.size };
    match state.fetcher.open(wanted, offers).await {
        Ok(reading) => *response.body_mut() = Body::from_stream(reading.into_stream()),
        Err(error) => {
            tracing::warn!(path = file.path, error = %sentence(&error), "a file could not be fetched");
            return Err(Refusal::detail(StatusCode::BAD_GATEWAY, sentence(&error)));
        }
    }
    Ok(response)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What is inserted has no letters that a header may not have.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What is said of a file, whatever is sent of it.
fn describe(headers: &mut HeaderMap, file: &Served, tag: &str, size: u64) {
    insert(headers, header::CONTENT_TYPE, media_type(&file.path));
    insert(headers, header::CONTENT_LENGTH, &size.to_string());
    insert(headers, header::ETAG, tag);
    insert(headers, header::LAST_MODIFIED, &http_date(file.created));
    insert(headers, header::ACCEPT_RANGES, "bytes");
    insert(headers, header::CACHE_CONTROL, CACHED);
    insert(headers, HeaderName::from_static("x-pulp-artifact-size"), &size.to_string());
}

/// Whether the client has it (RFC 9110, 13.2.2).
fn is_known(headers: &HeaderMap, tag: &str, created: i64) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::IF_NONE_MATCH) {
        Some(tags) => tags
            .split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.trim_start_matches("W/") == tag),
        None => text(header::IF_MODIFIED_SINCE)
            .and_then(date)
            .is_some_and(|seen| created / 1_000_000 <= seen),
    }
}

/// What is wanted of a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    /// From the first to before the second.
    Of(u64, u64),
    /// Nothing that it has.
    None,
}

/// One range is understood; of several, or none that is one, all is sent (RFC 9110, 14.2).
fn part(headers: &HeaderMap, tag: &str, created: i64, size: u64) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Part::All;
    };
    let is_same =
        |seen: &str| seen == tag || date(seen).is_some_and(|seen| seen == created / 1_000_000);
    if text(header::IF_RANGE).is_some_and(|seen| !is_same(seen)) {
        return Part::All;
    }
    let Some((first, last)) = range.split_once('-').filter(|_| !range.contains(',')) else {
        return Part::All;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    let (from, until) = match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Ok(last) => (size.saturating_sub(last), if last == 0 { 0 } else { size }),
            Err(_) => return Part::All,
        },
        (first, "") => match number(first) {
            Ok(first) => (first, size),
            Err(_) => return Part::All,
        },
        (first, last) => match (number(first), number(last)) {
            (Ok(first), Ok(last)) if first <= last => (first, size.min(last.saturating_add(1))),
            _ => return Part::All,
        },
    };
    if from < until { Part::Of(from, until) } else { Part::None }
}

/// The bytes of a file. What is short is read at once.
async fn read(path: PathBuf, from: u64, until: u64) -> std::io::Result<Body> {
    let opened = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
        }
        piece(file, until - from)
    });
    let (file, bytes) = opened.await.map_err(std::io::Error::other)??;
    let left = (until - from).saturating_sub(bytes.len() as u64);
    if left == 0 {
        return Ok(Body::from(bytes));
    }
    Ok(Body::from_stream(pieces(file, bytes, left)))
}

type Piece = std::io::Result<(File, Bytes)>;

/// What is left of a file behind its first piece, each piece read while the one before is sent.
fn pieces(file: File, first: Bytes, left: u64) -> impl Stream<Item = std::io::Result<Bytes>> {
    let next = |file: File, left: u64| -> Option<JoinHandle<Piece>> {
        (left > 0).then(|| tokio::task::spawn_blocking(move || piece(file, left)))
    };
    let begin = (Some(first), next(file, left), left);
    stream::try_unfold(begin, move |(ready, reading, left)| async move {
        if let Some(bytes) = ready {
            return Ok(Some((bytes, (None, reading, left))));
        }
        let Some(reading) = reading else { return Ok(None) };
        let (file, bytes) = reading.await.map_err(std::io::Error::other)??;
        let left = left.saturating_sub(bytes.len() as u64);
        Ok(Some((bytes, (None, next(file, left), left))))
    })
}

/// The next piece of a file. Blocks.
fn piece(mut file: File, left: u64) -> Piece {
    let wanted = left.min(PIECE);
    let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
    file.by_ref().take(wanted).read_to_end(&mut bytes)?;
    if bytes.is_empty() && left > 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, bytes.into()))
}

/// A directory as a page: a line for each entry, columns of a fixed width.
fn page(path: &str, entries: &[Entry], is_all: bool) -> Response {
    let title = escaped(&format!("/{path}"));
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>Index of {title}</title></head>\n<body>\n<h1>Index of {title}</h1>\n<hr><pre>"
    );
    if !path.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    for entry in entries {
        let slash = if entry.is_directory { "/" } else { "" };
        let name = format!("{}{slash}", entry.name);
        let address = utf8_percent_encode(&name, ENCODED).to_string();
        // A colon in the first segment would make it another scheme.
        let address = if name.contains(':') { format!("./{address}") } else { address };
        let gap = " ".repeat(60_usize.saturating_sub(name.chars().count()).max(1));
        let time = entry.created.map(super::time).unwrap_or_default();
        let time = time.get(..16).unwrap_or_default().replace('T', " ");
        let size = entry.size.map(|size| size.to_string()).unwrap_or_default();
        let (address, name) = (escaped(&address), escaped(&name));
        // Writing to a string succeeds.
        let _ = writeln!(page, "<a href=\"{address}\">{name}</a>{gap}{time:16} {size:>20}");
    }
    if !is_all {
        let _ = writeln!(page, "… and more than {} others", entries.len());
    }
    page.push_str("</pre><hr>\n</body>\n</html>\n");
    let kind =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (kind, page).into_response()
}

/// Text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A path as it stands in an address.
pub(super) fn encoded(path: &str) -> String {
    utf8_percent_encode(path, ENCODED).to_string()
}

/// A time as HTTP writes it.
fn http_date(microseconds: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A time as HTTP writes it, in seconds.
fn date(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(time.timestamp().as_second())
}

/// What a file is, by how its name ends.
fn media_type(path: &str) -> &'static str {
    const KNOWN: &[(&str, &str)] = &[
        ("css", "text/css"),
        ("csv", "text/csv"),
        ("deb", "application/vnd.debian.binary-package"),
        ("gif", "image/gif"),
        ("htm", "text/html"),
        ("html", "text/html"),
        ("jpeg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("js", "text/javascript"),
        ("json", "application/json"),
        ("md", "text/markdown"),
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("rpm", "application/x-rpm"),
        ("svg", "image/svg+xml"),
        ("tar", "application/x-tar"),
        ("txt", "text/plain"),
        ("wasm", "application/wasm"),
        ("xml", "text/xml"),
        ("yaml", "application/yaml"),
        ("yml", "application/yaml"),
        ("zip", "application/zip"),
    ];
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let found = ending.and_then(|ending| KNOWN.iter().find(|(known, _)| *known == ending));
    found.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: i64 = 1_786_442_400_123_456;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_part_that_is_wanted() {
        for (range, expected) in [
            ("bytes=0-9", Part::Of(0, 10)),
            ("bytes=10-", Part::Of(10, 100)),
            ("bytes=-10", Part::Of(90, 100)),
            ("bytes=-1000", Part::Of(0, 100)),
            ("bytes=90-1000", Part::Of(90, 100)),
            ("bytes=99-99", Part::Of(99, 100)),
            ("bytes=100-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=9-0", Part::All),
            ("bytes=0-1,5-6", Part::All),
            ("bytes=x-", Part::All),
            ("lines=0-1", Part::All),
        ] {
            let headers = headers(&[(header::RANGE, range)]);
            assert_eq!(part(&headers, "\"a\"", CREATED, 100), expected, "{range}");
        }
        let changed = |seen| headers(&[(header::RANGE, "bytes=0-9"), (header::IF_RANGE, seen)]);
        assert_eq!(part(&changed("\"b\""), "\"a\"", CREATED, 100), Part::All);
        assert_eq!(part(&changed("\"a\""), "\"a\"", CREATED, 100), Part::Of(0, 10));
        assert_eq!(part(&changed(&http_date(CREATED)), "\"a\"", CREATED, 100), Part::Of(0, 10));
    }

    #[test]
    fn what_the_client_has() {
        assert_eq!(http_date(CREATED), "Tue, 11 Aug 2026 10:00:00 GMT");
        for (name, value, expected) in [
            (header::IF_NONE_MATCH, "\"a\"", true),
            (header::IF_NONE_MATCH, "W/\"b\", W/\"a\"", true),
            (header::IF_NONE_MATCH, "*", true),
            (header::IF_NONE_MATCH, "\"b\"", false),
            (header::IF_MODIFIED_SINCE, "Tue, 11 Aug 2026 10:00:00 GMT", true),
            (header::IF_MODIFIED_SINCE, "Tue, 11 Aug 2026 09:59:59 GMT", false),
            (header::IF_MODIFIED_SINCE, "yesterday", false),
        ] {
            assert_eq!(
                is_known(&headers(&[(name.clone(), value)]), "\"a\"", CREATED),
                expected,
                "{name} {value}"
            );
        }
        let both = headers(&[
            (header::IF_NONE_MATCH, "\"b\""),
            (header::IF_MODIFIED_SINCE, "Tue, 11 Aug 2026 10:00:00 GMT"),
        ]);
        assert!(!is_known(&both, "\"a\"", CREATED));
    }

    #[test]
    fn pages_say_nothing_but_names() {
        assert_eq!(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;");
        assert_eq!(encoded("a b/ä?#%"), "a%20b/%C3%A4%3F%23%25");
        assert_eq!(media_type("d/X.JSON"), "application/json");
        assert_eq!(media_type("d.json/x"), "application/octet-stream");
    }
}
