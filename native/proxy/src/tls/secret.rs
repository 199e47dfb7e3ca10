//! Rows of table `secrets`, read. What is wrong with one is said without a word of what is in it.

use super::PROVIDER;
use crate::filter::users::Users;
use crate::table::Problem;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use wire::proxy::{Pair, SecretRow, Trust};

pub enum Secret {
    Pair(Arc<CertifiedKey>, Option<String>),
    Trust(Arc<Trusted>),
    Users(Arc<Users>),
}

pub struct Trusted {
    pub roots: Arc<RootCertStore>,
    pub lists: Vec<CertRevocationList<'static>>,
}

impl Secret {
    pub fn parse(row: &[u8]) -> Result<Secret, Problem> {
        let row: SecretRow = serde_json::from_slice(row).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Problem::new(format!("the row cannot be read ({:?}, {place})", error.classify()), VERSIONS)
        })?;
        match row {
            SecretRow::Pair(pair) => Ok(Secret::Pair(Arc::new(certified(&pair)?), pair.challenge)),
            SecretRow::Trust(trust) => Ok(Secret::Trust(Arc::new(trusted(&trust)?))),
            SecretRow::Users(users) => Ok(Secret::Users(Arc::new(Users::new(&users)?))),
        }
    }
}

fn certified(pair: &Pair) -> Result<CertifiedKey, Problem> {
    let wrong = |what: &str| Problem::new(what, "put the certificate in tls.crt and its key in tls.key, as PEM");
    let chain = certificates(&pair.chain).ok_or_else(|| wrong("the chain is no PEM of certificates"))?;
    if chain.is_empty() {
        return Err(wrong("the chain has no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|_| wrong("the key is no PEM of a key"))?;
    let key = PROVIDER.key_provider.load_private_key(key);
    let key = key.map_err(|_| wrong("the key is of no kind that can sign: RSA, ECDSA or Ed25519"))?;
    let certified = CertifiedKey::new(chain, key);
    if pair.challenge.is_some() {
        // webpki reads none of these: their acmeIdentifier is critical (RFC 8737 3).
        return match shows_key(&certified) {
            true => Ok(certified),
            false => Err(wrong("the key is not that of the certificate")),
        };
    }
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(wrong("the key is not that of the certificate"))
        }
        Err(rustls::Error::InvalidCertificate(_)) => Err(wrong("the certificate is none")),
        _ => Ok(certified),
    }
}

/// The certificate has the key's SubjectPublicKeyInfo in it.
fn shows_key(certified: &CertifiedKey) -> bool {
    let Some(shown) = certified.key.public_key() else { return true };
    certified.cert[0].windows(shown.len()).any(|octets| octets == shown.as_ref())
}

fn trusted(trust: &Trust) -> Result<Trusted, Problem> {
    let wrong = |what: &str| Problem::new(what, "put certificates in ca.crt and revocation lists in ca.crl, as PEM");
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&trust.certificates).ok_or_else(|| wrong("ca.crt is no PEM of certificates"))? {
        roots.add(certificate).map_err(|_| wrong("a certificate of ca.crt is none of an authority"))?;
    }
    if roots.is_empty() {
        return Err(wrong("ca.crt has no certificate"));
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(trust.revoked.as_bytes()).collect::<Result<Vec<_>, _>>();
    let list = |der: &CertificateRevocationListDer<'_>| OwnedCertRevocationList::from_der(der).map(Into::into);
    let lists = lists.map_err(|_| wrong("ca.crl is no PEM of lists"))?.iter().map(list).collect::<Result<_, _>>();
    Ok(Trusted { roots: Arc::new(roots), lists: lists.map_err(|_| wrong("a list of ca.crl cannot be read"))? })
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()
}

const VERSIONS: &str = "controller and carrier are not of one version: install both from the same release";
