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
    if let Some(old) = deploy_files::current(unit)?
        && old != new
        && deploy_files::directory(unit, old).is_dir()
    {
        let old_files = deploy_files::manifest(unit, old)?;
        let new_files = deploy_files::manifest(unit, new)?;
        let (old, new) = (deploy_files::directory(unit, old), deploy_files::directory(unit, new));
        deploy_files::carry_over(&old, &old_files, &new, &new_files)?;
    }
    Ok(deploy_files::switch(unit, new)?)
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
