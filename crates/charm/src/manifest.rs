//! Where a charm can run: `manifest.yaml`, or `bases` and `platforms` of `charmcraft.yaml`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::yaml;

/// The bases a charm was made for. No bases: it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// All bases, in the order of the file.
    pub bases: Vec<Base>,
    /// The version of the program that packed the charm (`charmcraft-version`).
    pub packed_by: Option<String>,
}

/// An operating system and the machine architectures on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The system, such as `ubuntu`.
    pub name: String,
    /// Its release, such as `24.04`.
    #[serde(default)]
    pub channel: String,
    /// Architectures in Debian's words (`amd64`, `arm64`); any if empty.
    #[serde(default)]
    pub architectures: Vec<String>,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.channel)
    }
}

impl Manifest {
    /// Reads `manifest.yaml`; `file` is the name used in errors.
    pub fn from_yaml(file: &str, text: &str) -> Result<Manifest> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Written {
            bases: Option<Vec<WrittenBase>>,
            charmcraft_version: Option<String>,
        }
        let written: Option<Written> = read(file, text)?;
        let written = written.unwrap_or_default();
        Ok(Manifest {
            bases: written.bases.unwrap_or_default().into_iter().map(WrittenBase::base).collect(),
            packed_by: written.charmcraft_version,
        })
    }

    /// Reads what `charmcraft.yaml` says about bases: `bases` (old), or `base` and `platforms` (new).
    pub(crate) fn from_charmcraft(file: &str, text: &str) -> Result<Manifest> {
        let written: Charmcraft = read(file, text)?;
        let mut bases = Vec::new();
        for entry in written.bases.unwrap_or_default() {
            match entry.run_on {
                Some(run_on) => bases.extend(run_on.into_iter().map(WrittenBase::base)),
                None => bases.extend(entry.short.map(WrittenBase::base)),
            }
        }
        for (platform, detail) in written.platforms.unwrap_or_default() {
            bases.extend(platform_bases(&platform, &detail, written.base.as_deref()));
        }
        Ok(Manifest { bases: merged(bases), packed_by: None })
    }

    /// Writes `manifest.yaml` in the form that Juju's tools read.
    pub fn to_yaml(&self) -> Result<String> {
        let written =
            serde_json::json!({ "bases": self.bases, "charmcraft-version": self.packed_by });
        yaml::to_string(&written)
            .map_err(|source| Error::Yaml { file: "manifest.yaml".to_owned(), source })
    }

    /// Whether the charm was made for an architecture, in Debian's words.
    pub fn runs_on(&self, architecture: &str) -> bool {
        let fits = |base: &Base| {
            base.architectures.is_empty()
                || base.architectures.iter().any(|one| one == architecture || one == "all")
        };
        self.bases.is_empty() || self.bases.iter().any(fits)
    }
}

/// The architecture of this machine in Debian's words: `amd64` for what Rust calls `x86_64`.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

/// The platforms of a `charmcraft.yaml` that can be packed on a machine of this architecture, as charmcraft calls them
/// in file names: `amd64`, `ubuntu-24.04-amd64`. `file` is the name used in errors.
pub fn platforms(file: &str, text: &str, architecture: &str) -> Result<Vec<String>> {
    let written: Charmcraft = read(file, text)?;
    let fits = |base: &Base| {
        let mut named = base.architectures.iter();
        base.architectures.is_empty() || named.any(|one| one == architecture || one == "all")
    };
    let base = written.base.as_deref();
    let mut names = Vec::new();
    for entry in written.bases.unwrap_or_default() {
        let run_on = entry.run_on.or_else(|| entry.short.map(|one| vec![one])).unwrap_or_default();
        let bases: Vec<Base> = run_on.into_iter().map(WrittenBase::base).collect();
        if bases.iter().any(fits) {
            let name = |base: &Base| match base.architectures.as_slice() {
                [] => format!("{}-{}-{architecture}", base.name, base.channel),
                some => format!("{}-{}-{}", base.name, base.channel, some.join("-")),
            };
            names.push(bases.iter().map(name).collect::<Vec<_>>().join("_"));
        }
    }
    for (platform, detail) in written.platforms.unwrap_or_default() {
        // Without a base anywhere the architecture alone decides.
        if platform_bases(&platform, &detail, base.or(Some("any@any"))).iter().any(fits) {
            names.push(platform.replace(['@', ':'], "-"));
        }
    }
    Ok(names)
}

fn read<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    yaml::from_str(text).map_err(|source| Error::Yaml { file: file.to_owned(), source })
}

#[derive(Deserialize)]
struct Charmcraft {
    base: Option<String>,
    bases: Option<Vec<CharmcraftBase>>,
    platforms: Option<BTreeMap<String, Value>>,
}

/// `{build-on: […], run-on: […]}`, or `{name, channel}` for both at once.
struct CharmcraftBase {
    run_on: Option<Vec<WrittenBase>>,
    short: Option<WrittenBase>,
}

impl<'de> Deserialize<'de> for CharmcraftBase {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Both {
            run_on: Option<Vec<WrittenBase>>,
            name: Option<String>,
            channel: Option<Channel>,
            architectures: Option<Vec<String>>,
        }
        let Both { run_on, name, channel, architectures } = Both::deserialize(deserializer)?;
        let channel = channel.unwrap_or_default();
        let short = name.map(|name| WrittenBase { name, channel, architectures });
        Ok(CharmcraftBase { run_on, short })
    }
}

#[derive(Deserialize)]
struct WrittenBase {
    name: String,
    #[serde(default)]
    channel: Channel,
    architectures: Option<Vec<String>>,
}

/// A release such as 24.04: often written without quotes, hence read as text whatever it looks like.
#[derive(Default, Deserialize)]
struct Channel(String);

impl WrittenBase {
    fn base(self) -> Base {
        let channel = self.channel.0.split('/').next().unwrap_or_default().to_owned();
        Base { name: self.name, channel, architectures: self.architectures.unwrap_or_default() }
    }
}

/// `amd64:`, `ubuntu@24.04:amd64:`, or `any-name: {build-on: …, build-for: …}`; the base may stand beside.
fn platform_bases(platform: &str, detail: &Value, base: Option<&str>) -> Vec<Base> {
    let build_for = detail.get("build-for").or_else(|| detail.get("build-on"));
    let targets: Vec<&str> = match build_for {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![platform],
    };
    let one = |target: &str| {
        let (named, architecture) = match target.rsplit_once(':') {
            Some((named, architecture)) => (Some(named), architecture),
            None => (platform.rsplit_once(':').map(|(named, _)| named).or(base), target),
        };
        let (name, channel) = named?.split_once('@')?;
        Some(Base {
            name: name.to_owned(),
            channel: channel.to_owned(),
            architectures: vec![architecture.to_owned()],
        })
    };
    targets.into_iter().filter_map(one).collect()
}

/// Bases that differ only in their architectures become one.
fn merged(bases: Vec<Base>) -> Vec<Base> {
    let mut merged: Vec<Base> = Vec::new();
    for base in bases {
        let same = |other: &&mut Base| (&other.name, &other.channel) == (&base.name, &base.channel);
        match merged.iter_mut().find(same) {
            Some(other) => {
                for architecture in base.architectures {
                    if !other.architectures.contains(&architecture) {
                        other.architectures.push(architecture);
                    }
                }
            }
            None => merged.push(base),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str, channel: &str, architectures: &[&str]) -> Base {
        let architectures = architectures.iter().map(|one| (*one).to_owned()).collect();
        Base { name: name.into(), channel: channel.into(), architectures }
    }

    #[test]
    fn manifest_yaml() {
        let text = "bases:\n- architectures: [amd64]\n  channel: '24.04'\n  name: ubuntu\ncharmcraft-version: 3.1.0\n\
                    analysis: {attributes: [{name: language, result: python}]}\n";
        let manifest = Manifest::from_yaml("manifest.yaml", text).unwrap();
        assert_eq!(manifest.bases, [base("ubuntu", "24.04", &["amd64"])]);
        assert_eq!(manifest.packed_by.as_deref(), Some("3.1.0"));
        assert!(manifest.runs_on("amd64") && !manifest.runs_on("arm64"));
        let again = Manifest::from_yaml("manifest.yaml", &manifest.to_yaml().unwrap()).unwrap();
        assert_eq!(again.bases, manifest.bases);
        assert!(Manifest::from_yaml("manifest.yaml", "").unwrap().runs_on("riscv64"));
    }

    #[test]
    fn file_names_hold_the_platforms_that_run_here() {
        let cases = [
            ("base: ubuntu@24.04\nplatforms:\n  amd64:\n  arm64:\n", vec!["amd64"]),
            (
                "platforms:\n  ubuntu@22.04:amd64:\n  ubuntu@24.04:amd64:\n  ubuntu@24.04:s390x:\n",
                vec!["ubuntu-22.04-amd64", "ubuntu-24.04-amd64"],
            ),
            (
                "base: ubuntu@24.04\nplatforms:\n  any:\n    build-on: [amd64]\n    build-for: [all]\n",
                vec!["any"],
            ),
            ("bases:\n- name: ubuntu\n  channel: '20.04'\n", vec!["ubuntu-20.04-amd64"]),
            (
                "bases:\n- build-on: [{name: ubuntu, channel: '22.04'}]\n  run-on:\n  \
                 - {name: ubuntu, channel: '22.04', architectures: [amd64, arm64]}\n  \
                 - {name: ubuntu, channel: '24.04'}\n",
                vec!["ubuntu-22.04-amd64-arm64_ubuntu-24.04-amd64"],
            ),
            ("platforms:\n  riscv64:\n", vec![]),
        ];
        for (text, names) in cases {
            assert_eq!(platforms("charmcraft.yaml", text, "amd64").unwrap(), names, "{text}");
        }
    }

    #[test]
    fn every_way_charmcraft_has_to_say_it() {
        let cases = [
            ("name: x\n", vec![]),
            ("bases:\n- name: ubuntu\n  channel: 20.04\n", vec![base("ubuntu", "20.04", &[])]),
            (
                "bases:\n- build-on: [{name: ubuntu, channel: '20.04'}]\n  \
                 run-on:\n  - {name: ubuntu, channel: '22.04/stable', architectures: [amd64, arm64]}\n",
                vec![base("ubuntu", "22.04", &["amd64", "arm64"])],
            ),
            (
                "base: ubuntu@24.04\nplatforms:\n  amd64:\n  arm64:\n",
                vec![base("ubuntu", "24.04", &["amd64", "arm64"])],
            ),
            (
                "platforms:\n  ubuntu@22.04:amd64:\n  ubuntu@24.04:amd64:\n",
                vec![base("ubuntu", "22.04", &["amd64"]), base("ubuntu", "24.04", &["amd64"])],
            ),
            (
                "base: ubuntu@24.04\nplatforms:\n  any:\n    build-on: [amd64]\n    build-for: [all]\n",
                vec![base("ubuntu", "24.04", &["all"])],
            ),
            (
                "platforms:\n  jammy:\n    build-on: [ubuntu@22.04:amd64]\n    build-for: ubuntu@22.04:s390x\n",
                vec![base("ubuntu", "22.04", &["s390x"])],
            ),
        ];
        for (text, bases) in cases {
            let manifest = Manifest::from_charmcraft("charmcraft.yaml", text).unwrap();
            assert_eq!(manifest.bases, bases, "{text}");
        }
    }
}
