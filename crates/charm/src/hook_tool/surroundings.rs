//! What a tool sees of the process it runs in.

use std::io::{self, Read};
use std::path::Path;

/// The environment, standard input and files of a tool's process, so that parsing can be tested without.
pub trait Surroundings {
    /// An environment variable; none if it is unset, empty or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// All of standard input.
    fn stdin(&mut self) -> io::Result<Vec<u8>>;

    /// A file's content.
    fn file(&mut self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSurroundings;

impl Surroundings for ProcessSurroundings {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn stdin(&mut self) -> io::Result<Vec<u8>> {
        read_bounded(io::stdin().lock())
    }

    fn file(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        read_bounded(std::fs::File::open(path)?)
    }
}

/// Reads to the end, but not more than could ever be sent.
fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let limit = u64::from(super::MESSAGE_BYTES_MAX);
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large"));
    }
    Ok(bytes)
}

/// What went wrong with a file or socket, in words that Python charms do not take for an answer about a
/// relation, a secret or permissions (they look for `not found` and `permission denied` in stderr).
pub(super) fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "this user may not open it".into(),
        io::ErrorKind::ConnectionRefused => "nobody is listening".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        io::ErrorKind::FileTooLarge => {
            format!("it is larger than {} MiB", super::MESSAGE_BYTES_MAX >> 20)
        }
        _ => error.to_string(),
    }
}
