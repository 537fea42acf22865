//! Servers with certificates, and proxies.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};
use tutti_content::{
    digest::Expected,
    download::{Client, Credentials, Error, Reason, Request, Source, SourceSettings},
};

use crate::server::Server;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server that says whether its client has a certificate, or sends somewhere else.
    async fn server(&self, elsewhere: Option<String>) -> String {
        let (certificate, key) = self.certificate("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let Ok(mut connection) = acceptor.accept(connection).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let has_one = connection.get_ref().1.peer_certificates().is_some();
                let body = if has_one { "known" } else { "nobody" };
                let answer = match &elsewhere {
                    Some(url) => {
                        format!("HTTP/1.1 302 -\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n")
                    }
                    None => {
                        format!("HTTP/1.1 200 -\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    }
                };
                let _ = connection.write_all(answer.as_bytes()).await;
                let _ = connection.shutdown().await;
            }
        });
        format!("https://localhost:{port}/")
    }
}

async fn get(source: &Source) -> Result<String, Error> {
    let (urls, expected) = ([source.url.clone()], Expected::default());
    let page = Client::new(source).await?.page(&Request::new(&urls, &expected)).await?;
    Ok(String::from_utf8(page.unwrap().bytes).unwrap())
}

fn source(url: String) -> Source {
    let settings = SourceSettings { retries: 0, ..SourceSettings::default() };
    Source { url, settings, ..Source::default() }
}

#[tokio::test]
async fn certificates_of_both_sides() {
    let authority = Authority::new();
    let mut source = source(authority.server(None).await);
    let error = get(&source).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Connection { .. }), "nobody knows it: {error:?}");
    source.settings.tls_validation = false;
    assert_eq!(get(&source).await.unwrap(), "nobody");
    source.settings.tls_validation = true;
    source.settings.ca_certificates = Some(authority.pem.clone());
    assert_eq!(get(&source).await.unwrap(), "nobody");
    let (certificate, key) = authority.certificate("me");
    source.credentials = Credentials {
        client_certificate: Some(certificate.pem()),
        client_key: Some(key.serialize_pem()),
        ..Credentials::default()
    };
    assert_eq!(get(&source).await.unwrap(), "known");
    // Others that the source refers to are not told who asks.
    source.url = authority.server(Some(source.url)).await;
    assert_eq!(get(&source).await.unwrap(), "nobody");
    for broken in ["", "nonsense"] {
        source.credentials.client_key = Some(broken.into());
        let error = get(&source).await.unwrap_err();
        assert!(matches!(error.reason, Reason::Setting { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    let proxy = Server::start().await;
    let mut source = source("http://192.0.2.1/a".into());
    source.settings.proxy_url = Some(proxy.url.clone());
    source.credentials.proxy_username = Some("me".into());
    source.credentials.proxy_password = Some("password".into());
    proxy.bytes("http://192.0.2.1/a", b"through it");
    assert_eq!(get(&source).await.unwrap(), "through it");
    let asked = proxy.asked();
    assert_eq!(asked[0].headers["proxy-authorization"], "Basic bWU6cGFzc3dvcmQ=");
    source.settings.proxy_url = Some("not a url".into());
    let error = get(&source).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Setting { setting: "proxy", .. }), "{error:?}");
}
