//! TLS (RFC 8446, 5246): what clients are shown, and backends are asked for.

/// Of a verifier of certificates: that who shows one has its key is for the provider to tell, for servers and clients alike.
macro_rules! signatures_by_provider {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = &crate::tls::PROVIDER.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = &crate::tls::PROVIDER.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            crate::tls::PROVIDER.signature_verification_algorithms.supported_schemes()
        }
    };
}

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
