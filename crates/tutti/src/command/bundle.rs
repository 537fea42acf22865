//! Bundles.
use std::path::{Path, PathBuf};
use crate::context::{Context, Model};
use crate::failure::{Failure, Outcome};

pub(super) struct Options<'a> {
    pub(super) overlays: &'a [PathBuf],
    pub(super) dry_run: bool,
    pub(super) trust: bool,
    pub(super) force: bool,
}
pub(super) fn file_of(path: &Path) -> Option<PathBuf> { None }
pub(super) async fn deploy(context: &Context, model: &Model, file: &Path, options: &Options<'_>) -> Outcome { Err(Failure::new("")) }
