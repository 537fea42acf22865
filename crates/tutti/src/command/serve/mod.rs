//! `serve`, `agent` and `stop`: the processes behind the commands.
//!
//! `serve` is a whole system: controller and agent in one process, which still talk HTTP over the
//! unix socket, as an agent of its own (`tutti agent`) would.

mod logging;
mod signals;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rustix::process::{Pid, Signal, kill_process, setsid, test_kill_process};
use tutti_agent::Agent;
use tutti_bus::broker::Broker;
use tutti_client::{Address, Client};
use tutti_controller::{BusOptions, Controller};
use tutti_model::api::ControllerInfo;

use super::bus;
use crate::arguments::GoDuration;
use crate::context::Context;
use crate::directories;
use crate::failure::{Attempt as _, Failure, Outcome};
pub(super) use logging::LogArguments;
pub(super) use signals::Signals;

/// Where the API listens besides the unix socket, unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 17070);

/// The machine an agent serves unless told otherwise: this host.
const MACHINE: &str = "0";

/// How often, and after which pause, a start is tried again when the usual port was taken while
/// the controller started.
const RETRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(20);

/// How long a controller may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// The shortest lease of agents.
const LEASE_MIN: Duration = Duration::from_secs(2);

/// Commands that are services, and the one that ends them.
#[derive(Debug, Subcommand)]
pub(crate) enum ServeCommand {
    /// Run a controller and this machine's agent until told to stop
    #[command(after_help = "Examples:\n  tutti serve\n  \
                            tutti serve --database postgres://tutti@/tutti --log-format json")]
    Serve(Box<Serve>),
    /// Run this machine's agent alone
    Agent(AgentCommand),
    /// Stop this machine's controller
    Stop(Stop),
}

impl ServeCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Serve(command) => Box::pin(command.run(context)).await,
            Self::Agent(command) => command.run().await,
            Self::Stop(command) => command.run(context).await,
        }
    }

    /// Whether it runs until it is told to stop.
    pub(super) fn is_service(&self) -> bool {
        !matches!(self, Self::Stop(_))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Directory for everything the controller keeps [default: as 'tutti' finds it]
    #[arg(long, value_name = "DIRECTORY", env = "TUTTI_DATA")]
    data: Option<PathBuf>,
    /// sqlite file or postgres://… [default: tutti.db in the data directory]
    #[arg(long, value_name = "PATH|URL", env = "TUTTI_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Loopback address of the HTTP API; port 0 takes any free one [default: 127.0.0.1:17070]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Unix socket of the HTTP API [default: tutti.sock in the data directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Name of the controller
    #[arg(long, value_name = "NAME", default_value = crate::client_store::DEFAULT_NAME)]
    name: String,
    /// Cloud of models that name none: localhost or local-k8s
    #[arg(long, value_name = "CLOUD", env = "TUTTI_DEFAULT_CLOUD", default_value = "localhost")]
    default_cloud: String,
    /// Changes that may wait for one resource; more are refused
    #[arg(long, value_name = "NUMBER", default_value_t = 256)]
    queue_max: usize,
    /// Flows of one model that may be unfinished; more are refused
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    flows_max: u32,
    /// How long an agent may be silent before what depends on it is unknown
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    agent_lease: GoDuration,
    /// Loopback address of the bus, besides bus.sock in the data directory: 127.0.0.1:6379
    #[arg(long, value_name = "ADDRESS", env = "TUTTI_BUS_LISTEN")]
    bus_listen: Option<SocketAddr>,
    /// Redis to use in place of the built-in bus: redis://HOST:PORT/DATABASE
    #[arg(long, value_name = "URL", env = "TUTTI_BUS_URL", hide_env_values = true)]
    bus_url: Option<String>,
    /// Without the bus
    #[arg(long)]
    no_bus: bool,
    /// Only the controller; agents are started with 'tutti agent'
    #[arg(long)]
    no_agent: bool,
    /// Leave the session of whoever started it
    #[arg(long, hide = true)]
    background: bool,
    #[command(flatten)]
    log: LogArguments,
}

impl Serve {
    async fn run(self, context: &Context) -> Outcome {
        if self.background {
            // Fails only for a process that leads its session already, which is as good.
            let _ = setsid();
        }
        self.log.start()?;
        let mut signals = Signals::listen()?;
        let began = Instant::now();
        let controller = self.start().await?;
        let socket = controller.socket().to_owned();
        let agent = match self.no_agent {
            true => None,
            false => Some(start_agent(Address::Unix(socket.clone()), &self.data(), MACHINE)?),
        };
        let bus = self.start_bus().await;
        tracing::info!(
            name = self.name,
            socket = %socket.display(),
            address = controller.address().map(tracing::field::display),
            milliseconds = began.elapsed().as_millis(),
            "controller ready"
        );
        if !self.background {
            context.tell(format!("controller {:?} listens on {}", self.name, socket.display()));
        }
        let failure = tokio::select! {
            signal = signals.first() => {
                tracing::info!(signal, "stopping");
                None
            }
            error = controller.failed() => {
                tracing::error!(%error, "stopping");
                Some(error)
            }
        };
        let stop = async {
            if let Some(agent) = agent
                && let Err(error) = agent.stop().await
            {
                tracing::warn!(%error, "the agent had ended before");
            }
            controller.stop().await;
            if let Some(bus) = bus {
                bus.shutdown().await;
            }
        };
        signals.unless_again(stop).await?;
        // Whoever watches over the process starts it again.
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Starts the bus. That it cannot be had is no reason to leave applications alone.
    async fn start_bus(&self) -> Option<Broker> {
        if self.no_bus || self.bus_url.is_some() {
            return None;
        }
        match bus::start(&self.data(), self.bus_listen).await {
            Ok(broker) => Some(broker),
            Err(failure) => {
                let why = failure.message().unwrap_or_default();
                tracing::error!("going on without the bus: {why}");
                None
            }
        }
    }

    /// The bus, if there is to be one.
    fn bus(&self) -> Outcome<Option<BusOptions>> {
        Ok(match &self.bus_url {
            _ if self.no_bus => None,
            Some(url) => {
                Some(BusOptions { address: bus::address("--bus-url", url)?, url: url.clone() })
            }
            None => Some(bus::options(&self.data(), self.bus_listen)),
        })
    }

    fn data(&self) -> PathBuf {
        let data = self.data.clone().unwrap_or_else(directories::data);
        std::path::absolute(&data).unwrap_or(data)
    }

    /// Starts the controller, on another port if the usual one is taken meanwhile.
    async fn start(&self) -> Outcome<Controller> {
        let mut options = self.options()?;
        let (mut left, mut taken) = (RETRIES, false);
        loop {
            let error = match Controller::start(options.clone()).await {
                Ok(controller) => return Ok(controller),
                Err(error) => error,
            };
            // Nothing else is worth a retry: a database that is in use belongs to a controller that
            // lives, and waiting for its end would bring back what somebody has stopped.
            taken |= is_taken(&error);
            if self.listen.is_some() || left == 0 || !taken {
                return Err(error.into());
            }
            // The database of the failed start may take a moment to close.
            left -= 1;
            options.listen = Some(SocketAddr::new(LISTEN.ip(), 0));
            tokio::time::sleep(RETRY).await;
        }
    }

    fn options(&self) -> Outcome<tutti_controller::Options> {
        let mut options = tutti_controller::Options::new(self.data());
        options.database.clone_from(&self.database);
        options.socket.clone_from(&self.socket);
        options.listen = Some(self.address()?);
        options.name.clone_from(&self.name);
        options.default_cloud.clone_from(&self.default_cloud);
        options.queue_max = self.queue_max;
        options.flows_max = self.flows_max;
        if self.agent_lease.0 < LEASE_MIN {
            return Err(Failure::usage(format!(
                "--agent-lease {} is too short to tell a silent agent from a busy one: at least {}",
                self.agent_lease,
                GoDuration(LEASE_MIN)
            )));
        }
        options.agent_lease = self.agent_lease.0;
        options.bus = self.bus()?;
        Ok(options)
    }

    /// The address to listen on: the one given, else the usual one, else any free one.
    fn address(&self) -> Outcome<SocketAddr> {
        if let Some(address) = self.listen {
            if !address.ip().is_loopback() {
                return Err(Failure::new(format!(
                    "refusing to listen on {address}: the API has neither TLS nor logins yet, so \
                     only loopback addresses such as 127.0.0.1:17070 are served"
                )));
            }
            return Ok(address);
        }
        match TcpListener::bind(LISTEN) {
            Ok(_) => Ok(LISTEN),
            Err(error) => {
                tracing::warn!(%error, "{LISTEN} is taken; listening on another port");
                Ok(SocketAddr::new(LISTEN.ip(), 0))
            }
        }
    }
}

/// Whether a start failed because somebody else listens on the port.
fn is_taken(error: &tutti_controller::Error) -> bool {
    use std::io::ErrorKind::AddrInUse;
    matches!(error, tutti_controller::Error::Start { what, source }
        if source.kind() == AddrInUse && what.contains(&LISTEN.to_string()))
}

/// Starts an agent whose hook tools are this very binary.
fn start_agent(controller: Address, data: &Path, machine: &str) -> Outcome<tutti_agent::Handle> {
    let binary = std::env::current_exe().attempt(|| "cannot find this binary".into())?;
    let options = tutti_agent::Options::new(controller, data.to_owned(), machine, binary);
    Ok(Agent::start(options)?)
}

#[derive(Args, Debug)]
pub(crate) struct AgentCommand {
    /// The controller: path of its socket, or http://127.0.0.1:PORT [default: this machine's]
    #[arg(long, value_name = "ADDRESS", env = "TUTTI_CONTROLLER")]
    controller: Option<String>,
    /// Directory for the units [default: as 'tutti' finds it]
    #[arg(long, value_name = "DIRECTORY", env = "TUTTI_DATA")]
    data: Option<PathBuf>,
    /// The machine whose units it runs
    #[arg(long, value_name = "MACHINE", default_value = MACHINE)]
    machine: String,
    #[command(flatten)]
    log: LogArguments,
}

impl AgentCommand {
    async fn run(self) -> Outcome {
        self.log.start()?;
        let data = self.data.unwrap_or_else(directories::data);
        let controller = match &self.controller {
            Some(address) => address.parse()?,
            None => Address::Unix(directories::socket(&data)),
        };
        let mut signals = Signals::listen()?;
        let mut agent = start_agent(controller, &data, &self.machine)?;
        tracing::info!(machine = self.machine, data = %data.display(), "agent ready");
        let signal = tokio::select! {
            signal = signals.first() => signal,
            ended = agent.ended() => return Ok(ended?),
        };
        tracing::info!(signal, "stopping");
        signals.unless_again(async { agent.stop().await }).await??;
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Stop {}

impl Stop {
    async fn run(self, context: &Context) -> Outcome {
        let target = context.target(None)?;
        match context.running(&target).await? {
            Some(client) => {
                stop_controller(&client).await?;
                context.tell(format!("Controller {:?} stopped.", target.name));
            }
            None => context.tell(format!("Controller {:?} does not run.", target.name)),
        }
        Ok(())
    }
}

/// Tells the controller's process to end, and waits until it has.
pub(super) async fn stop_controller(client: &Client) -> Outcome {
    let info: ControllerInfo = client.get("/v1").await?;
    let pid = i32::try_from(info.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else {
        return Err(Failure::new("the controller does not say which process it is"));
    };
    kill_process(pid, Signal::TERM)
        .attempt(|| format!("cannot stop the controller, process {}", info.pid))?;
    let deadline = Instant::now() + STOP;
    while test_kill_process(pid).is_ok() && Client::connect(client.address()).await.is_ok()
        || is_alive(pid)
    {
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "the controller, process {}, does not end within {} s",
                info.pid,
                STOP.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Whether a process runs; one that has ended and nobody has asked about yet does not.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.ok().and_then(|stat| {
        let (_, rest) = stat.rsplit_once(')')?;
        rest.trim_start().chars().next()
    });
    !matches!(state, None | Some('Z' | 'X'))
}
