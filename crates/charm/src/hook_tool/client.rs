//! One tool call from start to end.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use super::surroundings::cause;
use super::{
    Call, Invocation, MESSAGE_BYTES_MAX, Output, ProcessSurroundings, Request, Response,
    Surroundings, ToolError, Usage, decode, encode, parse, reachable_path,
};

/// The variable that names the agent's socket: a path, or `@name` for an abstract one.
pub const ADDRESS_VARIABLE: &str = "JUJU_AGENT_SOCKET_ADDRESS";
/// The variable that names the running hook.
pub const CONTEXT_VARIABLE: &str = "JUJU_CONTEXT_ID";

/// How long a tool waits to be killed after `juju-reboot --now` was accepted.
const KILL_WAIT: Duration = Duration::from_secs(600);

/// Runs the tool of this name with the arguments after it and returns the process's exit code.
///
/// Reads the environment, may read files and stdin, writes to stdout and stderr.
pub fn run(tool: &str, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match answer(tool, arguments, &mut ProcessSurroundings) {
        Ok(()) => 0,
        Err(Usage::Help(text)) => {
            // Nobody to tell if stdout is gone.
            let _ = print(&text);
            0
        }
        Err(Usage::Wrong(error)) => {
            let _ = io::stderr().write_all(format!("ERROR {}\n", error.message).as_bytes());
            error.exit_code
        }
    }
}

fn answer(
    tool: &str,
    arguments: impl IntoIterator<Item = OsString>,
    surroundings: &mut dyn Surroundings,
) -> Result<(), Usage> {
    let words: Result<Vec<String>, _> = arguments.into_iter().map(OsString::into_string).collect();
    let words = words.map_err(|word| {
        ToolError::argument(format!("argument {:?} is not UTF-8 text", word.to_string_lossy()))
    })?;
    let Invocation { call, output, notes } = parse(tool, words, surroundings)?;
    for note in notes {
        let _ = io::stderr().write_all(format!("{note}\n").as_bytes());
    }
    let context = variable(surroundings, CONTEXT_VARIABLE)?;
    let address = variable(surroundings, ADDRESS_VARIABLE)?;
    let killed = call == Call::JujuReboot { now: true };
    match exchange(&address, &Request { context, call })? {
        Response::Error(error) => return Err(error.into()),
        Response::Value(value) => show(&output, &output.format.write(&value))?,
        Response::Done => show(&output, "")?,
    }
    if killed {
        // The agent ends the whole hook; nothing of the charm may run until then.
        std::thread::sleep(KILL_WAIT);
    }
    Ok(())
}

fn variable(surroundings: &dyn Surroundings, name: &str) -> Result<String, ToolError> {
    surroundings.variable(name).ok_or_else(|| {
        ToolError::running(format!("{name} is not set: this command only works inside a hook"))
    })
}

fn exchange(address: &str, request: &Request) -> Result<Response, ToolError> {
    let unreachable = |error: io::Error| {
        ToolError::running(format!("cannot reach the agent at {address}: {}", cause(&error)))
    };
    let message = encode(request).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => ToolError::running(format!(
            "the arguments are larger than the {} MiB a call may have",
            MESSAGE_BYTES_MAX >> 20
        )),
        _ => unreachable(error),
    })?;
    let mut stream = connect(address).map_err(unreachable)?;
    // The agent may refuse a request before it has read all of it: its answer counts, not the broken pipe.
    let sent = stream.write_all(&message);
    let received = receive(&mut stream);
    match (sent, received) {
        (_, Ok(response)) => Ok(response),
        (Err(error), Err(_)) => Err(unreachable(error)),
        (Ok(()), Err(error)) => Err(match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
                ToolError::running("the agent has gone away before it answered")
            }
            _ => ToolError::running(format!("cannot read the agent's answer: {}", cause(&error))),
        }),
    }
}

fn connect(address: &str) -> io::Result<UnixStream> {
    match address.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => {
            let (path, _directory) = reachable_path(Path::new(address))?;
            UnixStream::connect(path)
        }
    }
}

fn receive(stream: &mut UnixStream) -> io::Result<Response> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::from(ErrorKind::FileTooLarge));
    }
    let mut bytes = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(io::Error::from(ErrorKind::UnexpectedEof));
    }
    decode(&bytes)
}

fn show(output: &Output, text: &str) -> Result<(), ToolError> {
    match &output.file {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            ToolError::running(format!("cannot write {}: {}", path.display(), cause(&error)))
        }),
        None => print(text).map_err(|error| {
            ToolError::running(format!("cannot write the answer: {}", cause(&error)))
        }),
    }
}

/// Writes to stdout; a reader that has seen enough (`config-get | head -1`) is no error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests;
