//! Storage directives: `pool,count,size` in any order.

use std::collections::BTreeMap;
use std::str::FromStr;

use tutti_charm::metadata::{Storage, StorageKind};

use super::constraints::size_mib;
use crate::{Error, Result};

/// Pools there are on a plain host.
const POOLS: [&str; 2] = ["rootfs", "tmpfs"];

/// Size of an instance when neither the directive nor the charm says one.
const DEFAULT_MIB: u64 = 1024;

/// A storage directive as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directive {
    /// Pool.
    pub pool: Option<String>,
    /// How many instances per unit.
    pub count: Option<u32>,
    /// Size in MiB.
    pub size_mib: Option<u64>,
}

impl FromStr for Directive {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |expected| Error::Malformed {
            what: "storage directive".into(),
            text: text.into(),
            expected,
        };
        let mut directive = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let again = if word.bytes().all(|byte| byte.is_ascii_digit()) {
                let count = word.parse().map_err(|_| malformed("a small count"))?;
                directive.count.replace(count).is_some()
            } else if let Some(size) = size(word) {
                directive.size_mib.replace(size).is_some()
            } else if word.starts_with(|first: char| first.is_ascii_alphabetic()) {
                directive.pool.replace(word.to_owned()).is_some()
            } else {
                return Err(malformed("a pool, a count and a size, with commas"));
            };
            if again {
                return Err(malformed("one pool, one count and one size"));
            }
        }
        Ok(directive)
    }
}

/// `1G`, `512M`, `1.5GiB`: a number and a unit.
fn size(word: &str) -> Option<u64> {
    let word = word.strip_suffix('B').map_or(word, |word| word.strip_suffix('i').unwrap_or(word));
    word.ends_with(|suffix: char| suffix.is_ascii_alphabetic())
        .then(|| size_mib(word, "MGTPEZY"))?
}

/// What an application's units get of one storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageChoice {
    /// Pool.
    pub pool: String,
    /// Instances per unit.
    pub count: u32,
    /// Size of each in MiB.
    pub size_mib: u64,
}

/// Checks directives against what a charm declares: what is chosen, and every reason against it.
///
/// `everything`: storage without a directive is chosen as well, with the charm's smallest count.
#[must_use]
pub fn check_storage(
    charm: &str,
    declared: &BTreeMap<String, Storage>,
    directives: &BTreeMap<String, String>,
    everything: bool,
) -> (BTreeMap<String, StorageChoice>, Vec<String>) {
    let mut reasons = Vec::new();
    let mut chosen = BTreeMap::new();
    for name in directives.keys().filter(|name| !declared.contains_key(*name)) {
        reasons.push(format!("charm {charm:?} has no store called {name:?}"));
    }
    for (name, storage) in declared {
        let directive = match directives.get(name).map(|text| text.parse::<Directive>()) {
            Some(Ok(directive)) => Some(directive),
            Some(Err(error)) => {
                reasons.push(format!("store {name:?}: {error}"));
                continue;
            }
            None if everything => None,
            None => continue,
        };
        let choice = choose(storage, directive.as_ref());
        reasons.extend(
            against(storage, &choice)
                .into_iter()
                .map(|reason| format!("charm {charm:?} store {name:?}: {reason}")),
        );
        chosen.insert(name.clone(), choice);
    }
    (chosen, reasons)
}

fn choose(storage: &Storage, directive: Option<&Directive>) -> StorageChoice {
    let smallest = storage.minimum_size.unwrap_or(DEFAULT_MIB);
    let Some(directive) = directive else {
        let count = storage.multiple.min;
        return StorageChoice { pool: POOLS[0].into(), count, size_mib: smallest };
    };
    let least = storage.multiple.min.max(1);
    StorageChoice {
        pool: directive.pool.clone().unwrap_or_else(|| POOLS[0].into()),
        count: directive.count.unwrap_or(least),
        size_mib: directive.size_mib.unwrap_or(smallest),
    }
}

fn against(storage: &Storage, choice: &StorageChoice) -> Vec<String> {
    let mut reasons = Vec::new();
    let count = choice.count;
    if !POOLS.contains(&choice.pool.as_str()) {
        reasons.push(format!(
            "pool {:?} not found, there are {}",
            choice.pool,
            POOLS.join(" and ")
        ));
    }
    if count < storage.multiple.min {
        let least = storage.multiple.min;
        reasons.push(format!("{least} instances required, {count} specified"));
    }
    if let Some(most) = storage.multiple.max.filter(|most| count > *most) {
        reasons.push(format!("at most {most} instances supported, {count} specified"));
    }
    if let Some(least) = storage.minimum_size.filter(|least| choice.size_mib < *least) {
        let given = choice.size_mib;
        reasons.push(format!("minimum storage size is {least}M, {given}M specified"));
    }
    if storage.kind == StorageKind::Block && count > 0 {
        reasons.push("block devices are not supported, only filesystems".into());
    }
    reasons
}
