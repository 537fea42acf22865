//! What a request for a change says besides its body: whom it is about, under which conditions,
//! and how long its answer may take.
//!
//! Headers that make no sense are refused, except `Prefer`: what a server does not understand of it
//! is not preferred (RFC 7240).

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};

use super::resource::Resource;
use crate::Error;
use crate::flows::trace;

/// The longest a request is held for its flow.
const WAIT: Duration = Duration::from_mins(1);

/// The longest `Idempotency-Key`, bytes.
const KEY: usize = 255;

/// One request for a change.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Method, path and query.
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// What the path is about; none for collections of the controller.
    pub(super) resource: Option<Resource>,
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// `If-Match`.
    pub(super) if_match: Option<Tags>,
    /// `expect_generation`, of the query or the body.
    pub(super) expect_generation: Option<i64>,
    /// `Prefer: wait`.
    pub(super) wait: Option<Duration>,
    /// `traceparent`, or one of our own.
    pub(super) trace: String,
}

impl Call {
    pub(super) fn read(parts: &Parts) -> Result<Self, Error> {
        let (headers, uri) = (&parts.headers, &parts.uri);
        Ok(Self {
            resource: Resource::of_path(uri.path()),
            key: key(headers)?,
            if_match: text(headers, &header::IF_MATCH)?.map(Tags::read).transpose()?,
            expect_generation: expected(uri.query().unwrap_or_default())?,
            wait: wait(headers),
            trace: trace::of_request(headers),
            method: parts.method.clone(),
            uri: uri.clone(),
        })
    }

    /// Tells this request from others with the same key, given the digest of its body.
    pub(super) fn fingerprint(&self, body: &str) -> String {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        digest(format!("{} {path}\n{body}", self.method).as_bytes())
    }
}

/// SHA-256 as hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Entity tags of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `*`.
    Any,
    /// The tags, in quotes.
    These(Vec<String>),
}

impl Tags {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let tag = |tag: &str| {
            let tag = tag.trim();
            let bare = tag.strip_prefix("W/").unwrap_or(tag);
            let quoted = bare.len() > 1 && bare.starts_with('"') && bare.ends_with('"');
            let refused = || Error::Invalid(format!("{tag} is no entity tag: \"…\" is one"));
            quoted.then(|| tag.to_owned()).ok_or_else(refused)
        };
        Ok(Self::These(text.split(',').map(tag).collect::<Result<_, _>>()?))
    }

    /// Compared strongly: a weak tag matches nothing (RFC 9110, `If-Match`).
    pub(super) fn match_strongly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|one| one == tag),
        }
    }

    /// Compared weakly (RFC 9110, `If-None-Match`).
    pub(super) fn match_weakly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|one| one.trim_start_matches("W/") == tag),
        }
    }
}

/// The text of a header; several of its lines are not one list here.
pub(super) fn text<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h str>, Error> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(name) {
            true => Err(Error::Invalid(format!("the header {name} is there more than once"))),
            false => Ok(None),
        };
    };
    let refused = |_| Error::Invalid(format!("the header {name} is not visible ASCII"));
    value.to_str().map(Some).map_err(refused)
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(key) = text(headers, &HeaderName::from_static("idempotency-key"))? else {
        return Ok(None);
    };
    match key.len() {
        1..=KEY => Ok(Some(key.to_owned())),
        _ => Err(Error::Invalid(format!("an Idempotency-Key has 1 to {KEY} characters"))),
    }
}

/// `expect_generation` of a query.
fn expected(query: &str) -> Result<Option<i64>, Error> {
    let mut found = None;
    for pair in query.split('&') {
        if let Some(text) = pair.strip_prefix("expect_generation=") {
            let refused =
                |_| Error::Invalid(format!("expect_generation: {text:?} is no generation"));
            found = Some(text.parse().map_err(refused)?);
        }
    }
    Ok(found)
}

/// The wait of `Prefer: respond-async, wait=10`, the first one if there are several.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = lines.flat_map(|line| line.split(','));
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then_some(value)?.parse().ok()
    })?;
    let wait = Duration::from_secs(seconds).min(WAIT);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn the_wait_that_is_preferred() {
        for (lines, seconds) in [
            (&[("prefer", "wait=10")][..], Some(10)),
            (&[("prefer", "respond-async, Wait = \"5\"; x=1")], Some(5)),
            (&[("prefer", "respond-async"), ("prefer", "wait=7")], Some(7)),
            (&[("prefer", "wait=3600")], Some(60)),
            (&[("prefer", "wait=0")], None),
            (&[("prefer", "wait=soon")], None),
            (&[("prefer", "respond-async")], None),
            (&[], None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        let tags = Tags::read("\"a\", W/\"b\"").unwrap();
        assert!(tags.match_strongly("\"a\"") && tags.match_weakly("\"a\""));
        assert!(!tags.match_strongly("\"b\"") && tags.match_weakly("\"b\""));
        assert!(!tags.match_weakly("\"c\""));
        assert!(Tags::read("*").unwrap().match_strongly("\"c\""));
        for text in ["", "a", "\"", "\"a\",", "W/a"] {
            assert!(Tags::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        let long = "k".repeat(KEY + 1);
        for (name, value) in [("idempotency-key", ""), ("idempotency-key", long.as_str())] {
            assert!(key(&headers(&[(name, value)])).is_err(), "{value}");
        }
        assert!(key(&headers(&[("idempotency-key", "a"), ("idempotency-key", "b")])).is_err());
        let longest = "k".repeat(KEY);
        assert_eq!(key(&headers(&[("idempotency-key", &longest)])).unwrap(), Some(longest));
        assert_eq!(key(&headers(&[])).unwrap(), None);
        assert_eq!(expected("force=true&expect_generation=3").unwrap(), Some(3));
        assert!(expected("expect_generation=x").is_err());
    }
}
