//! A unit's charm directory: made, switched to another revision, tidied.
//!
//! Everything here can be done again after a crash at any instant. A charm is unpacked beside the
//! present one before the unit's journal says that a switch begins; the switch itself is one
//! rename.

use std::path::Path;

use tutti_charm::deploy_files;
use tutti_charm::digest::Digest;
use tutti_model::agent::CharmReference;

use crate::error::{Error, Result};

/// Unpacks an archive beside what runs.
///
/// # Errors
/// The archive is not what its digest says or is refused; files cannot be written.
pub(crate) fn stage(unit: &Path, archive: &Path, charm: &CharmReference) -> Result<()> {
    let revision = u32::try_from(charm.revision).unwrap_or_default();
    deploy_files::stage(archive, unit, digest(charm)?, revision)?;
    Ok(())
}

/// Makes a staged charm the one that runs, with the files the unit's present charm has made for
/// itself.
///
/// # Errors
/// The charm was not staged; files cannot be copied.
pub(crate) fn switch(unit: &Path, charm: &CharmReference) -> Result<()> {
    let new = digest(charm)?;
    let running = deploy_files::current(unit)?.filter(|running| *running != new);
    let remains = deploy_files::remains(unit)?;
    if running.is_some() || remains.is_some() {
        // Of remains the list may be lost; what the charm has made matters more than what is too much.
        let files = |old: Digest| deploy_files::manifest(unit, old);
        let old_files = match running {
            Some(running) => files(running)?,
            None => remains.map(files).transpose().unwrap_or_default().unwrap_or_default(),
        };
        let target = deploy_files::directory(unit, new);
        deploy_files::carry_over(&unit.join("charm"), &old_files, &target, &files(new)?)?;
    }
    Ok(deploy_files::switch(unit, new)?)
}

/// Whether there is a charm that can run.
pub(crate) fn is_whole(unit: &Path) -> bool {
    deploy_files::is_whole(unit)
}

/// Forces the present charm to the disk, unless that was done. Takes its time.
///
/// # Errors
/// The disk reports an error.
pub(crate) fn make_durable(unit: &Path) -> Result<()> {
    Ok(deploy_files::make_durable(unit)?)
}

/// Removes the charms that are neither present nor `previous`, which is kept to go back to.
///
/// # Errors
/// Files cannot be removed.
pub(crate) fn prune(unit: &Path, previous: Option<&CharmReference>) -> Result<()> {
    let keep: Vec<Digest> = previous.into_iter().flat_map(digest).collect();
    Ok(deploy_files::prune(unit, &keep)?)
}

fn digest(charm: &CharmReference) -> Result<Digest> {
    charm.digest.parse().map_err(|_| Error::Digest { text: charm.digest.clone() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Packs a charm whose file `content` says which one it is.
    fn charm(directory: &Path, revision: i64) -> (CharmReference, PathBuf) {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("metadata.yaml"), "name: x\nsummary: s\n").unwrap();
        fs::write(source.path().join("content"), revision.to_string()).unwrap();
        let path = directory.join(format!("{revision}.charm"));
        tutti_charm::archive::pack_prepared(source.path(), &path).unwrap();
        let digest = Digest::of_file(&path).unwrap().to_string();
        (CharmReference { url: String::new(), digest, revision }, path)
    }

    #[test]
    fn charms_are_switched_with_what_they_made_and_back_again() {
        let directory = tempfile::tempdir().unwrap();
        let unit = directory.path().join("unit");
        fs::create_dir(&unit).unwrap();
        let charms = [1, 2, 3].map(|revision| charm(directory.path(), revision));
        let read = |name: &str| fs::read_to_string(unit.join("charm").join(name)).unwrap();
        let deploy = |number: usize, previous: Option<usize>| {
            let (reference, archive) = &charms[number];
            // Twice: what a crash interrupted is done again.
            for _ in 0..2 {
                stage(&unit, archive, reference).unwrap();
                switch(&unit, reference).unwrap();
            }
            prune(&unit, previous.map(|previous| &charms[previous].0)).unwrap();
        };
        deploy(0, None);
        assert_eq!((read("content").as_str(), read("revision").trim()), ("1", "1"));
        fs::write(unit.join("charm/.unit-state.db"), "state of 1").unwrap();
        deploy(1, Some(0));
        assert_eq!(
            (read("content").as_str(), read(".unit-state.db").as_str()),
            ("2", "state of 1")
        );
        fs::write(unit.join("charm/.unit-state.db"), "state of 2").unwrap();
        deploy(0, Some(1));
        assert_eq!(
            (read("content").as_str(), read(".unit-state.db").as_str()),
            ("1", "state of 2")
        );
        deploy(2, Some(0));
        let staged = |number: usize| unit.join("charms").join(&charms[number].0.digest).exists();
        assert_eq!([0, 1, 2].map(staged), [true, false, false], "the last one runs");
    }

    #[test]
    fn after_a_power_failure_a_charm_is_made_again_with_what_it_made() {
        let directory = tempfile::tempdir().unwrap();
        let unit = directory.path().join("unit");
        fs::create_dir(&unit).unwrap();
        let charms = [1, 2].map(|revision| charm(directory.path(), revision));
        let deploy = |(reference, archive): &(CharmReference, PathBuf)| {
            stage(&unit, archive, reference).unwrap();
            switch(&unit, reference).unwrap();
            assert!(is_whole(&unit));
        };
        let path = |name: &str| unit.join("charm").join(name);
        // Another boot than the one the mark names, and half of a file.
        let lose_power = || {
            fs::write(path("content"), "").unwrap();
            let marker = fs::read_to_string(path(".tutti-charm")).unwrap();
            let (digest, _) = marker.split_once(' ').unwrap();
            fs::write(path(".tutti-charm"), format!("{digest} another-boot\n")).unwrap();
            assert!(!is_whole(&unit));
        };
        deploy(&charms[0]);
        fs::write(path(".unit-state.db"), "state").unwrap();
        for (next, content) in [(0, "1"), (1, "2")] {
            lose_power();
            deploy(&charms[next]);
            let read = |name: &str| fs::read_to_string(path(name)).unwrap();
            assert_eq!((read("content"), read(".unit-state.db")), (content.into(), "state".into()));
        }
        make_durable(&unit).unwrap();
        assert!(!fs::read_to_string(path(".tutti-charm")).unwrap().contains(' '));
        assert!(is_whole(&unit));
    }

    #[test]
    fn a_charm_that_is_not_what_it_should_be_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let unit = directory.path().join("unit");
        fs::create_dir(&unit).unwrap();
        let ((one, _), (_, two)) = (charm(directory.path(), 1), charm(directory.path(), 2));
        assert!(stage(&unit, &two, &one).is_err());
        assert!(switch(&unit, &one).is_err());
        let nonsense = CharmReference { digest: "../..".into(), ..one };
        assert!(matches!(stage(&unit, &two, &nonsense), Err(Error::Digest { .. })));
        assert!(!unit.join("charm").exists());
    }
}
