//! What services say about themselves, as text or JSON, on stderr.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::{Attempt as _, Outcome};

/// How much a service says, and in which form.
#[derive(Args, Clone, Debug)]
pub(in crate::command) struct LogArguments {
    /// Form of the log
    #[arg(long, value_name = "FORM", default_value = "text", env = "TUTTI_LOG_FORMAT")]
    log_format: LogFormat,
    /// error, warn, info, debug, trace; or per module: info,tutti_agent=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "TUTTI_LOG_LEVEL")]
    log_level: String,
}

/// The forms of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object per line
    Json,
}

impl LogArguments {
    /// Starts logging for the rest of the process.
    pub(in crate::command) fn start(&self) -> Outcome {
        let level = &self.log_level;
        let filter = EnvFilter::try_new(level)
            .attempt(|| format!("invalid value {level:?} for flag --log-level"))?;
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => {
                use std::io::IsTerminal as _;
                let ansi = std::io::stderr().is_terminal();
                registry.with(layer.with_ansi(ansi)).try_init()?;
            }
            LogFormat::Json => registry.with(layer.json()).try_init()?,
        }
        Ok(())
    }
}
