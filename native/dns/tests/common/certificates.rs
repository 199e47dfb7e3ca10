//! Certificates of a test's own, in files below a folder of its own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("fairlead-dns-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    /// Certificate and key for names or addresses, as PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_string()
    }

    /// Writes a certificate and its key to `NAME.pem` and `NAME.key`, each at once, as a Secret's files change.
    pub fn write(&self, name: &str, (certificate, key): &(String, String)) {
        for (file, text) in [(format!("{name}.key"), key), (format!("{name}.pem"), certificate)] {
            let fresh = self.folder.join("fresh");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(fresh, self.folder.join(file)).unwrap();
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// Of a client that trusts this authority only, with a certificate of its own or none.
    pub fn client(&self, own: Option<&(String, String)>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots());
        let Some((chain, key)) = own.map(parsed) else { return Arc::new(builder.with_no_client_auth()) };
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Of a server that shows this certificate; with an authority, to its clients only.
pub fn server(own: &(String, String), clients: Option<&Authority>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let (chain, key) = parsed(own);
    let verifier = match clients {
        None => rustls::server::WebPkiClientVerifier::no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap()
        }
    };
    Arc::new(builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
}

fn parsed((certificate, key): &(String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
