//! Finds what is there already, in one read for all units that have accumulated.

use std::{collections::HashMap, sync::Arc};

use tutti_store::{Tx, row, sql};

use super::{super::stages::QUERY, UNITS_AT_ONCE};
use crate::{
    Artifact, artifact,
    download::Policy,
    pipeline::{Context, Declared, Error, Stage, batches},
    unit,
};

sql! {
    FILES = "SELECT f.unit, f.path, f.digest, f.size, a.digest IS NOT NULL FROM unit_artifact f \
             LEFT JOIN artifact a ON a.digest = f.digest {rows} WHERE f.unit = $1";
    OFFERS = "SELECT unit, path, remote, url FROM remote_artifact {rows} WHERE unit = $1";
}

row! {
    struct File {
        unit: i64,
        path: String,
        digest: Option<String>,
        size: Option<u64>,
        is_stored: bool,
    }

    struct Offer {
        unit: i64,
        path: String,
        remote: i64,
        url: String,
    }
}

/// What the database knows of a batch.
struct Known {
    units: Vec<Option<unit::Known>>,
    files: HashMap<(i64, String), File>,
    offers: HashMap<(i64, String, i64), String>,
    artifacts: HashMap<String, Artifact>,
}

pub(in crate::pipeline) fn query() -> Stage<Declared, Declared> {
    batches(QUERY, UNITS_AT_ONCE, |context, units| async move {
        context.count(|counts| counts.declared += units.len() as u64);
        let (mut units, known) = context.store().read(move |tx| look(tx, units)).await?;
        touch(&context, &known).await?;
        for (unit, found) in units.iter_mut().zip(&known.units) {
            fill_in(unit, *found, &known);
        }
        find_on_disk(&context, &mut units).await?;
        Ok(units)
    })
}

fn look(tx: &mut Tx<'_>, units: Vec<Declared>) -> Result<(Vec<Declared>, Known), Error> {
    let keys = units.iter().map(|unit| {
        let identity = unit.identity.as_deref()?;
        Some((unit.content_type.as_str(), unit.path.as_str(), identity))
    });
    let found = unit::look_up(tx, &keys.collect::<Vec<_>>())?;
    let mut ids: Vec<i64> = found.iter().flatten().map(|known| known.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let offers: Vec<Offer> = tx.all_many(OFFERS, ids.iter().map(|unit| (*unit,)))?;
    let files: Vec<File> = tx.all_many(FILES, ids.iter().map(|unit| (*unit,)))?;
    let is_new = |found: &&Option<unit::Known>| found.is_none();
    let new = units.iter().zip(&found).filter(|(_, found)| is_new(found)).map(|(unit, _)| unit);
    let mut digests: Vec<&str> =
        new.flat_map(|unit| &unit.files).filter_map(|file| file.expected.artifact()).collect();
    digests.sort_unstable();
    digests.dedup();
    let artifacts = artifact::stored(tx, digests)?;
    let known = Known {
        units: found,
        files: files.into_iter().map(|file| ((file.unit, file.path.clone()), file)).collect(),
        offers: offers
            .into_iter()
            .map(|offer| ((offer.unit, offer.path, offer.remote), offer.url))
            .collect(),
        artifacts: artifacts
            .into_iter()
            .map(|artifact| (artifact.digest.clone(), artifact))
            .collect(),
    };
    Ok((units, known))
}

/// What is looked for stays, while it is on its way into a version.
async fn touch(context: &Context, known: &Known) -> Result<(), Error> {
    let known: Vec<unit::Known> = known.units.iter().copied().flatten().collect();
    let now = context.store().read(|tx| tx.now()).await?;
    if !known.iter().any(|known| known.is_old(now)) {
        return Ok(());
    }
    let known: Arc<[unit::Known]> = known.into();
    context.store().write(move |tx| unit::touch(tx, &known, now)).await?;
    Ok(())
}

fn fill_in(unit: &mut Declared, found: Option<unit::Known>, known: &Known) {
    unit.unit = found.map(|found| found.id);
    unit.is_known = found.is_some();
    for file in &mut unit.files {
        let Some(found) = found else {
            file.artifact =
                file.expected.artifact().and_then(|digest| known.artifacts.get(digest)).cloned();
            continue;
        };
        let offered = known.offers.get(&(found.id, file.path.clone(), unit.origin.remote));
        file.is_offered = offered.map(String::as_str) == file.urls.first().map(String::as_str);
        let Some(filed) = known.files.get(&(found.id, file.path.clone())) else { continue };
        file.is_filed = true;
        let Some(digest) = &filed.digest else { continue };
        file.is_digested = true;
        if filed.is_stored {
            let size = filed.size.unwrap_or_default();
            file.artifact = Some(Artifact { digest: digest.clone(), size });
        } else if file.expected.artifact().is_none() {
            let expected = crate::digest::Expected::sha256(digest, filed.size);
            file.expected.digests.extend(expected.digests);
        }
    }
}

/// Bytes that a run which died has fetched and not written down. Those that are written down are touched, too: no
/// cleanup takes them away while the unit is on its way.
async fn find_on_disk(context: &Context, units: &mut [Declared]) -> Result<(), Error> {
    let is_looked_for = |unit: &Declared| !unit.is_known || unit.origin.policy == Policy::Immediate;
    let mut digests = Vec::new();
    for unit in units.iter().filter(|unit| is_looked_for(unit)) {
        for file in unit.files.iter().filter(|file| !(unit.is_known && file.artifact.is_some())) {
            digests.extend(file.digest().map(str::to_owned));
        }
    }
    if digests.is_empty() {
        return Ok(());
    }
    let found = context.artifacts().keep_many(digests).await?;
    for unit in units.iter_mut().filter(|unit| is_looked_for(unit)) {
        let is_known = unit.is_known;
        for file in unit.files.iter_mut().filter(|file| !(is_known && file.artifact.is_some())) {
            file.artifact = file.digest().and_then(|digest| found.get(digest)).cloned();
            file.is_fresh = file.artifact.is_some();
        }
    }
    Ok(())
}
