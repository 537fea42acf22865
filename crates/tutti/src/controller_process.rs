//! Starting this machine's controller when a command needs it and nobody listens.
//!
//! The controller is this same binary, `tutti serve`, in a session of its own, its words in
//! `controller.log` of the data directory. Two commands may start one each at the same time: the
//! lock on the database lets one live, and both commands then find that one's socket.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tutti_client::{Address, Client};
use tutti_model::api::ControllerInfo;

use crate::directories;
use crate::failure::{Attempt as _, Failure, Outcome};

/// How long a controller may take to listen.
const START: Duration = Duration::from_secs(10);

/// How long another controller gets to listen after the one started here has given way to it.
const OTHER: Duration = Duration::from_secs(3);

/// How often to look.
const STEP: Duration = Duration::from_millis(2);

/// A controller that listens now.
#[derive(Debug)]
pub(crate) struct Started {
    name: String,
    data: PathBuf,
    /// Connected to it.
    pub(crate) client: Client,
}

impl fmt::Display for Started {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, data) = (&self.name, self.data.display());
        write!(formatter, "started controller {name:?} in {data} ('tutti stop' ends it)")
    }
}

/// Whether nobody listens at the address, as opposed to somebody who cannot be reached.
pub(crate) fn is_absent(error: &tutti_client::Error) -> bool {
    match error {
        tutti_client::Error::Connect { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        }
        _ => false,
    }
}

/// Starts the controller of the data directory and waits until it listens.
pub(crate) async fn start(name: &str, options: &[String]) -> Outcome<Started> {
    let data = directories::data();
    let log = directories::log(&data);
    let address = Address::Unix(directories::socket(&data));
    let attempt = || format!("cannot start a controller in {}", data.display());
    tutti_controller::create_data_directory(&data).attempt(attempt)?;
    let said_before = fs::metadata(&log).map(|log| log.len()).unwrap_or(0);
    let mut process = spawn(&data, &log, name, options).attempt(attempt)?;
    let mut deadline = Instant::now() + START;
    let mut gone = None;
    loop {
        match Client::connect(&address).await {
            Ok(client) => {
                give_way(&mut process, &client).await?;
                return Ok(Started { name: name.into(), data, client });
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if gone.is_none() {
            gone = process.try_wait().attempt(attempt)?;
            if gone.is_some() {
                deadline = deadline.min(Instant::now() + OTHER);
            }
        }
        if Instant::now() >= deadline {
            let why = match gone {
                Some(status) => format!("it ended with {status}"),
                None => format!("it does not listen after {} s", START.as_secs()),
            };
            return Err(Failure::new(format!(
                "cannot start a controller in {}: {why}; see {}{}",
                data.display(),
                log.display(),
                last_words(&log, said_before)
            )));
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Ends the process started here if another one listens: it would take over when that is stopped.
async fn give_way(process: &mut Child, client: &Client) -> Outcome {
    let controller: ControllerInfo = client.get("/v1").await?;
    if controller.pid != process.id() && process.try_wait()?.is_none() {
        process.kill()?;
        process.wait()?;
    }
    Ok(())
}

fn spawn(data: &Path, log: &Path, name: &str, options: &[String]) -> io::Result<Child> {
    let log = File::options().create(true).append(true).mode(0o600).open(log)?;
    let program = std::env::current_exe()?;
    Command::new(program)
        .arg("serve")
        .arg("--data")
        .arg(data)
        .args(["--name", name, "--background"])
        .args(options)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// What the log says about the failed start: at most its last three lines.
fn last_words(log: &Path, from: u64) -> String {
    let Ok(bytes) = fs::read(log) else { return String::new() };
    let new = bytes.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default();
    let text = String::from_utf8_lossy(new);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].iter();
    last.map(|line| format!("\n  {line}")).collect()
}
