//! Which program this binary is, by the name it was started under.
//!
//! One file serves all: `tutti` for people, `juju` for the tools that already speak it (same
//! commands, strictly Juju's words and exit codes), the hook tools that charms call, and
//! `juju-exec` (old name `juju-run`) for scripts on the unit's host, and `charmcraft` for build scripts.

use std::ffi::OsStr;
use std::path::Path;

/// What the binary acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    /// The command line of Tutti.
    Tutti,
    /// The same commands under Juju's name.
    Juju,
    /// `juju-exec UNIT COMMAND`, from a script beside a charm.
    JujuExec,
    /// `charmcraft pack`, from a build script or a test suite.
    Charmcraft,
}

impl Personality {
    /// The personality for `argv[0]`; everything unknown is Tutti.
    pub(crate) fn of(program: &OsStr) -> Self {
        match Path::new(program).file_name().and_then(OsStr::to_str) {
            Some("juju") => Self::Juju,
            Some("juju-exec" | "juju-run") => Self::JujuExec,
            Some("charmcraft") => Self::Charmcraft,
            _ => Self::Tutti,
        }
    }

    /// The name to use in sentences: `see 'tutti models'`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tutti => "tutti",
            Self::Juju => "juju",
            Self::JujuExec => "juju-exec",
            Self::Charmcraft => "charmcraft",
        }
    }
}

/// The hook tool that the program is called as, if it is one.
pub(crate) fn hook_tool(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    tutti_charm::hook_tool::TOOLS.iter().find(|tool| **tool == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (program, personality) in [
            ("tutti", Personality::Tutti),
            ("/usr/bin/juju", Personality::Juju),
            ("./juju-exec", Personality::JujuExec),
            ("juju-run", Personality::JujuExec),
            ("bin/charmcraft", Personality::Charmcraft),
            ("tutti-0.1", Personality::Tutti),
            ("", Personality::Tutti),
        ] {
            assert_eq!(Personality::of(OsStr::new(program)), personality, "{program}");
            assert_eq!(hook_tool(OsStr::new(program)), None, "{program}");
        }
        assert_eq!(hook_tool(OsStr::new("/x/tools/config-get")), Some("config-get"));
    }
}
