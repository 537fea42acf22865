//! An agent alone: `agent SOCKET DATA`, with the socket of its controller and a directory of its own.
//!
//! The same program is every hook tool, by the name it is called with: the agent makes links to it
//! and puts them on the charms' `PATH`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tutti_agent::{Agent, Options};
use tutti_charm::hook_tool;
use tutti_client::Address;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let command = words.next().unwrap_or_default();
    let name = Path::new(&command).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name != "agent" {
        return ExitCode::from(hook_tool::run(&name, words));
    }
    let (Some(socket), Some(data)) = (words.next(), words.next()) else {
        eprintln!("usage: agent SOCKET DATA");
        return ExitCode::from(2);
    };
    match serve(socket.into(), data.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(socket: PathBuf, data: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let binary = std::env::current_exe()?;
    let mut agent = Agent::start(Options::new(Address::Unix(socket), data, "0", binary))?;
    tokio::select! {
        ended = agent.ended() => ended?,
        _ = tokio::signal::ctrl_c() => agent.stop().await?,
    }
    Ok(())
}
