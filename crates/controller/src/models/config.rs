//! What is read of a model's config; the settings there are stand in
//! [`tutti_model::model_config`].

use tutti_model::model_config;

use super::Model;

/// The value in force, as text; empty for a setting nobody knows or set.
pub(crate) fn text<'m>(model: &'m Model, key: &str) -> &'m str {
    model_config::text(&model.config.0, key).unwrap_or_default()
}

/// Whether a failed hook is retried (`automatically-retry-hooks`).
pub(crate) fn retry_hooks(model: &Model) -> bool {
    matches!(text(model, "automatically-retry-hooks"), "true" | "True" | "1")
}
