//! The verbs of the API.

use std::path::Path;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::connection::{Connection, Pool};
use crate::upload::{Body, FileBody};
use crate::{Address, Error, Events, Problem, Result};

/// The most a JSON answer may hold.
const ANSWER: usize = 256 * 1024 * 1024;

/// What stands for itself neither in a segment of a path nor in a value of a query: everything but
/// the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one controller.
///
/// Clones share a small pool of kept-alive connections; each call in flight has one of its own, so
/// any number of calls may run at once. A connection the controller has closed meanwhile is
/// replaced without the caller noticing, as long as the request cannot have been acted on twice:
/// always when it was not sent, else only for `GET`, `PUT` and `DELETE`.
///
/// Calls have no time limit of their own, since long polls are meant to last.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// Connects to a controller.
    ///
    /// # Errors
    /// [`Error::Connect`] when nobody listens there.
    pub async fn connect(address: &Address) -> Result<Self> {
        let client = Self::new(address);
        let connection = client.pool.open().await?;
        client.pool.give_back(connection);
        Ok(client)
    }

    /// A client that connects with its first call.
    #[must_use]
    pub fn new(address: &Address) -> Self {
        Self { pool: Arc::new(Pool::new(address.clone())) }
    }

    /// Where the controller is.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.pool.address()
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// Every [`Error`] of an exchange; [`Error::Problem`] for a status of 400 and above.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// Sends a value. The answer of a call that answers nothing is `()`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.json(Method::POST, path, encode_json(path, body)?).await
    }

    /// Replaces a resource.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.json(Method::PUT, path, encode_json(path, body)?).await
    }

    /// Changes a resource.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T> {
        self.json(Method::PATCH, path, encode_json(path, body)?).await
    }

    /// Removes a resource.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(Method::DELETE, path, Bytes::new()).await
    }

    /// Streams an answer into `writer` and flushes it. Returns how many bytes it were.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Error::Write`]. Some bytes may have been written before.
    pub async fn get_bytes_to<W: AsyncWrite + Unpin + ?Sized>(
        &self,
        path: &str,
        writer: &mut W,
    ) -> Result<u64> {
        let failed = |source| Error::Write { path: path.into(), source };
        let (connection, response) = self.exchange(Method::GET, path, Bytes::new()).await?;
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| broke(&Method::GET, path, source))?;
            if let Ok(data) = frame.into_data() {
                writer.write_all(&data).await.map_err(failed)?;
                length += data.len() as u64;
            }
        }
        writer.flush().await.map_err(failed)?;
        self.pool.give_back(connection);
        Ok(length)
    }

    /// Streams a file to the controller, with its length told beforehand. `progress` is told
    /// `(bytes sent, bytes in all)` after each piece.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Error::ReadFile`].
    pub async fn post_file<T: DeserializeOwned>(
        &self,
        path: &str,
        file: &Path,
        progress: impl FnMut(u64, u64) + Send + Sync + 'static,
    ) -> Result<T> {
        let failed = |source| Error::ReadFile { path: file.into(), source };
        let opened = File::open(file).await.map_err(failed)?;
        let length = opened.metadata().await.map_err(failed)?.len();
        let body = Body::File(FileBody::new(opened, length, Box::new(progress)));
        let request = self.request(&Method::POST, path, body)?;
        // A connection of its own: a long transfer must not fail because an idle one was stale.
        let mut connection = self.pool.open().await?;
        let response = connection
            .send_request(request)
            .await
            .map_err(|source| broke(&Method::POST, path, source))?;
        self.finish(connection, &Method::POST, path, response).await
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn events(&self, path: &str) -> Result<Events> {
        let (_, response) = self.exchange(Method::GET, path, Bytes::new()).await?;
        Ok(Events::new(path, response.into_body()))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T> {
        let (connection, response) = self.exchange(method.clone(), path, body).await?;
        self.finish(connection, &method, path, response).await
    }

    /// Sends a request and receives the head of its answer; refusals are errors.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Connection, Response<Incoming>)> {
        let mut request = self.request(&method, path, Body::Bytes(body.clone()))?;
        while let Some(mut connection) = self.pool.reuse().await {
            let mut error = match connection.try_send_request(request).await {
                Ok(response) => return self.accept(connection, &method, path, response).await,
                Err(error) => error,
            };
            self.pool.forget();
            request = match error.take_message() {
                Some(unsent) => unsent,
                None if method.is_idempotent() => {
                    self.request(&method, path, Body::Bytes(body.clone()))?
                }
                None => return Err(broke(&method, path, error.into_error())),
            };
        }
        let mut connection = self.pool.open().await?;
        let response = connection
            .send_request(request)
            .await
            .map_err(|source| broke(&method, path, source))?;
        self.accept(connection, &method, path, response).await
    }

    fn request(&self, method: &Method, path: &str, body: Body) -> Result<Request<Body>> {
        let content = match &body {
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Bytes(_) => Some("application/json"),
            Body::File(_) => Some("application/octet-stream"),
        };
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.pool.address().host())
            .header(ACCEPT, "*/*");
        if let Some(content) = content {
            builder = builder.header(CONTENT_TYPE, HeaderValue::from_static(content));
        }
        builder.body(body).map_err(|source| Error::Request { path: path.into(), source })
    }

    async fn accept(
        &self,
        connection: Connection,
        method: &Method,
        path: &str,
        response: Response<Incoming>,
    ) -> Result<(Connection, Response<Incoming>)> {
        let status = response.status().as_u16();
        if status < 400 {
            return Ok((connection, response));
        }
        let body = read(method, path, response).await?;
        self.pool.give_back(connection);
        Err(Error::Problem(Box::new(Problem::read(status, &body))))
    }

    /// Reads an answer to its end, gives the connection back and decodes the JSON.
    async fn finish<T: DeserializeOwned>(
        &self,
        connection: Connection,
        method: &Method,
        path: &str,
        response: Response<Incoming>,
    ) -> Result<T> {
        let (connection, response) = self.accept(connection, method, path, response).await?;
        let body = read(method, path, response).await?;
        self.pool.give_back(connection);
        let json: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(json).map_err(|source| Error::Decode { path: path.into(), source })
    }
}

/// Reads an answer's body, up to [`ANSWER`] bytes.
async fn read(method: &Method, path: &str, response: Response<Incoming>) -> Result<Vec<u8>> {
    let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(length.min(1024 * 1024));
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| broke(method, path, source))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > ANSWER {
            return Err(Error::TooLarge { path: path.into(), limit: ANSWER });
        }
    }
    Ok(bytes)
}

fn encode_json<B: Serialize + ?Sized>(path: &str, body: &B) -> Result<Bytes> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|source| Error::Encode { path: path.into(), source })
}

fn broke(method: &Method, path: &str, source: hyper::Error) -> Error {
    Error::Http { method: method.to_string(), path: path.into(), source }
}

/// Percent-encodes a text for use as one path segment or one query value.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
