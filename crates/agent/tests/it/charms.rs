//! Charms in bash for these tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tutti_charm::digest::Digest;
use tutti_model::agent::CharmReference;

/// A charm being written.
pub(crate) struct Charm {
    directory: tempfile::TempDir,
}

impl Charm {
    /// A charm whose `dispatch` writes each event to `log` in the unit's directory and goes on with
    /// this script. An event named in the file `fail` of the unit's directory fails.
    pub(crate) fn new(script: &str) -> Self {
        let charm = Self::empty();
        let dispatch = format!(
            "#!/bin/bash\nset -eu\nunit=$(dirname \"$CHARM_DIR\")\nevent=${{JUJU_DISPATCH_PATH##*/}}\n\
             echo \"$event${{JUJU_REMOTE_UNIT:+ $JUJU_REMOTE_UNIT}}\" >>\"$unit/log\"\n\
             if grep -qsx \"$event\" \"$unit/fail\"; then echo \"$event fails\" >&2; exit 3; fi\n{script}\n"
        );
        charm.file("dispatch", &dispatch)
    }

    /// A charm without any program.
    pub(crate) fn empty() -> Self {
        let charm = Self { directory: tempfile::tempdir().unwrap() };
        charm.file("metadata.yaml", "name: test\nsummary: s\ndescription: d\n")
    }

    /// Adds an executable file.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Packs the charm into `directory` as this revision.
    pub(crate) fn pack(self, directory: &Path, revision: i64) -> (CharmReference, PathBuf) {
        let path = directory.join(format!("test-{revision}.charm"));
        tutti_charm::archive::pack_prepared(self.directory.path(), &path).unwrap();
        let digest = Digest::of_file(&path).unwrap().to_string();
        (CharmReference { url: format!("local:test-{revision}"), digest, revision }, path)
    }
}
