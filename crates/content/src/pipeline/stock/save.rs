//! Writes down what is known: bytes, units, their files, and where those are offered.

use std::sync::Arc;

use tutti_store::{Json, Tx, sql};

use super::{
    super::stages::{SAVE_ARTIFACTS, SAVE_UNITS},
    UNITS_AT_ONCE,
};
use crate::{
    Artifact, Error, artifact,
    digest::{Algorithm, Digests},
    pipeline::{Declared, DeclaredFile, Stage, batches},
    unit::{self, NewUnit},
};

sql! {
    FILE = "INSERT INTO unit_artifact (unit, path, digest, size) SELECT $1, $2, $3, $4 {rows} WHERE TRUE \
            ON CONFLICT (unit, path) DO NOTHING";
    OFFER = "INSERT INTO remote_artifact (unit, path, remote, url, digests) SELECT $1, $2, $3, $4, $5 {rows} WHERE TRUE \
             ON CONFLICT (unit, path, remote) DO UPDATE SET url = excluded.url, digests = excluded.digests";
}

/// First their names are made to last, then their rows say that they are here.
pub(in crate::pipeline) fn save_artifacts() -> Stage<Declared, Declared> {
    batches(SAVE_ARTIFACTS, UNITS_AT_ONCE, |context, mut units: Vec<Declared>| async move {
        let files = units.iter().flat_map(|unit| &unit.files).filter(|file| file.is_fresh);
        let fresh: Arc<[Artifact]> = files.filter_map(|file| file.artifact.clone()).collect();
        if !fresh.is_empty() {
            let digests: Vec<String> =
                fresh.iter().map(|artifact| artifact.digest.clone()).collect();
            context.artifacts().settle(digests).await?;
            let write = move |tx: &mut Tx<'_>| {
                let now = tx.now()?;
                artifact::record_many(tx, fresh.iter(), now)
            };
            context.store().write(write).await?;
        }
        units.iter_mut().for_each(|unit| unit.room = None);
        Ok(units)
    })
}

pub(in crate::pipeline) fn save_units() -> Stage<Declared, Declared> {
    batches(SAVE_UNITS, UNITS_AT_ONCE, |context, mut units: Vec<Declared>| async move {
        let writes = Writes::of(&units);
        if !writes.is_empty() {
            let ids = context.store().write(move |tx| writes.write(tx)).await?;
            for (unit, id) in units.iter_mut().zip(ids) {
                unit.unit = id;
            }
        }
        Ok(units)
    })
}

/// What a batch writes; rows name their unit by its position in the batch.
struct Writes {
    known: Vec<Option<i64>>,
    /// Units that are not there, by position.
    new: Vec<(usize, NewUnit)>,
    /// Stored bytes of those: a cleanup may have looked at them before they were wanted again.
    artifacts: Vec<Artifact>,
    files: Vec<FileRow>,
    arrived: Vec<FileRow>,
    offers: Vec<OfferRow>,
}

struct FileRow {
    unit: usize,
    path: String,
    digest: Option<String>,
    size: Option<u64>,
}

struct OfferRow {
    unit: usize,
    path: String,
    remote: i64,
    url: String,
    digests: Json<Digests>,
}

impl Writes {
    fn of(units: &[Declared]) -> Self {
        let known = units.iter().map(|unit| unit.unit).collect();
        let (new, artifacts) = (Vec::new(), Vec::new());
        let (files, arrived, offers) = (Vec::new(), Vec::new(), Vec::new());
        let mut writes = Self { known, new, artifacts, files, arrived, offers };
        for (position, unit) in units.iter().enumerate() {
            if unit.unit.is_none()
                && let Some(new) = unit.to_new()
            {
                writes.artifacts.extend(unit.files.iter().filter_map(|file| file.artifact.clone()));
                writes.new.push((position, new));
            }
            for file in &unit.files {
                writes.add(position, unit, file);
            }
        }
        writes
    }

    fn add(&mut self, position: usize, unit: &Declared, file: &DeclaredFile) {
        let row = || FileRow {
            unit: position,
            path: file.path.clone(),
            digest: file.digest().map(str::to_owned),
            size: file.artifact.as_ref().map(|artifact| artifact.size).or(file.expected.size),
        };
        if unit.is_known && !file.is_filed {
            self.files.push(row());
        } else if unit.is_known && !file.is_digested && file.digest().is_some() {
            self.arrived.push(row());
        }
        if let Some(url) = file.urls.first().filter(|_| !file.is_offered) {
            let mut digests = file.expected.digests.clone();
            digests.remove(&Algorithm::Sha256);
            self.offers.push(OfferRow {
                unit: position,
                path: file.path.clone(),
                remote: unit.origin.remote,
                url: url.clone(),
                digests: Json(digests),
            });
        }
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty()
            && self.files.is_empty()
            && self.arrived.is_empty()
            && self.offers.is_empty()
    }

    /// Answers the id of each unit of the batch.
    fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<Option<i64>>, Error> {
        let now = tx.now()?;
        let mut ids = self.known.clone();
        artifact::record_many(tx, &self.artifacts, now)?;
        let new: Vec<NewUnit> = self.new.iter().map(|(_, new)| new.clone()).collect();
        let saved = unit::save(tx, &new, now)?;
        for ((position, _), saved) in self.new.iter().zip(&saved) {
            if let Some(id) = ids.get_mut(*position) {
                *id = Some(saved.id);
            }
        }
        let id = |position: usize| ids.get(position).copied().flatten();
        let mut files: Vec<_> = self
            .files
            .iter()
            .filter_map(|row| {
                Some((id(row.unit)?, row.path.as_str(), row.digest.as_deref(), row.size))
            })
            .collect();
        files.sort_unstable();
        files.dedup_by_key(|row| (row.0, row.1));
        tx.exec_many(FILE, files)?;
        let mut arrived: Vec<_> = self
            .arrived
            .iter()
            .filter_map(|row| {
                Some((id(row.unit)?, row.path.as_str(), row.digest.as_deref()?, row.size?))
            })
            .collect();
        arrived.sort_unstable();
        arrived.dedup_by_key(|row| (row.0, row.1));
        unit::arrived(tx, arrived)?;
        let mut offers: Vec<_> = self
            .offers
            .iter()
            .filter_map(|row| {
                Some((id(row.unit)?, row.path.as_str(), row.remote, row.url.as_str(), &row.digests))
            })
            .collect();
        offers.sort_unstable_by_key(|row| (row.0, row.1, row.2));
        offers.dedup_by_key(|row| (row.0, row.1, row.2));
        tx.exec_many(OFFER, offers)?;
        Ok(ids)
    }
}
