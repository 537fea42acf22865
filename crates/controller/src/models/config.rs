//! What is read of a model's config; the settings there are stand in
//! [`tutti_model::model_config`].

use tutti_model::duration::parse_duration;
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

/// How often `update-status` runs, milliseconds; 0: never.
pub(crate) fn update_status_interval_ms(model: &Model) -> u64 {
    // The setting was checked when it was written.
    let interval = parse_duration(text(model, "update-status-hook-interval")).unwrap_or_default();
    u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)
}
