//! The bytes between a tool and its agent: one request, one response, each a JSON document after its length
//! as four bytes, most significant first.
//!
//! Both ends are the same binary, so the format may change with every release.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, ToolError};

/// Largest JSON document either end accepts. A hook may write 16 MiB of relation data (the agent's limit),
/// which can double when quoted.
pub const MESSAGE_BYTES_MAX: u32 = 32 << 20;

/// Longest path a unix socket's address holds, without the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What a tool sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The hook the tool belongs to: `JUJU_CONTEXT_ID`.
    pub context: String,
    /// What it asks.
    pub call: Call,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Done, and there is nothing to print.
    Done,
    /// The answer; `null` is one too.
    Value(Value),
    /// Refused.
    Error(ToolError),
}

/// A message as it goes over the socket.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).ok().filter(|n| *n <= MESSAGE_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// A message without its length.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::from)
}

/// A path by which a socket can be bound or reached although its own path may be longer than a socket's
/// address holds: then through the returned handle of its directory, which must stay open meanwhile.
pub fn reachable_path(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    };
    let directory = File::open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((short, Some(directory)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_survive() {
        let request = Request { context: "u/0-start-1".into(), call: Call::IsLeader };
        let bytes = encode(&request).unwrap();
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert_eq!(length, bytes.len() - 4);
        assert_eq!(decode::<Request>(&bytes[4..]).unwrap(), request);

        for response in [
            Response::Done,
            Response::Value(Value::Null),
            Response::Value(json!({"a": [1, "x"]})),
            Response::Error(ToolError::argument("no")),
        ] {
            let bytes = encode(&response).unwrap();
            assert_eq!(decode::<Response>(&bytes[4..]).unwrap(), response);
        }
    }

    #[test]
    fn huge_messages_are_refused() {
        let value = Response::Value("x".repeat(MESSAGE_BYTES_MAX as usize).into());
        assert_eq!(encode(&value).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn long_paths_are_reached() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("agent.socket");
        let (short, _open) = reachable_path(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(short).unwrap();
        let (short, _open) = reachable_path(&path).unwrap();
        std::os::unix::net::UnixStream::connect(short).unwrap();
    }
}
