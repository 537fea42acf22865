//! Bytes like others, with something wrong: for the parsers of requests, replies and messages.
//!
//! Which change is made follows from a number alone, so whatever fails can be repeated: it is in the failure's text.

/// Numbers that lengths are replaced by.
const LENGTHS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "-2",
    "3",
    "999",
    "1048576",
    "2147483648",
    "9223372036854775807",
    "99999999999999999999",
    "+4",
    "04",
    "",
    "4x",
];

/// How many changed inputs a test tries: as many as take seconds, or as `TUTTI_MUTATIONS` says.
pub(crate) fn rounds() -> u64 {
    std::env::var("TUTTI_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3_000)
}

/// Numbers without end that depend on the first only. Source: Steele and others, SplitMix64.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }
}

/// One of the seeds with one to three things wrong.
pub(crate) fn mutated(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes.truncate(at),
            2 => lie(&mut bytes, at, numbers),
            3 => {
                // The head of one, and the tail of another.
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 => {
                let end = at + numbers.below((bytes.len() - at).min(40));
                drop(bytes.drain(at..end));
            }
            _ => {
                let end = at + numbers.below((bytes.len() - at).min(40));
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// Replaces the next number by another one.
fn lie(bytes: &mut Vec<u8>, from: usize, numbers: &mut Numbers) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes.iter().skip(from).position(is_digit).map(|at| from + at) else {
        return;
    };
    let length = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
    let other = LENGTHS[numbers.below(LENGTHS.len())];
    bytes.splice(start..start + length, other.bytes());
}
