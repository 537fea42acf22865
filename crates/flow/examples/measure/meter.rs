//! Wall time, CPU time of this process, its memory.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Runs from [`Meter::start`] to [`Meter::stop`].
pub(crate) struct Meter {
    started: Instant,
    cpu: Duration,
}

pub(crate) struct Figures {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu_time() }
    }

    pub(crate) fn stop(&self) -> Figures {
        Figures { wall: self.started.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

impl Figures {
    pub(crate) fn per_second(&self, count: usize) -> f64 {
        count as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn cpu_us(&self, count: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count as f64
    }

    pub(crate) fn wall_us(&self, count: usize) -> f64 {
        self.wall.as_secs_f64() * 1e6 / count as f64
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory this process holds now.
pub(crate) fn memory_mib() -> Result<f64> {
    of_status("VmRSS:")
}

/// The most it ever held.
pub(crate) fn peak_memory_mib() -> Result<f64> {
    of_status("VmHWM:")
}

fn of_status(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no memory in /proc")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
