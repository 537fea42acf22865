//! Charms for tests, made of a few files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tutti_charm::archive::pack_prepared;

/// A charm's files.
#[derive(Clone, Debug)]
pub(crate) struct Source(BTreeMap<&'static str, String>);

/// A charm of that name with a few options, an action, a peer endpoint and both ends of `sql`.
pub(crate) fn charm(name: &str) -> Source {
    let metadata = format!(
        "name: {name}\nsummary: s\ndescription: d\npeers: {{cluster: {{interface: cluster}}}}\n\
         provides: {{db: {{interface: sql}}}}\nrequires: {{backend: {{interface: sql}}}}\n"
    );
    let config = "options:\n  port: {type: int, default: 80, description: where}\n  \
                  banner: {type: string, default: ''}\n  loud: {type: boolean}\n";
    Source(BTreeMap::from([
        ("metadata.yaml", metadata),
        ("config.yaml", config.into()),
        ("actions.yaml", "ping: {description: pong}\n".into()),
        ("dispatch", "#!/bin/sh\n".into()),
    ]))
}

impl Source {
    /// With another file, or another content of a file.
    pub(crate) fn with(mut self, path: &'static str, content: &str) -> Self {
        self.0.insert(path, content.into());
        self
    }

    /// With more lines in `metadata.yaml`.
    pub(crate) fn metadata(mut self, lines: &str) -> Self {
        self.0.entry("metadata.yaml").or_default().push_str(lines);
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.0.remove(path);
        self
    }

    pub(crate) fn subordinate(&self) -> bool {
        self.0["metadata.yaml"].contains("subordinate: true")
    }

    /// Packs the charm into an archive in a directory.
    pub(crate) fn pack(&self, directory: &Path) -> PathBuf {
        let tree = tempfile::tempdir_in(directory).unwrap();
        for (path, content) in &self.0 {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let archive = directory.join("packed.charm");
        pack_prepared(tree.path(), &archive).unwrap();
        archive
    }
}
