//! TLS (RFC 8446, 5246): what clients are shown, and backends are asked for.

pub mod chain;
pub mod client;
pub mod clients;
mod hello;
pub mod secret;
pub mod server;
pub mod sni;
mod subject;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{SupportedProtocolVersion, version};
use std::sync::{Arc, LazyLock};
use wire::proxy::TlsVersion;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

fn versions(rows: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let version = |row: &TlsVersion| match row {
        TlsVersion::Tls12 => &version::TLS12,
        TlsVersion::Tls13 => &version::TLS13,
    };
    rows.iter().map(version).collect()
}
