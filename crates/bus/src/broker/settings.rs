//! How a broker is to be.

use std::path::PathBuf;

use crate::{broker::engine::EngineSettings, resp::Limits};

/// When a change counts as written down, so that it may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the operating system has it: the broker may be killed at any instant, and nothing that was answered is lost. The disk
    /// follows once a second, so when the machine itself loses its power, up to a second of events may be lost. As Redis with
    /// `appendfsync everysec`.
    #[default]
    Process,
    /// When the disk has it: also the machine may lose its power. As Redis with `appendfsync always`.
    Disk,
}

/// How a broker is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file of the log; its directory must exist. Without one, nothing outlives the broker.
    pub data: Option<PathBuf>,
    /// When a change counts as written down.
    pub durability: Durability,
    /// Bytes beyond twice of what the log took when it had last been written anew, above which it is written anew.
    pub rewrite_bytes_min: usize,
    /// What clients have to give by `AUTH`.
    pub password: Option<String>,
    /// How many databases there are; each is a bus.
    pub databases: usize,
    /// Bytes of data above which commands that add some are refused with `OOM`; 0 for no limit. Nothing is ever removed to make room.
    pub memory_bytes_max: usize,
    /// Connected clients.
    pub clients_max: usize,
    /// Longest argument of a command, in bytes.
    pub bulk_bytes_max: usize,
    /// Longest reply, in bytes. Who asks for more is disconnected.
    pub output_bytes_max: usize,
    /// Bytes that the buffers of all connections take together. Who needs more than there is left is disconnected.
    pub buffers_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: None,
            durability: Durability::default(),
            rewrite_bytes_min: 64 << 20,
            password: None,
            databases: 16,
            memory_bytes_max: 512 << 20,
            clients_max: 10_000,
            bulk_bytes_max: 64 << 20,
            output_bytes_max: 256 << 20,
            buffers_bytes_max: 512 << 20,
        }
    }
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            bulk_bytes_max: self.bulk_bytes_max,
            request_bytes_max: self.bulk_bytes_max.saturating_mul(2),
            ..Limits::default()
        }
    }

    pub(super) fn engine(&self, now: i64) -> EngineSettings {
        EngineSettings {
            databases: self.databases,
            memory_bytes_max: self.memory_bytes_max,
            password: self.password.clone(),
            clients_max: self.clients_max,
            bulk_bytes_max: self.bulk_bytes_max,
            logs: self.data.is_some(),
            process_id: std::process::id(),
            started_at: now,
        }
    }
}
