//! The smallest program that serves as every hook tool: install it under the names in
//! [`tutti_charm::hook_tool::TOOLS`] and each of them works by the name it is called.

use std::path::Path;
use std::process::ExitCode;

use tutti_charm::hook_tool;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let command = words.next().unwrap_or_default();
    let name = Path::new(&command).file_name().unwrap_or_default().to_string_lossy().into_owned();
    ExitCode::from(hook_tool::run(&name, words))
}
