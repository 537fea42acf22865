//! What the pages of an index say, as JSON (PEP 691, 700, 714) or HTML (PEP 503, 592, 658).

use serde::Deserialize;
use serde_json::Value;

use super::html::links;
use crate::digest::{Algorithm, Digests};

/// A file of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub filename: String,
    /// Where it is, relative to the page.
    pub url: String,
    /// Digests that can be checked.
    pub digests: Digests,
    /// Bytes.
    pub size: Option<u64>,
    /// Which Pythons it is for.
    pub requires_python: Option<String>,
    /// Why it was taken back, if it was; there may be no reason.
    pub yanked: Option<String>,
    /// Whether its metadata can be fetched by itself, with its digests.
    pub core_metadata: Option<Digests>,
    /// When it was uploaded (RFC 3339).
    pub upload_time: Option<String>,
}

#[derive(Deserialize)]
struct ProjectsPage {
    projects: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct ProjectPage {
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Value,
    #[serde(default)]
    size: Option<i64>,
    #[serde(default)]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: Value,
    #[serde(default)]
    core_metadata: Value,
    #[serde(default)]
    data_dist_info_metadata: Value,
    #[serde(default)]
    upload_time: Option<String>,
}

/// The names of all projects.
///
/// # Errors
/// Why the page cannot be read.
pub fn projects(content_type: &str, page: &[u8]) -> Result<Vec<String>, String> {
    if is_json(content_type, page) {
        let page: ProjectsPage = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        return Ok(page.projects.into_iter().map(|project| project.name).collect());
    }
    let page = text(page)?;
    Ok(links(page).into_iter().map(|link| link.text).filter(|text| !text.is_empty()).collect())
}

/// The files of a project.
///
/// # Errors
/// Why the page cannot be read.
pub fn files(content_type: &str, page: &[u8]) -> Result<Vec<File>, String> {
    if is_json(content_type, page) {
        let page: ProjectPage = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        return Ok(page.files.into_iter().map(JsonFile::file).collect());
    }
    let page = text(page)?;
    // A page of errors has no links, and so would a project without files.
    if !page.to_ascii_lowercase().contains("<html") && !page.contains("<a ") {
        return Err("it is no page of an index".to_owned());
    }
    let file = |link: super::html::Link| {
        let href = link.attribute("href")?.to_owned();
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        let metadata = link.attribute("data-core-metadata");
        let metadata = metadata.or_else(|| link.attribute("data-dist-info-metadata"));
        let text = |name: &str| link.attribute(name).map(str::to_owned);
        Some(File {
            filename: link.text.clone(),
            url: url.to_owned(),
            digests: digest_of(fragment),
            size: None,
            requires_python: text("data-requires-python"),
            yanked: text("data-yanked"),
            core_metadata: metadata.filter(|metadata| *metadata != "false").map(digest_of),
            upload_time: None,
        })
    };
    Ok(links(page).into_iter().filter_map(file).collect())
}

impl JsonFile {
    fn file(self) -> File {
        let metadata = if self.core_metadata.is_null() {
            self.data_dist_info_metadata
        } else {
            self.core_metadata
        };
        File {
            filename: self.filename,
            url: self.url,
            digests: digests(&self.hashes),
            size: self.size.and_then(|size| u64::try_from(size).ok()),
            requires_python: self.requires_python,
            yanked: match self.yanked {
                Value::Bool(true) => Some(String::new()),
                Value::String(reason) => Some(reason),
                _ => None,
            },
            core_metadata: match metadata {
                Value::Bool(true) => Some(Digests::new()),
                Value::Object(_) => Some(digests(&metadata)),
                _ => None,
            },
            upload_time: self.upload_time,
        }
    }
}

/// Those that can be checked.
fn digests(hashes: &Value) -> Digests {
    let known = |(name, value): (&String, &Value)| {
        Some((Algorithm::of(name)?, value.as_str()?.to_ascii_lowercase()))
    };
    hashes.as_object().into_iter().flatten().filter_map(known).collect()
}

/// `sha256=…`.
fn digest_of(text: &str) -> Digests {
    let digest = text
        .split_once('=')
        .and_then(|(name, value)| Some((Algorithm::of(name)?, value.to_ascii_lowercase())));
    digest.into_iter().collect()
}

fn is_json(content_type: &str, page: &[u8]) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.is_empty() { page.trim_ascii_start().starts_with(b"{") } else { kind.ends_with("json") }
}

fn text(page: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(page).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let json = br#"{"meta": {"api-version": "1.1"}, "name": "a", "files": [
            {"filename": "a-1.tar.gz", "url": "../a-1.tar.gz", "hashes": {"sha256": "AB", "md5": "00"},
             "requires-python": ">=3.8,<4", "yanked": "broken", "core-metadata": {"sha256": "cd"}},
            {"filename": "b", "url": "b", "hashes": {}, "yanked": false, "core-metadata": false},
            {"filename": "c", "url": "c", "hashes": {}, "yanked": true, "data-dist-info-metadata": true}]}"#;
        let html = br#"<!DOCTYPE html><html><body><h1>a</h1>
            <a href="../a-1.tar.gz#sha256=ab" data-requires-python="&gt;=3.8,&lt;4" data-yanked="broken"
               data-core-metadata='sha256=cd' >a-1.tar.gz</a><br />
            <A HREF=b>b</A><a href="c" data-yanked data-dist-info-metadata="true"> c </a></body></html>"#;
        let from_json = files("application/vnd.pypi.simple.v1+json", json).unwrap();
        assert_eq!(from_json, files("text/html; charset=utf-8", html).unwrap());
        assert_eq!(from_json, files("", json).unwrap());
        assert_eq!(from_json[0].digests[&Algorithm::Sha256], "ab");
        assert_eq!(from_json[0].yanked.as_deref(), Some("broken"));
        assert_eq!(from_json[2].core_metadata, Some(Digests::new()));
    }

    #[test]
    fn projects_are_listed() {
        let json = br#"{"projects": [{"name": "A"}, {"name": "b"}]}"#;
        let html = b"<html><a href='/simple/a/'>A</a><a href='b/'>b</a></html>";
        assert_eq!(projects("application/json", json).unwrap(), ["A", "b"]);
        assert_eq!(projects("text/html", html).unwrap(), ["A", "b"]);
    }

    #[test]
    fn garbage_is_no_page() {
        for (kind, page) in [
            ("application/json", &b"<html>"[..]),
            ("application/json", b"{\"files\": 1}"),
            ("text/html", b"\xff"),
            ("text/html", b"Service unavailable"),
            ("", b""),
        ] {
            assert!(files(kind, page).is_err(), "{kind}");
        }
    }
}
