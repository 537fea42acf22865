//! What a [`Mutation`](super::Mutation) has to know of a body that another extractor reads.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::call::digest;
use crate::Error;

/// The member of a body that is about no resource but about the request.
const EXPECTED: &str = "expect_generation";

/// What was seen of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Digest of its bytes; empty if there was none, or nobody wants to know.
    pub(super) digest: String,
    /// `expect_generation`.
    pub(super) expect_generation: Option<i64>,
}

/// Passed from one extractor to the other in the request.
#[derive(Clone, Debug)]
pub(super) struct BodyNote {
    is_digested: bool,
    seen: Arc<OnceLock<Seen>>,
}

impl BodyNote {
    pub(super) fn new(is_digested: bool) -> Self {
        Self { is_digested, seen: Arc::default() }
    }

    pub(super) fn set(&self, seen: Seen) {
        // A request has one body.
        let _ = self.seen.set(seen);
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.get().cloned().unwrap_or_default()
    }

    /// Notes a JSON body; answers it without what was about the request.
    pub(super) fn read<'b>(&self, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Error> {
        let digest = if self.is_digested { digest(body) } else { String::new() };
        let (rest, expect_generation) = split(body)?;
        self.set(Seen { digest, expect_generation });
        Ok(rest)
    }
}

/// The body without `expect_generation`, and its value.
fn split(body: &[u8]) -> Result<(Cow<'_, [u8]>, Option<i64>), Error> {
    let quoted = format!("\"{EXPECTED}\"");
    if !body.windows(quoted.len()).any(|window| window == quoted.as_bytes()) {
        return Ok((Cow::Borrowed(body), None));
    }
    // What does not read is refused by whoever reads the rest.
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
        return Ok((Cow::Borrowed(body), None));
    };
    let expected = match members.remove(EXPECTED) {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_i64()
                .ok_or_else(|| Error::Invalid(format!("{EXPECTED}: {value} is no generation")))?,
        ),
    };
    let rest = serde_json::to_vec(&members)
        .map_err(|source| Error::Stored { what: "request's body", source })?;
    Ok((Cow::Owned(rest), expected))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_expected_generation_is_no_part_of_the_wish() {
        for (body, rest, expected) in [
            ("{\"cores\":4}", "{\"cores\":4}", None),
            ("{\"cores\":4,\"expect_generation\":7}", "{\"cores\":4}", Some(7)),
            ("{\"expect_generation\":null}", "{}", None),
            (
                "{\"set\":{\"expect_generation\":\"7\"}}",
                "{\"set\":{\"expect_generation\":\"7\"}}",
                None,
            ),
            ("[\"expect_generation\"", "[\"expect_generation\"", None),
            ("", "", None),
        ] {
            let (read, found) = split(body.as_bytes()).unwrap();
            assert_eq!((read.as_ref(), found), (rest.as_bytes(), expected), "{body}");
        }
        assert!(split(b"{\"expect_generation\":\"7\"}").is_err());
    }
}
