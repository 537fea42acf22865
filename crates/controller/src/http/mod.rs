//! Listeners, the router, and how requests and errors cross HTTP.
//!
//! The API is served on a unix socket and, if wanted, on a loopback port. A handler answers with
//! a value or an [`Error`], which becomes a problem document. A handler that panics answers 500
//! and nothing else suffers.
//!
//! Every change goes through [`Mutation`]: idempotency keys, preconditions, waiting for its flow.
//! Every JSON answer to a `GET` has an entity tag (`conditional`).

mod body_note;
mod call;
mod conditional;
mod extract;
mod listen;
mod mutation;
mod problem;
mod reply;
mod resource;
mod wait;

use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::FutureExt;
use tutti_model::api::ControllerInfo;
use tutti_store::Backend;

pub(crate) use extract::{Body, Query, Segments, drain};
pub(crate) use listen::{Listeners, bind};
pub(crate) use mutation::Mutation;
pub(crate) use problem::sentence;
pub(crate) use reply::Reply;
pub(crate) use resource::{Kind, Resource};

use crate::Error;
use crate::metrics::count_requests;
use crate::state::{Shared, State};

/// Version of the Juju behaviour the controller speaks.
pub(crate) const AGENT_VERSION: &str = "3.6.9";

/// The whole API.
pub(crate) fn router(state: Arc<State>) -> Router {
    routes()
        .fallback(async || Error::NotFound("there is nothing at this path".into()))
        .method_not_allowed_fallback(async || Error::Method)
        .layer(middleware::from_fn(conditional::tagged))
        .merge(crate::pulp::routes())
        .layer(middleware::from_fn(refuse_browsers))
        .layer(middleware::from_fn(fence))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count_requests))
        .with_state(state)
}

/// Every noun's routes.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1", get(controller))
        .merge(crate::agents::routes())
        .merge(crate::applications::routes())
        .merge(crate::artifacts::routes())
        .merge(crate::charms::routes())
        .merge(crate::deferred::routes())
        .merge(crate::flows::routes())
        .merge(crate::logs::routes())
        .merge(crate::machines::routes())
        .merge(crate::metrics::routes())
        .merge(crate::models::routes())
        .merge(crate::openapi::routes())
        .merge(crate::operations::routes())
        .merge(crate::relations::routes())
        .merge(crate::secrets::routes())
        .merge(crate::status::routes())
        .merge(crate::storage::routes())
        .merge(crate::units::routes())
        .merge(crate::workers::routes())
}

/// A page in a browser of this machine reaches the loopback port as well as its user does; without
/// logins only this keeps it out.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    if is_from_page(request.headers()) {
        return Error::Forbidden("the API is not for pages in browsers".into()).into_response();
    }
    next.run(request).await
}

/// Whether a page sent the request: of another site, which `Origin` tells, or of one whose public
/// name was made to point here, which `Host` tells.
fn is_from_page(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    let name = host.as_deref().unwrap_or_default();
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    let is_public = name.contains('.') && name.parse::<Ipv4Addr>().is_err();
    headers.contains_key(ORIGIN) || is_public
}

/// Logs each request, and turns a panic into a 500.
async fn fence(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answer.unwrap_or_else(|_| Error::Panicked.into_response());
    tracing::debug!(
        %method,
        path,
        status = response.status().as_u16(),
        microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    response
}

/// `GET /v1`.
async fn controller(axum::extract::State(state): Shared) -> Json<ControllerInfo> {
    let options = &state.options;
    Json(ControllerInfo {
        name: options.name.clone(),
        uuid: state.uuid.clone(),
        agent_version: AGENT_VERSION.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        database: match state.store.backend() {
            Backend::Sqlite => "sqlite".into(),
            Backend::Postgres => "postgresql".into(),
        },
        pid: std::process::id(),
        address: state.address.map(|address| address.to_string()).unwrap_or_default(),
        socket: options.socket().display().to_string(),
        data: options.data.display().to_string(),
        default_cloud: options.default_cloud.clone(),
    })
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::http::header::{HOST, ORIGIN};
    use axum::middleware;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tutti_client::{Client, Error};

    #[test]
    fn pages_are_told_from_programs() {
        for (host, origin, expected) in [
            ("127.0.0.1:17070", None, false),
            ("[::1]:17070", None, false),
            ("localhost", None, false),
            ("", None, false),
            ("127.0.0.1:17070", Some("http://example.com"), true),
            ("127.0.0.1:17070", Some("null"), true),
            ("example.com:17070", None, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
            assert_eq!(super::is_from_page(&headers), expected, "{host} {origin:?}");
        }
        assert!(!super::is_from_page(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_panic_is_one_failed_request() {
        let router = Router::new()
            .route(
                "/bug",
                get(async || {
                    if true {
                        panic!("a bug")
                    }
                }),
            )
            .route("/fine", get(async || "1"))
            .layer(middleware::from_fn(super::fence));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::connect(&address).await.unwrap();
        let Err(Error::Problem(problem)) = client.get::<u8>("/bug").await else { panic!("no bug") };
        assert_eq!((problem.status, problem.code.as_str()), (500, "internal"));
        assert_eq!(client.get::<u8>("/fine").await.unwrap(), 1);
    }
}
