//! How an API call fails.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error answer, `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Problem {
    /// Stable machine word, e.g. `application-not-found`, `charm-refused`, `conflict`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// One sentence for a person: what failed, on what, why, what to do.
    pub detail: String,
    /// Every reason at once, when there are several.
    pub reasons: Vec<String>,
}
