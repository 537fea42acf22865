//! What a wheel says of itself: the file `METADATA` in it, which installers like to have without the rest (PEP 658).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

/// The longest that is believed to be metadata, bytes.
const LENGTH_MAX: u64 = 4 * 1024 * 1024;

/// Headers that units keep, and how they call them.
const KEPT: &[(&str, &str)] = &[
    ("metadata-version", "metadata_version"),
    ("name", "name"),
    ("version", "version"),
    ("summary", "summary"),
    ("requires-python", "requires_python"),
    ("author", "author"),
    ("author-email", "author_email"),
    ("license", "license"),
    ("home-page", "home_page"),
    ("keywords", "keywords"),
];

/// The metadata of a wheel; none if it has none that can be read. Blocks.
pub(super) fn metadata(wheel: &Path) -> Option<String> {
    let mut archive = zip::ZipArchive::new(File::open(wheel).ok()?).ok()?;
    let is_metadata = |name: &str| matches!(name.split_once('/'), Some((directory, "METADATA")) if directory.ends_with(".dist-info"));
    let mut names = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned());
    let name = names.find(|name| is_metadata(name))?;
    drop(names);
    let mut text = String::new();
    let mut file = archive.by_name(&name).ok()?.take(LENGTH_MAX + 1);
    file.read_to_string(&mut text).ok()?;
    (text.len() as u64 <= LENGTH_MAX).then_some(text)
}

/// Adds what the metadata says to what is not known of a unit.
pub(super) fn complete(known: &mut Map<String, Value>, metadata: &str) {
    let headers = metadata.lines().take_while(|line| !line.is_empty());
    for line in headers.filter(|line| !line.starts_with([' ', '\t'])) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.to_ascii_lowercase();
        let Some((_, field)) = KEPT.iter().find(|(header, _)| *header == name) else { continue };
        let is_known =
            known.get(*field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !is_known {
            known.insert((*field).to_owned(), value.trim().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_wheel_tells_what_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for (name, text) in [
            ("a/METADATA", "Name: other\n"),
            (
                "x-1.dist-info/METADATA",
                "Name: X\nVersion: 1\nRequires-Python: >=3.8\n folded\n\nName: body\n",
            ),
        ] {
            archive.start_file(name, options).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let Value::Object(mut known) = json!({"name": "x", "version": ""}) else { return };
        complete(&mut known, &metadata(&path).unwrap());
        assert_eq!(
            Value::Object(known),
            json!({"name": "x", "version": "1", "requires_python": ">=3.8"})
        );
        std::fs::write(&path, "no archive").unwrap();
        assert_eq!(metadata(&path), None);
    }
}
