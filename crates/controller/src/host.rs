//! The machine the controller runs on, read once.

use tutti_charm::manifest::host_architecture;

/// What is shown of the host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) hostname: String,
    /// Processor cores.
    pub(crate) cores: u32,
    /// `arch=amd64 cores=2 mem=4096M`.
    pub(crate) hardware: String,
}

impl Host {
    /// Reads what the kernel tells.
    pub(crate) fn read() -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = hostname.trim();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = mebibytes(&memory).map(|size| format!(" mem={size}M")).unwrap_or_default();
        Self {
            hostname: if hostname.is_empty() { "localhost" } else { hostname }.to_owned(),
            cores,
            hardware: format!("arch={} cores={cores}{memory}", host_architecture()),
        }
    }
}

/// All memory, from the text of `/proc/meminfo`.
fn mebibytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory() {
        let text = "MemTotal:       24586180 kB\nMemFree:        1 kB\n";
        assert_eq!(super::mebibytes(text), Some(24009));
        assert_eq!(super::mebibytes(""), None);
    }
}
