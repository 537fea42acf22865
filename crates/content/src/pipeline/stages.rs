//! The list of stages that declared units run through.

use super::{Declared, Error, Stage, stock};

/// Finds what is there already: units, files, bytes.
pub const QUERY: &str = "query";
/// Fetches the bytes of files that are to be here and are not.
pub const DOWNLOAD: &str = "download";
/// Writes down which bytes are here.
pub const SAVE_ARTIFACTS: &str = "save artifacts";
/// Saves units, their files, and where those are offered.
pub const SAVE_UNITS: &str = "save units";
/// Puts units into the new version.
pub const ADD: &str = "add";

/// Stages by name, in order. [`standard`](Self::standard) is what most content types want, with stages of their own put
/// before or after those that they depend on; so they profit when the list grows.
#[derive(Debug, Default)]
pub struct Stages(Vec<Stage<Declared, Declared>>);

impl Stages {
    /// [`QUERY`], [`DOWNLOAD`] (so many units at once), [`SAVE_ARTIFACTS`], [`SAVE_UNITS`], [`ADD`].
    #[must_use]
    pub fn standard(downloads: usize) -> Self {
        Self(vec![
            stock::query(),
            stock::download(downloads),
            stock::save_artifacts(),
            stock::save_units(),
            stock::add(),
        ])
    }

    /// No stages.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(Stage::name).collect()
    }

    /// Puts a stage at the end.
    #[must_use]
    pub fn and(mut self, stage: Stage<Declared, Declared>) -> Self {
        self.0.push(stage);
        self
    }

    /// Puts a stage before that one.
    ///
    /// # Errors
    /// [`Error::NoStage`].
    pub fn before(mut self, name: &str, stage: Stage<Declared, Declared>) -> Result<Self, Error> {
        let at = self.position(name)?;
        self.0.insert(at, stage);
        Ok(self)
    }

    /// Puts a stage after that one.
    ///
    /// # Errors
    /// [`Error::NoStage`].
    pub fn after(mut self, name: &str, stage: Stage<Declared, Declared>) -> Result<Self, Error> {
        let at = self.position(name)?;
        self.0.insert(at + 1, stage);
        Ok(self)
    }

    /// Puts a stage in the place of that one.
    ///
    /// # Errors
    /// [`Error::NoStage`].
    pub fn replace(mut self, name: &str, stage: Stage<Declared, Declared>) -> Result<Self, Error> {
        let at = self.position(name)?;
        self.0.splice(at..=at, [stage]);
        Ok(self)
    }

    /// Drops that stage.
    ///
    /// # Errors
    /// [`Error::NoStage`].
    pub fn without(mut self, name: &str) -> Result<Self, Error> {
        let at = self.position(name)?;
        self.0.remove(at);
        Ok(self)
    }

    /// All of them behind a first stage, as one.
    #[must_use]
    pub fn behind(self, first: Stage<(), Declared>) -> Stage<(), Declared> {
        self.0.into_iter().fold(first, Stage::then)
    }

    fn position(&self, name: &str) -> Result<usize, Error> {
        let found = self.0.iter().position(|stage| stage.name() == name);
        found.ok_or_else(|| Error::NoStage(name.to_owned()))
    }
}
