//! How an upstream is reached: TCP, and TLS on it (RFC 7858, 8310 5: the certificate is verified, always).

use crate::tls::{Renewed, identity, provider, roots, unusable};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use supervisor::Problem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use wire::corefile::{self, UpstreamTransport};

pub type ClientTls = Renewed<ClientConfig>;

pub fn client_tls(step: &corefile::UpstreamTls) -> ClientTls {
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    let (certificate, key, ca) = (path(&step.certificate), path(&step.key), path(&step.ca));
    let paths = [&certificate, &key, &ca].into_iter().flatten().cloned().collect();
    Renewed::new(paths, move || {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Problem::new(error.to_string(), "report this"))?;
        let builder = builder.with_root_certificates(roots(ca.as_deref())?);
        let (Some(certificate), Some(key)) = (&certificate, &key) else { return Ok(builder.with_no_client_auth()) };
        let (chain, private) = identity(certificate, key)?;
        builder.with_client_auth_cert(chain, private).map_err(|error| unusable(certificate, &error))
    })
}

pub struct Dial {
    pub address: SocketAddr,
    pub source: Option<IpAddr>,
    tls: Option<(Arc<ClientTls>, ServerName<'static>)>,
}

impl Dial {
    pub fn new(upstream: &corefile::Upstream, source: Option<&str>, tls: &Arc<ClientTls>) -> Result<Dial, Problem> {
        let address = SocketAddr::new(address(&upstream.address)?, upstream.port);
        let tls = match upstream.transport {
            UpstreamTransport::Dns => None,
            UpstreamTransport::Tls => {
                let name = match upstream.server_name.clone() {
                    None => ServerName::from(address.ip()),
                    Some(name) => ServerName::try_from(name.trim_end_matches('.').to_string()).map_err(|_| {
                        Problem::new(format!("{name:?} is no server's name"), "give tls_servername a name")
                    })?,
                };
                Some((tls.clone(), name))
            }
        };
        Ok(Dial { address: scoped(address, &upstream.address)?, source: source.map(self::address).transpose()?, tls })
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// As the plugin `errors` shows what went wrong: in CoreDNS's words, which patterns may be waiting for.
    pub async fn connect(&self) -> Result<Box<dyn Octets>, String> {
        let said = |error: io::Error| format!("dial tcp {}: connect: {}", self.address, said(&error));
        let stream = self.tcp().await.map_err(said)?;
        let Some((tls, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let config = tls.get().ok_or("tls: the files of the Corefile's tls option are not in order")?;
        match TlsConnector::from(config).connect(name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.refused(&error)),
        }
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn refused(&self, error: &io::Error) -> String {
        let to = self.address;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(why)) => {
                let remedy = match why {
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                        "give the name that it is for: tls_servername NAME"
                    }
                    CertificateError::UnknownIssuer => "give the file of its authority: tls CA",
                    CertificateError::Expired | CertificateError::NotValidYet => "the upstream has to renew it",
                    CertificateError::ExpiredContext { .. } => "the upstream has to renew it",
                    _ => "the upstream has to show one that an authority issued for it",
                };
                format!("tls: failed to verify certificate of {to}: {why}: {remedy}")
            }
            Some(other) => format!("tls: handshake with {to}: {other}"),
            None => format!("tls: handshake with {to}: {}", said(error)),
        }
    }
}

pub trait Octets: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Octets for T {}

/// In Go's words.
pub fn said(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_string(),
        ErrorKind::ConnectionReset => "connection reset by peer".to_string(),
        ErrorKind::NetworkUnreachable => "network is unreachable".to_string(),
        ErrorKind::HostUnreachable => "no route to host".to_string(),
        ErrorKind::TimedOut => "i/o timeout".to_string(),
        ErrorKind::UnexpectedEof => "EOF".to_string(),
        _ => error.to_string(),
    }
}

/// Without its interface.
fn address(text: &str) -> Result<IpAddr, Problem> {
    let bare = text.split('%').next().unwrap_or(text);
    bare.parse().map_err(|_| Problem::new(format!("{text:?} is no address"), "give an IPv4 or IPv6 address"))
}

/// A link-local address is one of an interface.
fn scoped(address: SocketAddr, text: &str) -> Result<SocketAddr, Problem> {
    let (SocketAddr::V6(mut address), Some((_, interface))) = (address, text.split_once('%')) else {
        return Ok(address);
    };
    let index = std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex"));
    let index = index.ok().filter(|_| !interface.contains('/')).and_then(|index| index.trim().parse().ok());
    let missing = || Problem::new(format!("there is no interface {interface:?}"), "name one that the carrier has");
    address.set_scope_id(index.ok_or_else(missing)?);
    Ok(SocketAddr::V6(address))
}
