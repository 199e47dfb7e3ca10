//! The end of TLS that backends see.

use super::secret::{Secret, Trusted};
use super::{PROVIDER, chain, versions};
use rustls::client::Resumption;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::KeyUsage;
use wire::proxy::{BackendProtocol, BackendTls, TlsVersion, VerifyBackend};

pub struct BackendEnd {
    /// Err: why there can be no connection.
    config: Result<Arc<ClientConfig>, String>,
    /// What of the secrets is in it.
    used: Vec<Used>,
    name: Option<ServerName<'static>>,
}

impl BackendEnd {
    pub fn new(row: &BackendTls, protocol: BackendProtocol, secrets: &HashMap<String, Secret>) -> BackendEnd {
        let name = row.server_name.clone().map(ServerName::try_from);
        let config = match &name {
            Some(Err(_)) => Err(format!("serverName {:?} is no name of a server", row.server_name)),
            _ => config(row, protocol, secrets).map(Arc::new),
        };
        let trust = match &row.verify {
            VerifyBackend::Trust(name) => Some(name),
            VerifyBackend::Nothing | VerifyBackend::System => None,
        };
        let used = trust.into_iter().chain(&row.certificate).filter_map(|name| match secrets.get(name)? {
            Secret::Pair(key, _) => Some(Used::Key(key.clone())),
            Secret::Trust(trusted) => Some(Used::Trust(trusted.clone())),
            Secret::Users(_) => None,
        });
        BackendEnd { config, used: used.collect(), name: name.and_then(Result::ok) }
    }

    /// One whose certificate is to be good for this name, or address, by the authorities of this machine.
    pub fn trusted(name: &str, protocol: BackendProtocol) -> BackendEnd {
        let row = BackendTls {
            server_name: Some(name.to_string()),
            verify: VerifyBackend::System,
            depth: None,
            certificate: None,
            protocols: vec![TlsVersion::Tls12, TlsVersion::Tls13],
        };
        BackendEnd::new(&row, protocol, &HashMap::new())
    }

    /// It has the same secrets, of two that are made of the same row.
    pub fn same(&self, other: &BackendEnd) -> bool {
        let same = |(a, b): (&Used, &Used)| match (a, b) {
            (Used::Key(a), Used::Key(b)) => Arc::ptr_eq(a, b),
            (Used::Trust(a), Used::Trust(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        self.used.len() == other.used.len() && self.used.iter().zip(&other.used).all(same)
    }

    pub async fn connect<T>(&self, stream: T, address: IpAddr) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config.clone().map_err(io::Error::other)?;
        // An address is never sent as SNI (RFC 6066 3).
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(address));
        TlsConnector::from(config).connect(name, stream).await
    }
}

enum Used {
    Key(Arc<CertifiedKey>),
    Trust(Arc<Trusted>),
}

fn config(
    row: &BackendTls,
    protocol: BackendProtocol,
    secrets: &HashMap<String, Secret>,
) -> Result<ClientConfig, String> {
    let builder =
        ClientConfig::builder_with_provider(PROVIDER.clone()).with_protocol_versions(&versions(&row.protocols));
    let builder = builder.map_err(|error| format!("protocols leave nothing: {error}"))?;
    let depth = row.depth.map_or(usize::MAX, usize::from);
    let verifier: Arc<dyn ServerCertVerifier> = match &row.verify {
        VerifyBackend::Nothing => Arc::new(Anybody),
        VerifyBackend::Trust(name) => match secrets.get(name) {
            Some(Secret::Trust(trusted)) => Arc::new(Signed { trusted: trusted.clone(), depth }),
            _ => return Err(format!("there is no trust {name:?}")),
        },
        VerifyBackend::System => Arc::new(Signed { trusted: SYSTEM.clone(), depth }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &row.certificate {
        None => builder.with_no_client_auth(),
        Some(name) => match secrets.get(name) {
            Some(Secret::Pair(key, _)) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((**key).clone())))
            }
            _ => return Err(format!("there is no certificate {name:?}")),
        },
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    config.enable_sni = row.server_name.is_some();
    config.alpn_protocols = match protocol {
        BackendProtocol::Http2 => vec![b"h2".to_vec()],
        BackendProtocol::Http1 | BackendProtocol::Raw => vec![],
    };
    Ok(config)
}

/// Takes every certificate, as ingress-nginx does unless told otherwise; that its owner has the key is still seen.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_by_provider!();
}

/// Takes what an authority has signed.
struct Signed {
    trusted: Arc<Trusted>,
    depth: usize,
}

impl fmt::Debug for Signed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("signed")
    }
}

impl ServerCertVerifier for Signed {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let wrong = |error: webpki::Error| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
        };
        let usage = KeyUsage::server_auth();
        let entity = chain::verify(leaf, rest, &self.trusted, usage, self.depth).map_err(wrong)?;
        entity.verify_is_valid_for_subject_name(name).map_err(wrong)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures_by_provider!();
}

static SYSTEM: LazyLock<Arc<Trusted>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(Trusted { roots: Arc::new(roots), lists: vec![] })
});

const SESSIONS: usize = 64;
