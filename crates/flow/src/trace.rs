//! Trace contexts: by them whoever collects spans finds everything that was done for one request, over attempts and processes.

/// The longest trace context, in bytes.
pub(crate) const TRACE_MAX: usize = 256;

/// A trace context: a W3C `traceparent` (<https://www.w3.org/TR/trace-context/>), or any other name of what a flow was submitted
/// for, such as the id of a request.
///
/// ```
/// use tutti_flow::Trace;
///
/// let trace = Trace::read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!(trace.id, "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(trace.parent, Some("b7ad6b7169203331"));
/// assert_eq!(Trace::read("request 7"), Trace { id: "request 7", parent: None });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace<'t> {
    /// The trace: of a `traceparent` its `trace-id`, else the whole name.
    pub id: &'t str,
    /// The span that submitted the flow, of a `traceparent`.
    pub parent: Option<&'t str>,
}

impl<'t> Trace<'t> {
    /// What a text says. Versions to come may have more behind the flags.
    #[must_use]
    pub fn read(text: &'t str) -> Self {
        let mut parts = text.splitn(5, '-');
        let mut part = |length| parts.next().filter(|part| is_hex(part, length));
        let (version, id, parent, flags) = (part(2), part(32), part(16), part(2));
        let has_rest = parts.next().is_some();
        let known = match version {
            Some("00") => !has_rest,
            version => version != Some("ff"),
        };
        match (version, id, parent, flags) {
            (Some(_), Some(id), Some(parent), Some(_))
                if known && !is_zero(id) && !is_zero(parent) =>
            {
                Self { id, parent: Some(parent) }
            }
            _ => Self { id: text, parent: None },
        }
    }
}

fn is_hex(part: &str, length: usize) -> bool {
    part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(part: &str) -> bool {
    part.bytes().all(|byte| byte == b'0')
}

/// Whether a text can be stored as a trace context.
pub(crate) fn is_trace(text: &str) -> bool {
    (1..=TRACE_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_traceparent_is_a_name() {
        let (id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        for text in [format!("00-{id}-{parent}-00"), format!("01-{id}-{parent}-01-more-to-come")] {
            assert_eq!(Trace::read(&text), Trace { id, parent: Some(parent) }, "{text}");
        }
        for text in [
            String::new(),
            "request".into(),
            format!("00-{id}-{parent}"),
            format!("00-{id}-{parent}-01-"),
            format!("ff-{id}-{parent}-01"),
            format!("00-{}-{parent}-01", id.to_uppercase()),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{id}-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(Trace::read(&text), Trace { id: text.as_str(), parent: None }, "{text}");
        }
    }

    #[test]
    fn only_a_short_line_of_visible_characters_is_kept() {
        assert!(is_trace("request 7") && is_trace(&"x".repeat(TRACE_MAX)));
        for text in ["", "a\nb", "é", &"x".repeat(TRACE_MAX + 1)] {
            assert!(!is_trace(text), "{text}");
        }
    }
}
