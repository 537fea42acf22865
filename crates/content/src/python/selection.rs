//! Which projects and files of an index are wanted.
//!
//! The settings have Pulp's names: `includes` and `excludes` (requirements: a name, with versions or without),
//! `prereleases`, `package_types`, `keep_latest_packages`, `exclude_platforms`.

use std::{collections::HashMap, str::FromStr};

use pep440_rs::{Version, VersionSpecifiers};
use serde::{Deserialize, Deserializer};

use super::{
    distribution::{Distribution, normalised},
    index::File,
};

/// Settings that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum BadSelection {
    /// They are of another form.
    #[error("the remote's settings cannot be read")]
    Form(#[from] serde_json::Error),
    /// A requirement is none.
    #[error("{0:?} is no requirement of a project, with versions or without")]
    Requirement(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(deserialize_with = "or_default")]
    includes: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    excludes: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    prereleases: bool,
    #[serde(deserialize_with = "or_default")]
    package_types: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    keep_latest_packages: usize,
    #[serde(deserialize_with = "or_default")]
    exclude_platforms: Vec<String>,
}

/// Null says as much as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Which projects and files are wanted.
#[derive(Debug, Default)]
pub struct Selection {
    includes: HashMap<String, Vec<VersionSpecifiers>>,
    excludes: HashMap<String, Vec<VersionSpecifiers>>,
    prereleases: bool,
    package_types: Vec<String>,
    keep_latest: usize,
    exclude_platforms: Vec<String>,
}

impl Selection {
    /// By a remote's settings.
    ///
    /// # Errors
    /// [`BadSelection`].
    pub fn of(settings: &serde_json::Value) -> Result<Self, BadSelection> {
        let settings: Option<Settings> = Option::deserialize(settings)?;
        let settings = settings.unwrap_or_default();
        Ok(Self {
            includes: requirements(&settings.includes)?,
            excludes: requirements(&settings.excludes)?,
            prereleases: settings.prereleases,
            package_types: settings.package_types,
            keep_latest: settings.keep_latest_packages,
            exclude_platforms: settings.exclude_platforms,
        })
    }

    /// The projects that are asked for, in order; none: all that there are.
    #[must_use]
    pub fn named(&self) -> Option<Vec<String>> {
        if self.includes.is_empty() {
            return None;
        }
        let mut named: Vec<String> = self.includes.keys().cloned().collect();
        named.retain(|project| self.wants_project(project));
        named.sort_unstable();
        Some(named)
    }

    /// Whether anything of a project is wanted.
    #[must_use]
    pub fn wants_project(&self, project: &str) -> bool {
        let is_included = self.includes.is_empty() || self.includes.contains_key(project);
        let excluded = self.excludes.get(project);
        let is_excluded =
            excluded.is_some_and(|all| all.iter().any(|versions| versions.is_empty()));
        is_included && !is_excluded
    }

    /// Those of a project's files that are wanted.
    #[must_use]
    pub fn selected(
        &self,
        project: &str,
        mut files: Vec<(File, Distribution)>,
    ) -> Vec<(File, Distribution)> {
        files.retain(|(_, distribution)| self.wants(project, distribution));
        if self.keep_latest > 0 {
            let mut versions: Vec<Version> =
                files.iter().map(|(_, distribution)| distribution.version.clone()).collect();
            versions.sort_unstable_by(|a, b| b.cmp(a));
            versions.dedup();
            if let Some(oldest) = versions.get(self.keep_latest - 1) {
                files.retain(|(_, distribution)| distribution.version >= *oldest);
            }
        }
        files
    }

    fn wants(&self, project: &str, distribution: &Distribution) -> bool {
        let version = &distribution.version;
        let any =
            |all: &Vec<VersionSpecifiers>| all.iter().any(|versions| versions.contains(version));
        let kind = distribution.kind.name();
        (self.includes.is_empty() || self.includes.get(project).is_some_and(any))
            && !self.excludes.get(project).is_some_and(any)
            && (self.prereleases || !version.any_prerelease())
            && (self.package_types.is_empty() || self.package_types.iter().any(|one| one == kind))
            && !self.exclude_platforms.iter().any(|one| is_for(distribution, one))
    }
}

/// Whether a distribution is built for a platform: `windows`, `macos`, `freebsd`, `linux`.
fn is_for(distribution: &Distribution, platform: &str) -> bool {
    let marks: &[&str] = match platform {
        "windows" => &["win32", "win_amd64", "win-amd64", "win_arm64", "win_ia64"],
        "macos" => &["macosx"],
        "freebsd" => &["freebsd"],
        "linux" => &["linux"],
        _ => &[],
    };
    let installer =
        platform == "windows" && matches!(distribution.kind.name(), "bdist_wininst" | "bdist_msi");
    installer || marks.iter().any(|mark| distribution.platform.contains(mark))
}

fn requirements(texts: &[String]) -> Result<HashMap<String, Vec<VersionSpecifiers>>, BadSelection> {
    let mut requirements: HashMap<String, Vec<VersionSpecifiers>> = HashMap::new();
    for text in texts {
        let (project, versions) =
            requirement(text).ok_or_else(|| BadSelection::Requirement(text.clone()))?;
        requirements.entry(project).or_default().push(versions);
    }
    Ok(requirements)
}

/// `NAME[extras] (versions)`; conditions about the environment decide nothing here.
fn requirement(text: &str) -> Option<(String, VersionSpecifiers)> {
    let text = text.split(';').next()?.trim();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let end = text.find(|letter| !is_of_name(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let is_end = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    if !is_end(name.chars().next()) || !is_end(name.chars().last()) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let rest = match rest.strip_prefix('(') {
        Some(inner) => inner.trim_end().strip_suffix(')')?,
        None => rest,
    };
    Some((normalised(name), VersionSpecifiers::from_str(rest.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILES: &[&str] = &[
        "a-0.9.tar.gz",
        "a-1.0.tar.gz",
        "a-1.0-py3-none-any.whl",
        "a-1.5-cp312-cp312-manylinux_2_17_x86_64.whl",
        "a-1.5-cp312-cp312-win_amd64.whl",
        "a-1.5-cp312-cp312-macosx_11_0_arm64.whl",
        "a-2.0rc1.tar.gz",
        "a-2.0.dev3.tar.gz",
    ];

    fn selected(settings: &serde_json::Value) -> Vec<&'static str> {
        let selection = Selection::of(settings).unwrap();
        let file = |name: &&'static str| {
            let file = File { filename: (*name).to_owned(), ..File::default() };
            (file, Distribution::of("a", name).unwrap())
        };
        let files = selection.selected("a", FILES.iter().map(file).collect());
        let is_in = |name: &&&str| files.iter().any(|(file, _)| file.filename == **name);
        FILES.iter().filter(is_in).copied().collect()
    }

    #[test]
    fn files_are_selected() {
        let stable = &FILES[..6];
        for (settings, expected) in [
            (json!(null), stable),
            (json!({"includes": null, "prereleases": true}), FILES),
            (json!({"includes": ["A"]}), stable),
            (json!({"includes": ["b"]}), &[]),
            (json!({"includes": ["a>=1.0,<1.5"]}), &FILES[1..3]),
            (json!({"includes": ["a[x] (==0.9)", "a ==1.0 ; python_version > '3'"]}), &FILES[..3]),
            (json!({"excludes": ["a<1.5"]}), &FILES[3..6]),
            (json!({"package_types": ["bdist_wheel"]}), &FILES[2..6]),
            (json!({"keep_latest_packages": 1}), &FILES[3..6]),
            (json!({"keep_latest_packages": 2}), &FILES[1..6]),
            (json!({"keep_latest_packages": 9}), stable),
            (json!({"exclude_platforms": ["windows", "macos"]}), &FILES[..4]),
            (
                json!({"exclude_platforms": ["linux"], "package_types": ["bdist_wheel"], "includes": ["a>1.0"]}),
                &FILES[4..6],
            ),
        ] {
            assert_eq!(selected(&settings), expected, "{settings}");
        }
    }

    #[test]
    fn projects_are_selected() {
        let of = |settings| Selection::of(&settings).unwrap();
        assert_eq!(of(json!({})).named(), None);
        let some = of(json!({"includes": ["b", "A_b>1", "c"], "excludes": ["c", "b<1"]}));
        assert_eq!(some.named().unwrap(), ["a-b", "b"]);
        let all = of(json!({"excludes": ["c"]}));
        assert!(all.wants_project("b") && !all.wants_project("c"));
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in ["", " ", "a b", "-a", "a>=", "a>=x", "a[", "a(>1", "../a"] {
            let refused = Selection::of(&json!({ "includes": [text] }));
            assert!(matches!(refused, Err(BadSelection::Requirement(_))), "{text:?}: {refused:?}");
        }
        assert!(matches!(Selection::of(&json!({"includes": 1})), Err(BadSelection::Form(_))));
    }
}
