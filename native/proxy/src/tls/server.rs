//! The end of TLS that clients see.

use super::sni::Shows;
use super::{PROVIDER, versions};
use crate::table::{Problem, State};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;
use wire::proxy::Https;

/// What the certificates of one listener have in common.
pub struct Ends {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    http2: bool,
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Ends {
    pub fn new(row: &Https) -> Result<Ends, Problem> {
        let versions = versions(&row.protocols);
        if versions.is_empty() {
            return Err(Problem::new("protocols is empty", "name TLSv1.2, TLSv1.3 or both"));
        }
        let mut provider = (**PROVIDER).clone();
        if !row.ciphers.is_empty() {
            provider.cipher_suites.retain(|suite| named(suite, &row.ciphers));
        }
        let provider = Arc::new(provider);
        let usable = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
        usable.map_err(|error| {
            Problem::new(format!("protocols and ciphers leave nothing: {error}"), "name ciphers that rustls has")
        })?;
        let tickets = row.session_tickets.then(aws_lc_rs::Ticketer::new).transpose();
        let tickets = tickets.map_err(|error| Problem::new(format!("no session tickets: {error}"), "try again"))?;
        Ok(Ends { provider, versions, tickets, http2: row.http2 })
    }

    pub fn config(&self, key: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&self.versions);
        let builder = builder.expect("it was tried").with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(Always(key)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &self.tickets {
            Some(tickets) => config.ticketer = tickets.clone(),
            None => config.send_tls13_tickets = 0,
        }
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Arc::new(config)
    }

    /// RFC 8737 3.
    pub fn challenge(key: Arc<CertifiedKey>, protocol: &[u8]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(PROVIDER.clone()).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has all versions").with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(Always(key)));
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// By OpenSSL's name. Those of TLS 1.3 are not subject to its lists.
fn named(suite: &SupportedCipherSuite, names: &[String]) -> bool {
    let name = match suite.suite() {
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return true,
    };
    names.iter().any(|held| held == name)
}

/// A client that has said what it wants.
pub enum Accepted {
    Ended(Box<TlsStream<TcpStream>>, Ended),
    /// It was a challenge, and is answered.
    Challenge,
}

/// What is known of a TLS connection.
pub struct Ended {
    pub http2: bool,
}

pub async fn accept(mut stream: TcpStream, state: &State, listener: &str) -> io::Result<Accepted> {
    let mut acceptor = Acceptor::default();
    let mut octets = [0; 4096];
    let mut taken = 0;
    let accepted = loop {
        let count = stream.read(&mut octets).await?;
        taken += count;
        if count == 0 || taken > HELLO_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut rest = &octets[..count];
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) => {}
            Err((_, mut alert)) => {
                let mut text = Vec::new();
                alert.write_all(&mut text)?;
                stream.write_all(&text).await?;
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    };
    let hello = accepted.client_hello();
    let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
    if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ALPN_CHALLENGE)) {
        let Some(config) = state.challenges.get(&name).cloned() else { return unrecognized(stream).await };
        let mut stream = StartHandshake::from_parts(accepted, stream).into_stream(config).await?;
        stream.shutdown().await?;
        return Ok(Accepted::Challenge);
    }
    let config = state.sni(listener, &name).and_then(|sni| match &sni.shows {
        Shows::Certificate(configs) => configs.get(listener).cloned(),
    });
    let Some(config) = config else { return unrecognized(stream).await };
    let stream = StartHandshake::from_parts(accepted, stream).into_stream(config).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Accepted::Ended(Box::new(stream), Ended { http2 }))
}

/// RFC 6066 3: unrecognized_name, fatal.
async fn unrecognized<T>(mut stream: TcpStream) -> io::Result<T> {
    stream.write_all(&[21, 3, 3, 0, 2, 2, 112]).await?;
    stream.shutdown().await?;
    Err(io::ErrorKind::NotFound.into())
}

pub const ALPN_CHALLENGE: &[u8] = b"acme-tls/1";
const HELLO_MAX_BYTES: usize = 64 << 10;
