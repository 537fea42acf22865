//! A set of units: one bit each.
//!
//! Ids are dense numbers, and a repository's units were mostly saved together. So blocks of 512 bits in a tree take a byte for
//! six units; even where each unit has a block alone, less than its path. Compressed bitmaps (`roaring`) would save
//! nothing here and are a dependency.

use std::collections::BTreeMap;

const BLOCK_BITS: i64 = 512;

#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<i64, [u64; 8]>);

impl Seen {
    pub(super) fn insert(&mut self, id: i64) {
        let (block, word, bit) = place(id);
        if let Some(word) = self.0.entry(block).or_default().get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        let (block, word, bit) = place(id);
        self.0.get(&block).and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }
}

fn place(id: i64) -> (i64, usize, u64) {
    let within = id.rem_euclid(BLOCK_BITS).unsigned_abs();
    (
        id.div_euclid(BLOCK_BITS),
        usize::try_from(within / 64).unwrap_or_default(),
        1 << (within % 64),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ids in prop::collection::vec(prop_oneof![-5..2_000_i64, any::<i64>()], 0..100)) {
            let mut seen = Seen::default();
            let mut expected = BTreeSet::new();
            for id in &ids {
                prop_assert_eq!(seen.contains(*id), expected.contains(id));
                seen.insert(*id);
                expected.insert(*id);
            }
            for id in ids.iter().flat_map(|id| [*id, id.wrapping_add(1), id.wrapping_add(64)]) {
                prop_assert_eq!(seen.contains(id), expected.contains(&id));
            }
        }
    }
}
