//! What a file's name says: the project, its version, the kind of distribution.

use std::str::FromStr;

use pep440_rs::Version;

/// The kind of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A wheel.
    Wheel,
    /// Source.
    Source,
    /// An egg.
    Egg,
    /// An installer, or something else of old times.
    Other(&'static str),
}

impl Kind {
    /// Its name in PyPI's API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wheel => "bdist_wheel",
            Self::Source => "sdist",
            Self::Egg => "bdist_egg",
            Self::Other(name) => name,
        }
    }
}

/// A distribution, as far as its file's name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The project, as the file spells it.
    pub name: String,
    /// The version.
    pub version: Version,
    /// The same, as the file spells it.
    pub version_text: String,
    /// The kind.
    pub kind: Kind,
    /// What it is built for: the rest of the name, lower case.
    pub platform: String,
}

const SOURCES: &[&str] = &[".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar"];

const OTHERS: &[(&str, &str)] = &[
    (".exe", "bdist_wininst"),
    (".msi", "bdist_msi"),
    (".rpm", "bdist_rpm"),
    (".dmg", "bdist_dmg"),
    (".deb", "bdist_dumb"),
];

impl Distribution {
    /// Of a project's file; none if the name is none of that project, or has no version as PEP 440 has them.
    #[must_use]
    pub fn of(project: &str, filename: &str) -> Option<Self> {
        if let Some(stem) = filename.strip_suffix(".whl") {
            return Self::built(project, stem, Kind::Wheel);
        }
        if let Some(stem) = filename.strip_suffix(".egg") {
            return Self::built(project, stem, Kind::Egg);
        }
        if let Some((stem, kind)) =
            OTHERS.iter().find_map(|(end, kind)| Some((filename.strip_suffix(end)?, *kind)))
        {
            return Self::built(project, stem, Kind::Other(kind));
        }
        let stem = SOURCES.iter().find_map(|end| filename.strip_suffix(end))?;
        let (name, version) = split(project, stem)?;
        Self::new(name, version, Kind::Source, "")
    }

    /// `NAME-VERSION-…`, or, before wheels, `NAME-VERSION.PLATFORM`.
    fn built(project: &str, stem: &str, kind: Kind) -> Option<Self> {
        let (name, rest) = split(project, stem)?;
        let (version, platform) = rest.split_once('-').unwrap_or((rest, ""));
        if let Some(found) = Self::new(name, version, kind, platform) {
            return Some(found);
        }
        let (version, platform) = rest.split_once(".win").or_else(|| rest.split_once(".linux"))?;
        Self::new(name, version, kind, rest.get(version.len()..).unwrap_or(platform))
    }

    fn new(name: &str, version: &str, kind: Kind, platform: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            version: Version::from_str(version).ok()?,
            version_text: version.to_owned(),
            kind,
            platform: platform.to_ascii_lowercase(),
        })
    }
}

/// The name of the project and the rest: names may have hyphens, too.
fn split<'a>(project: &str, stem: &'a str) -> Option<(&'a str, &'a str)> {
    let mut hyphens = stem.match_indices('-').map(|(at, _)| at);
    let at = hyphens.find(|at| stem.get(..*at).is_some_and(|name| normalised(name) == project))?;
    Some((stem.get(..at)?, stem.get(at + 1..)?))
}

/// A project's name as addresses have it (PEP 503).
#[must_use]
pub fn normalised(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normalised.ends_with('-') => {}
            '-' | '_' | '.' => normalised.push('-'),
            letter => normalised.extend(letter.to_lowercase()),
        }
    }
    normalised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (project, filename, version, kind, platform) in [
            ("a", "a-1.0.tar.gz", "1.0", "sdist", ""),
            ("a-b", "a-b-1.0.zip", "1.0", "sdist", ""),
            ("a-b", "A_b-1.0rc1.tar.gz", "1.0rc1", "sdist", ""),
            ("a-b", "a.b-1.0-py3-none-any.whl", "1.0", "bdist_wheel", "py3-none-any"),
            (
                "a",
                "a-1.0-1-cp312-cp312-manylinux_2_17_X86_64.whl",
                "1.0",
                "bdist_wheel",
                "1-cp312-cp312-manylinux_2_17_x86_64",
            ),
            ("a", "a-1.0-py2.7.egg", "1.0", "bdist_egg", "py2.7"),
            ("a", "a-1.0.win32-py2.7.exe", "1.0", "bdist_wininst", ".win32-py2.7"),
            ("a", "a-1!2.0.post1+local.tar.bz2", "1!2.0.post1+local", "sdist", ""),
        ] {
            let found = Distribution::of(project, filename).unwrap();
            assert_eq!(found.version, Version::from_str(version).unwrap(), "{filename}");
            assert_eq!(
                (found.kind.name(), found.platform.as_str()),
                (kind, platform),
                "{filename}"
            );
        }
        for (project, filename) in [
            ("a", "b-1.0.tar.gz"),
            ("a", "a-final.tar.gz"),
            ("a", "a.txt"),
            ("a", "a-1.0"),
            ("a", ""),
        ] {
            assert_eq!(Distribution::of(project, filename), None, "{filename}");
        }
    }

    #[test]
    fn projects_have_one_spelling() {
        for (name, expected) in
            [("A.B--_c", "a-b-c"), ("zope.interface", "zope-interface"), ("x", "x")]
        {
            assert_eq!(normalised(name), expected);
        }
    }
}
