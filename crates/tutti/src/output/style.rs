//! Colours by meaning: good, busy, waiting for somebody, bad.

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const HEADING: Style = Style::new().bold();

/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();

/// Something is being done or waited for.
pub(crate) const BUSY: Style = AnsiColor::Cyan.on_default();

/// A person should look at it.
pub(crate) const ATTENTION: Style = AnsiColor::Yellow.on_default();

/// Something failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// Names of the things one works with.
pub(crate) const NAME: Style = Style::new();

/// The style of a status word, whatever it is the status of.
pub(crate) fn of_status(word: &str) -> Style {
    match word {
        "active" | "idle" | "started" | "running" | "available" | "attached" | "joined"
        | "completed" | "succeeded" | "in_sync" => GOOD,
        "maintenance" | "executing" | "allocating" | "waiting" | "pending" | "offered"
        | "installing" | "attaching" | "detaching" | "joining" | "ready" | "syncing"
        | "retrying" | "reverting" => BUSY,
        "blocked" | "unknown" | "lost" | "down" | "stopped" | "suspended" | "parked"
        | "drifted" | "reverted" | "cancelled" | "destroying" | "dying" => ATTENTION,
        "error" | "failed" | "terminated" | "stuck" | "provisioning error" | "revert_failed" => BAD,
        _ => Style::new(),
    }
}
