//! The end of TLS that clients see.

use super::clients::{Clients, Known};
use super::hello::{self, Hello};
use super::sni::Shows;
use super::{PROVIDER, versions};
use crate::later::Later;
use crate::table::{Problem, State};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::borrow::Cow;
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

    pub fn config(&self, key: Arc<CertifiedKey>, clients: Option<&Clients>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&self.versions);
        let builder = builder.expect("it was tried");
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Always(key)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A session of before a name asked for certificates has none: tickets are of what asks for them.
        let own = clients.and_then(|_| aws_lc_rs::Ticketer::new().ok());
        match self.tickets.as_ref().filter(|_| clients.is_none() || own.is_some()) {
            Some(tickets) => config.ticketer = own.unwrap_or_else(|| tickets.clone()),
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

/// Those of TLS 1.3 are not subject to OpenSSL's lists.
fn named(suite: &SupportedCipherSuite, names: &[String]) -> bool {
    suite.tls13().is_some() || names.iter().any(|held| held == openssl_name(suite.suite()))
}

fn openssl_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        _ => "",
    }
}

/// A client that has said what it wants.
pub enum Accepted {
    Ended(Box<TlsStream<Later>>, Ended),
    /// It was a challenge, and is answered.
    Challenge,
    /// TLS goes on to this cluster, with what was read of it.
    Passed(TcpStream, Vec<u8>, String),
    /// It is no TLS.
    Refused(&'static str),
}

/// What is known of a TLS connection.
pub struct Ended {
    pub http2: bool,
    /// That the client asked for, lower case; empty: none.
    pub name: String,
    pub protocol: &'static str,
    pub cipher: &'static str,
    /// Where the name asks for certificates.
    pub known: Option<Known>,
}

/// What `$ssl_*` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Protocol,
    Cipher,
    Verify,
    Subject,
    Issuer,
    Serial,
    Fingerprint,
    EscapedCertificate,
}

impl Ended {
    pub fn say(&self, what: Said) -> Cow<'_, str> {
        let known = self.known.as_ref();
        let certificate = known.and_then(|known| known.shown.certificate());
        match (what, certificate) {
            (Said::Protocol, _) => self.protocol.into(),
            (Said::Cipher, _) => self.cipher.into(),
            (Said::Verify, _) => known.map_or("NONE".into(), |known| known.verdict().into()),
            (_, None) => "".into(),
            (Said::Subject, Some(certificate)) => certificate.subject.as_str().into(),
            (Said::Issuer, Some(certificate)) => certificate.issuer.as_str().into(),
            (Said::Serial, Some(certificate)) => certificate.serial.as_str().into(),
            (Said::Fingerprint, Some(certificate)) => certificate.fingerprint.as_str().into(),
            (Said::EscapedCertificate, Some(certificate)) => certificate.escaped_pem().into(),
        }
    }
}

pub async fn accept(mut stream: TcpStream, state: &State, listener: &str) -> io::Result<Accepted> {
    let mut read = Vec::new();
    if state.passes {
        // Before anybody else: what is not for us need not be TLS that we speak.
        let name = match hello(&mut stream, &mut read).await? {
            Ok(name) => name,
            Err(reason) => {
                stream.write_all(&DECODE_ERROR).await?;
                return Ok(Accepted::Refused(reason));
            }
        };
        if let Some(Shows::Passthrough(cluster)) = state.sni(listener, &name).map(|sni| &sni.shows) {
            return Ok(Accepted::Passed(stream, read, cluster.clone()));
        }
    }
    let mut acceptor = Acceptor::default();
    let mut octets = [0; 4096];
    let mut taken = read.len();
    let mut fresh = &read[..];
    let accepted = loop {
        if fresh.is_empty() {
            let count = stream.read(&mut octets).await?;
            taken += count;
            if count == 0 || taken > HELLO_MAX_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            fresh = &octets[..count];
        }
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => break accepted,
            Ok(None) => {}
            Err((_, mut alert)) => {
                let mut text = Vec::new();
                alert.write_all(&mut text)?;
                stream.write_all(&text).await?;
                return Ok(Accepted::Refused("it speaks no TLS, or none that is spoken here"));
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
    let sni = state.sni(listener, &name);
    let config = sni.and_then(|sni| match &sni.shows {
        Shows::Certificate { configs, .. } => configs.get(listener).cloned(),
        Shows::Passthrough(_) => None,
    });
    let (Some(sni), Some(config)) = (sni, config) else { return unrecognized(stream).await };
    let stream = StartHandshake::from_parts(accepted, Later::new(stream)).into_stream(config).await?;
    let tls = stream.get_ref().1;
    let chain = tls.peer_certificates().unwrap_or_default();
    let ended = Ended {
        http2: tls.alpn_protocol() == Some(b"h2"),
        name,
        protocol: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: tls.negotiated_cipher_suite().map_or("", |suite| openssl_name(suite.suite())),
        known: sni.clients().map(|clients| Known::new(sni.host.clone(), clients.clone(), chain)),
    };
    Ok(Accepted::Ended(Box::new(stream), ended))
}

/// The name that a client asks for, or why it cannot be told. There is an end to reading: no record is empty, and all hold 16
/// KiB of the message at most.
async fn hello(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Result<String, &'static str>> {
    loop {
        match hello::read(read) {
            Hello::Asks(name) => return Ok(Ok(name)),
            Hello::Bad(reason) => return Ok(Err(reason)),
            Hello::Part => {}
        }
        if stream.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// RFC 6066 3: unrecognized_name, fatal.
async fn unrecognized<T>(mut stream: TcpStream) -> io::Result<T> {
    stream.write_all(&[21, 3, 3, 0, 2, 2, 112]).await?;
    stream.shutdown().await?;
    Err(io::ErrorKind::NotFound.into())
}

pub const ALPN_CHALLENGE: &[u8] = b"acme-tls/1";
/// On the wire, with what records add.
const HELLO_MAX_BYTES: usize = 64 << 10;
/// RFC 8446 6.2, fatal.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];
