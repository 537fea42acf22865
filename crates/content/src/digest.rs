//! Digests: what bytes are known by, and what they are expected to be.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{
    Context, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512, digest,
};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A digest's algorithm. MD5 is not among them: who announces nothing else announces nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-1, only ever compared with what old metadata announces.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256, which names artifacts.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Digests by algorithm, lower-case hexadecimal digits.
pub type Digests = BTreeMap<Algorithm, String>;

/// What bytes are announced to be. Nothing announced: anything is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Digests.
    pub digests: Digests,
    /// Bytes.
    pub size: Option<u64>,
}

impl Expected {
    /// These bytes and no others.
    #[must_use]
    pub fn sha256(digest: &str, size: Option<u64>) -> Self {
        Self { digests: Digests::from([(Algorithm::Sha256, digest.to_owned())]), size }
    }

    /// The SHA-256, if it is announced.
    #[must_use]
    pub fn artifact(&self) -> Option<&str> {
        self.digests.get(&Algorithm::Sha256).map(String::as_str)
    }
}

impl Algorithm {
    /// Its name in Pulp's API and in Python's index: `sha256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];
        all.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn implementation(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &SHA224,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }
}

/// Computes SHA-256, and others that are asked for, of bytes that come one after the other.
#[derive(Clone)]
pub(crate) struct Hasher(Vec<(Algorithm, Context)>);

impl Hasher {
    pub(crate) fn new(others: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut algorithms = vec![Algorithm::Sha256];
        algorithms.extend(others.into_iter().filter(|other| *other != Algorithm::Sha256));
        let context = |algorithm: Algorithm| (algorithm, Context::new(algorithm.implementation()));
        Self(algorithms.into_iter().map(context).collect())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(_, context)| context.update(bytes));
    }

    pub(crate) fn finish(self) -> Digests {
        let digest = |context: Context| hexadecimal(context.finish().as_ref());
        self.0.into_iter().map(|(algorithm, context)| (algorithm, digest(context))).collect()
    }
}

/// The SHA-256 of bytes at hand.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

/// Whether this is the SHA-256 of something: 64 lower-case hexadecimal digits.
///
/// # Errors
/// [`Error::Digest`]: names come from requests and become paths.
pub fn check(digest: &str) -> Result<(), Error> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(hexadecimal) {
        Ok(())
    } else {
        Err(Error::Digest(digest.to_owned()))
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
