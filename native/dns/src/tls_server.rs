//! The tls step: how a server whose transport is tls proves who it is, and what it asks of clients.

use crate::tls::{Renewed, identity, provider, roots, unusable};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervisor::Problem;
use wire::corefile::{self, ClientAuth};

pub type ServerTls = Renewed<Identity>;

pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// Of those that share a port: the one whose certificate is for the name that the client gives, else the first.
pub fn shown_to(all: &[Arc<ServerTls>], name: Option<&str>) -> Option<Arc<ServerConfig>> {
    let mut ready = all.iter().filter_map(|tls| tls.get());
    let Some(name) = name.filter(|_| all.len() > 1).and_then(|name| ServerName::try_from(name).ok()) else {
        return Some(ready.next()?.config.clone());
    };
    let ready: Vec<Arc<Identity>> = ready.collect();
    let own = ready.iter().find(|identity| identity.is_for(&name)).or(ready.first())?;
    Some(own.config.clone())
}

impl Identity {
    fn is_for(&self, name: &ServerName) -> bool {
        let read = ParsedCertificate::try_from(&self.certificate);
        read.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
    }
}

pub fn server_tls(step: &corefile::Tls) -> ServerTls {
    let (certificate, key) = (PathBuf::from(&step.certificate), PathBuf::from(&step.key));
    let (ca, client_auth) = (step.ca.as_ref().map(PathBuf::from), step.client_auth);
    let paths = [Some(certificate.clone()), Some(key.clone()), ca.clone()].into_iter().flatten().collect();
    Renewed::new(paths, move || config(&certificate, &key, ca.as_deref(), client_auth))
}

fn config(certificate: &Path, key: &Path, ca: Option<&Path>, client_auth: ClientAuth) -> Result<Identity, Problem> {
    let (chain, private) = identity(certificate, key)?;
    let leaf = chain[0].clone(); // there is one
    let algorithms = provider().signature_verification_algorithms;
    let verifier: Arc<dyn ClientCertVerifier> = match client_auth {
        ClientAuth::NoCert => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Request => Arc::new(AnyClient { mandatory: false, algorithms }),
        ClientAuth::Require => Arc::new(AnyClient { mandatory: true, algorithms }),
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
            let builder = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider());
            let mandatory = client_auth == ClientAuth::RequireAndVerify;
            let builder = if mandatory { builder } else { builder.allow_unauthenticated() };
            builder.build().map_err(|error| Problem::new(error.to_string(), "give a CA file: tls CERT KEY CA"))?
        }
    };
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, private))
        .map(|config| Identity { config: Arc::new(config), certificate: leaf })
        .map_err(|error| unusable(certificate, &error))
}

/// Takes whatever certificate a client has, as Go's RequestClientCert and RequireAnyClientCert do. That the client has its key
/// is verified all the same.
#[derive(Debug)]
struct AnyClient {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
