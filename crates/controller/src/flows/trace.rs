//! For whom a flow is submitted: the trace of the request whose transaction submits it.
//!
//! A change is a synchronous closure, run on one thread from beginning to end. What it is made for is known to that thread
//! meanwhile, so that the dozen places that submit flows need not hand on what none of them looks at.

use std::cell::RefCell;

use axum::http::HeaderMap;
use tutti_flow::Trace;
use uuid::Uuid;

/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

thread_local! {
    static CURRENT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The trace of a request: the one it names, or a new one. One that makes no sense counts as none, as the standard says.
pub(crate) fn of_request(headers: &HeaderMap) -> String {
    let named = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let named = named.filter(|text| Trace::read(text).parent.is_some());
    named.map_or_else(new, str::to_owned)
}

/// A trace that begins here; nobody is known to record it.
fn new() -> String {
    let (_, span) = Uuid::now_v7().as_u64_pair();
    format!("00-{}-{span:016x}-00", Uuid::now_v7().simple())
}

/// Does something for a trace.
pub(crate) fn within<T>(trace: &str, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<String>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(trace.to_owned())));
    work()
}

/// The trace of what is being done.
pub(super) fn current() -> Option<String> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_lasts_as_long_as_the_work() {
        assert_eq!(current(), None);
        within("a", || {
            assert_eq!(within("b", current).as_deref(), Some("b"));
            assert_eq!(current().as_deref(), Some("a"));
        });
        let panicked = std::panic::catch_unwind(|| within("c", || panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(current(), None);
    }

    #[test]
    fn a_request_without_a_trace_gets_one() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = |text: &str| {
            HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), text.parse().unwrap())])
        };
        assert_eq!(of_request(&headers(given)), given);
        for headers in [HeaderMap::new(), headers("nonsense"), headers(&given.to_uppercase())] {
            let made = of_request(&headers);
            assert!(Trace::read(&made).parent.is_some() && made != of_request(&headers), "{made}");
        }
    }
}
