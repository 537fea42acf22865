//! Requests of one source.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};
use tokio::{sync::Semaphore, time::Instant};
use url::Url;

use super::{
    Credentials, Source, SourceSettings,
    address::{Reach, Resolver},
    error::{Error, Reason},
};

/// As often as browsers follow.
const REDIRECTIONS_MAX: usize = 20;

/// Fetches from one source, within its limits. Cheap to clone: clones share the limits.
#[derive(Clone, Debug)]
pub struct Client(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) url: Url,
    pub(super) settings: SourceSettings,
    credentials: Credentials,
    headers: HeaderMap,
    http: reqwest::Client,
    /// For other hosts that the source refers to: they get no certificate.
    elsewhere: reqwest::Client,
    reach: Reach,
    requests: Semaphore,
    /// When the next request may be made.
    turn: Mutex<Instant>,
}

impl Client {
    /// A client of that source.
    ///
    /// # Errors
    /// [`Reason::Url`], [`Reason::Setting`].
    pub async fn new(source: &Source) -> Result<Self, Error> {
        let failed = |reason| Error { url: shown(&source.url), attempt: 0, reason };
        Self::build(source).await.map_err(failed)
    }

    async fn build(source: &Source) -> Result<Self, Reason> {
        let (url, credentials) = apart(parse(&source.url)?, &source.credentials);
        let settings = &source.settings;
        let reach = if settings.any_address { Reach::Any } else { Reach::of(&url).await };
        let http = http(source, reach, true)?;
        let has_identity = source.credentials.client_certificate.is_some();
        let elsewhere = if has_identity { self::http(source, reach, false)? } else { http.clone() };
        let concurrency = settings.concurrency.clamp(1, 1_000);
        Ok(Self(Arc::new(Inner {
            url,
            settings: settings.clone(),
            credentials,
            headers: headers(settings)?,
            http,
            elsewhere,
            reach,
            requests: Semaphore::new(concurrency),
            turn: Mutex::new(Instant::now()),
        })))
    }

    /// Where the source begins.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// Requests it makes at the same time.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.0.settings.concurrency.clamp(1, 1_000)
    }
}

impl Inner {
    /// Waits until a request may be made; it is under way until the answer is dropped.
    pub(super) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let permit = self.requests.acquire().await.ok();
        if let Some(limit) = self.settings.rate_limit.filter(|limit| *limit > 0) {
            let at = {
                let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                let at = (*turn).max(Instant::now());
                *turn = at + Duration::from_secs(1) / limit;
                at
            };
            tokio::time::sleep_until(at).await;
        }
        permit
    }

    /// The answer to `GET`, wherever the server sends.
    pub(super) async fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Response, Reason> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTIONS_MAX {
            if !matches!(url.scheme(), "http" | "https") {
                let why = "only http and https are followed";
                return Err(Reason::Url { url: shown(url.as_str()), why });
            }
            self.reach.check(&url)?;
            let request = self.request(&url).headers(headers.clone());
            let response = request.send().await.map_err(|error| Reason::of(error, 0))?;
            match redirection(&response) {
                Some(location) => {
                    url = url
                        .join(&location)
                        .map_err(|_| Reason::Url { url: location, why: "the server sent there" })?;
                }
                None => return Ok(response),
            }
        }
        Err(Reason::Redirections { most: REDIRECTIONS_MAX })
    }

    /// What only the source itself is to know goes to no other host.
    fn request(&self, url: &Url) -> reqwest::RequestBuilder {
        if url.origin() != self.url.origin() {
            return self.elsewhere.get(url.clone());
        }
        let request = self.http.get(url.clone()).headers(self.headers.clone());
        match &self.credentials {
            Credentials { token: Some(token), .. } => request.bearer_auth(token),
            Credentials { username: Some(name), password, .. } => {
                request.basic_auth(name, password.as_ref())
            }
            _ => request,
        }
    }
}

/// A url, with what is wrong with it.
pub(super) fn parse(url: &str) -> Result<Url, Reason> {
    let wrong = |why| Reason::Url { url: shown(url), why };
    let parsed = Url::parse(url).map_err(|_| wrong("it is no url"))?;
    match parsed.scheme() {
        "http" | "https" if parsed.host().is_some() => Ok(parsed),
        "file" if parsed.host().is_none() => Ok(parsed),
        _ => Err(wrong("only http, https and file are fetched from")),
    }
}

/// A name and a password in a url are credentials as any other: what is derived from the url does not have them.
fn apart(mut url: Url, credentials: &Credentials) -> (Url, Credentials) {
    let mut credentials = credentials.clone();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    if credentials.username.is_none() && !url.username().is_empty() {
        credentials.username = Some(decoded(url.username()));
        credentials.password = url.password().map(decoded);
    }
    // Only urls that cannot have credentials refuse.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, credentials)
}

/// A url as it may be shown: without credentials.
pub(crate) fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        // Only urls that cannot have credentials refuse.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
    }
    parsed.into()
}

/// How long the server wants to be left alone, if it says so in seconds (RFC 9110).
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn redirection(response: &Response) -> Option<String> {
    let is_redirection = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ]
    .contains(&response.status());
    let location = response.headers().get(LOCATION).filter(|_| is_redirection)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn headers(settings: &SourceSettings) -> Result<HeaderMap, Reason> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(setting("headers"))?;
        let value = HeaderValue::try_from(value.as_str()).map_err(setting("headers"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn http(source: &Source, reach: Reach, with_identity: bool) -> Result<reqwest::Client, Reason> {
    let (settings, credentials) = (&source.settings, &source.credentials);
    let mut proxy_host = None;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tutti/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .read_timeout(Duration::from_millis(settings.read_timeout_ms))
        .pool_max_idle_per_host(settings.concurrency);
    if let Some(url) = &settings.proxy_url {
        let mut proxy = reqwest::Proxy::all(url).map_err(setting("proxy"))?;
        if let Some(name) = &credentials.proxy_username {
            proxy = proxy.basic_auth(name, credentials.proxy_password.as_deref().unwrap_or(""));
        }
        proxy_host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        builder = builder.proxy(proxy);
    }
    if let Some(pem) = &settings.ca_certificates {
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        builder = builder.tls_certs_merge(certificates.map_err(setting("CA certificates"))?);
    }
    if let Some(certificate) = credentials.client_certificate.as_ref().filter(|_| with_identity) {
        let key = credentials.client_key.as_deref().unwrap_or("");
        let identity = reqwest::Identity::from_pem(format!("{certificate}\n{key}").as_bytes());
        builder = builder.identity(identity.map_err(setting("client certificate"))?);
    }
    if !settings.tls_validation {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    let resolver = Resolver { reach, proxy: proxy_host };
    builder.dns_resolver(resolver).build().map_err(setting("settings"))
}

fn setting<E: std::error::Error + Send + Sync + 'static>(
    setting: &'static str,
) -> impl Fn(E) -> Reason {
    move |error| Reason::Setting { setting, source: Box::new(error) }
}
