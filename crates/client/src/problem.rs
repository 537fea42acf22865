//! Why the controller refused a call.

use std::fmt;

use serde::Deserialize;

/// An error answer of the API (RFC 9457).
///
/// Every field may be missing in the document, so that an answer of something that is not a
/// controller at all (a proxy, another server on the port) still gives a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// Stable machine word, e.g. `application-not-found`, or empty.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// One sentence for a person.
    pub detail: String,
    /// Every reason at once, when there are several.
    pub reasons: Vec<String>,
    /// The whole answer, for calls that answer a refusal with a document of their own.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Problem {
    /// Reads an error answer, whatever it holds.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        if problem.detail.is_empty() && problem.code.is_empty() {
            let text = String::from_utf8_lossy(body);
            problem.detail = text.trim().chars().take(500).collect();
        }
        problem.body = body.to_vec();
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.detail.as_str(), self.code.as_str()) {
            ("", "") => write!(formatter, "the controller answered {}", self.status)?,
            ("", code) => formatter.write_str(code)?,
            (detail, _) => formatter.write_str(detail)?,
        }
        for reason in &self.reasons {
            write!(formatter, "\n- {reason}")?;
        }
        Ok(())
    }
}
