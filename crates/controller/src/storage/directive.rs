//! Storage directives: `pool,count,size`, in any order, each part optional.

use tutti_charm::metadata::{Metadata, Storage, StorageKind};

/// The pools of this controller: directories, and directories in memory.
const POOLS: [&str; 2] = ["rootfs", "tmpfs"];

/// Size of storage for which neither charm nor operator asks one, MiB (Juju).
const SIZE: u64 = 1024;

/// What a unit gets of one storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) kind: StorageKind,
    pub(super) pool: String,
    pub(super) count: u32,
    pub(super) size_mib: u64,
}

/// What a directive says, as far as it says it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    pool: Option<String>,
    count: Option<u32>,
    size_mib: Option<u64>,
}

/// Why a charm cannot be deployed with these directives: every reason. Directives of storage that
/// the charm does not declare are among them.
pub(crate) fn refusals<'a>(
    metadata: &Metadata,
    directives: impl IntoIterator<Item = (&'a String, &'a String)> + Clone,
) -> Vec<String> {
    let given = |name: &str| {
        let mut directives = directives.clone().into_iter();
        directives.find(|(key, _)| *key == name).map_or("", |(_, text)| text.as_str())
    };
    let declared =
        metadata.storage.keys().filter_map(|name| wanted(metadata, name, given(name)).err());
    let unknown = directives.clone().into_iter().filter_map(|(name, _)| {
        (!metadata.storage.contains_key(name)).then(|| unknown(metadata, name))
    });
    declared.chain(unknown).collect()
}

/// What a new unit gets of a storage.
pub(super) fn wanted(metadata: &Metadata, name: &str, text: &str) -> Result<Directive, String> {
    let storage = metadata.storage.get(name).ok_or_else(|| unknown(metadata, name))?;
    let given = parse(text).map_err(|reason| refused(metadata, name, &reason))?;
    let default = if text.is_empty() { storage.multiple.min } else { storage.multiple.min.max(1) };
    let count = given.count.unwrap_or(default);
    if count < storage.multiple.min {
        let reason = format!("{} instances required, {count} specified", storage.multiple.min);
        return Err(refused(metadata, name, &reason));
    }
    check(storage, given, count, count).map_err(|reason| refused(metadata, name, &reason))
}

/// What a unit that has some gets in addition: one, unless the directive says more.
pub(super) fn more(
    metadata: &Metadata,
    name: &str,
    text: &str,
    has: u32,
) -> Result<Directive, String> {
    let storage = metadata.storage.get(name).ok_or_else(|| unknown(metadata, name))?;
    let given = parse(text).map_err(|reason| refused(metadata, name, &reason))?;
    let count = given.count.unwrap_or(1);
    check(storage, given, count, has.saturating_add(count))
        .map_err(|reason| refused(metadata, name, &reason))
}

fn check(storage: &Storage, given: Given, count: u32, total: u32) -> Result<Directive, String> {
    if let Some(max) = storage.multiple.max.filter(|max| total > *max) {
        return Err(format!("at most {max} instances supported, {total} specified"));
    }
    let pool = given.pool.unwrap_or_else(|| POOLS[0].to_owned());
    if !POOLS.contains(&pool.as_str()) {
        return Err(format!("pool \"{pool}\" not found: there are {}", POOLS.join(" and ")));
    }
    if storage.kind == StorageKind::Block && count > 0 {
        return Err("block storage is not supported, only filesystems are".to_owned());
    }
    let minimum = storage.minimum_size.unwrap_or_default();
    let size_mib = given.size_mib.unwrap_or_else(|| minimum.max(SIZE));
    if size_mib < minimum {
        return Err(format!("minimum storage size is {minimum}M, {size_mib}M specified"));
    }
    Ok(Directive { kind: storage.kind, pool, count, size_mib })
}

fn unknown(metadata: &Metadata, name: &str) -> String {
    format!("charm \"{}\" has no store called \"{name}\"", metadata.name)
}

fn refused(metadata: &Metadata, name: &str, reason: &str) -> String {
    format!("charm \"{}\" store \"{name}\": {reason}", metadata.name)
}

/// A part of digits only is the count, one that begins with a digit the size, else it is the pool.
fn parse(text: &str) -> Result<Given, String> {
    let mut given = Given::default();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let repeated = if part.bytes().all(|byte| byte.is_ascii_digit()) {
            let count = part.parse().map_err(|_| format!("invalid count {part:?}"))?;
            given.count.replace(count).is_some()
        } else if part.starts_with(|first: char| first.is_ascii_digit()) {
            let size = size(part).ok_or_else(|| format!("invalid size {part:?}"))?;
            given.size_mib.replace(size).is_some()
        } else {
            given.pool.replace(part.to_owned()).is_some()
        };
        if repeated {
            return Err(format!("storage directive {text:?} says the same twice"));
        }
    }
    Ok(given)
}

/// MiB of `512M`, `1.5G`, `2TiB`; rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn size(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "M" => 1.0,
        "G" => 1024.0,
        "T" => 1024.0 * 1024.0,
        "P" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let mib = (number.parse::<f64>().ok()? * factor).ceil();
    (mib.is_finite() && (1.0..1e15).contains(&mib)).then_some(mib as u64)
}

#[cfg(test)]
mod tests {
    use tutti_charm::metadata::Multiple;

    use super::*;

    fn metadata(min: u32, max: Option<u32>, kind: StorageKind) -> Metadata {
        let storage = Storage {
            kind,
            description: String::new(),
            location: None,
            multiple: Multiple { min, max },
            minimum_size: Some(2048),
            shared: false,
            read_only: false,
        };
        let mut metadata = Metadata { name: "db".to_owned(), ..Metadata::default() };
        metadata.storage.insert("data".to_owned(), storage);
        metadata
    }

    #[test]
    fn directives() {
        let plain = metadata(1, Some(3), StorageKind::Filesystem);
        for (text, expected) in [
            ("", Ok(("rootfs", 1, 2048))),
            ("tmpfs", Ok(("tmpfs", 1, 2048))),
            ("4G,2,tmpfs", Ok(("tmpfs", 2, 4096))),
            ("2.5GiB", Ok(("rootfs", 1, 2560))),
            ("3", Ok(("rootfs", 3, 2048))),
            ("0", Err("1 instances required, 0 specified")),
            ("4", Err("at most 3 instances supported, 4 specified")),
            ("1G", Err("minimum storage size is 2048M, 1024M specified")),
            ("ebs", Err("pool \"ebs\" not found: there are rootfs and tmpfs")),
            ("1X", Err("invalid size \"1X\"")),
            ("1,2", Err("storage directive \"1,2\" says the same twice")),
            ("99999999999", Err("invalid count \"99999999999\"")),
        ] {
            let found = wanted(&plain, "data", text);
            let expected = expected
                .map(|(pool, count, size_mib)| Directive {
                    kind: StorageKind::Filesystem,
                    pool: pool.to_owned(),
                    count,
                    size_mib,
                })
                .map_err(|reason| format!("charm \"db\" store \"data\": {reason}"));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn optional_storage_comes_only_when_asked_for() {
        let optional = metadata(0, None, StorageKind::Filesystem);
        assert_eq!(wanted(&optional, "data", "").unwrap().count, 0);
        assert_eq!(wanted(&optional, "data", "tmpfs").unwrap().count, 1);
        assert_eq!(more(&optional, "data", "", 7).unwrap().count, 1);
        let block = metadata(0, None, StorageKind::Block);
        assert!(wanted(&block, "data", "").is_ok());
        assert!(wanted(&block, "data", "1").is_err());
    }

    #[test]
    fn every_reason_is_told() {
        let metadata = metadata(1, Some(1), StorageKind::Block);
        let directives = std::collections::BTreeMap::from([("x".to_owned(), String::new())]);
        let reasons = refusals(&metadata, &directives);
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert_eq!(reasons[1], "charm \"db\" has no store called \"x\"");
        assert_eq!(
            more(&metadata, "y", "", 0).unwrap_err(),
            "charm \"db\" has no store called \"y\""
        );
    }
}
