//! A content unit as it is shown, whatever its type.

use serde::Serialize;
use serde_json::Value;

/// A content unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unit {
    /// Where it is: a relative path, or the name of a package's file.
    pub(super) path: String,
    /// Of a package.
    pub(super) version: Option<String>,
    /// Bytes, if known.
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
    #[serde(skip)]
    pub(super) href: String,
}

impl Unit {
    /// A unit of Pulp's lists.
    pub(super) fn read(value: &Value) -> Self {
        let text =
            |name: &str| value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            path: text("filename").or_else(|| text("relative_path")).unwrap_or_default(),
            version: text("version"),
            size: value["size"].as_u64(),
            sha256: text("sha256"),
            href: text("pulp_href").unwrap_or_default(),
        }
    }
}

/// Bytes for people.
pub(super) fn bytes(size: u64) -> String {
    indicatif::HumanBytes(size).to_string()
}
