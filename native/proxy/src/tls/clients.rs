//! Certificates of clients, as nginx takes them: the handshake is completed with any, or none, and a request is refused with
//! a status that its user can see. Only that the client has the key is for the handshake to tell.

use super::chain;
use super::secret::{Secret, Trusted};
use super::subject::Certificate;
use crate::table::Problem;
use crate::variable::Template;
use hyper::header::{HeaderName, HeaderValue};
use regex::Regex;
use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use std::collections::HashMap;
use std::sync::Arc;
use webpki::{Error, KeyUsage};
use wire::proxy::{ClientCertificate, ClientCertificates};

/// What a name asks of its clients.
pub struct Clients {
    pub required: ClientCertificate,
    pub error_page: Option<Template>,
    /// The certificate goes to the backend.
    pub pass: bool,
    /// The pattern that a subject has.
    pub subject: Option<Regex>,
    depth: usize,
    /// None: the secret is missing, and nobody is let in.
    trusted: Option<Arc<Trusted>>,
}

/// What is known of a client, where a name asks for its certificate.
pub struct Known {
    /// Of the row of that name.
    pub host: String,
    pub clients: Arc<Clients>,
    pub shown: Shown,
    /// For backends.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What would say who is let in is missing.
    Unknowable,
    /// nginx's 495 and 496, which are 400 to the client.
    Wrong,
    Missing,
    /// By the pattern of subjects.
    Subject,
}

/// What a client has shown.
#[derive(Debug)]
pub enum Shown {
    Nothing,
    Good(Box<Certificate>),
    /// And why.
    Bad(Box<Certificate>, &'static str, Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody who is trusted has signed it.
    Unknown,
    Other,
}

impl Clients {
    pub fn check(row: &ClientCertificates) -> Result<(), Problem> {
        Clients::new(row, &HashMap::new()).map(drop)
    }

    pub fn new(row: &ClientCertificates, secrets: &HashMap<String, Secret>) -> Result<Clients, Problem> {
        let subject = row.subject.as_deref().map(Regex::new).transpose();
        let subject = subject.map_err(|error| Problem::new(format!("subject is no pattern: {error}"), "correct it"))?;
        Ok(Clients {
            required: row.required,
            error_page: row.error_page.as_deref().map(Template::new).transpose()?,
            pass: row.pass,
            subject,
            depth: row.depth.into(),
            trusted: match secrets.get(&row.trust) {
                Some(Secret::Trust(trusted)) => Some(trusted.clone()),
                _ => None,
            },
        })
    }

    pub fn is_known(&self) -> bool {
        self.trusted.is_some()
    }

    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let hints = self.trusted.as_ref().map(|trusted| trusted.roots.subjects());
        Arc::new(Anybody { hints: hints.unwrap_or_default() })
    }

    pub fn judge(&self, shown: &[CertificateDer<'_>]) -> Shown {
        let Some((leaf, rest)) = shown.split_first() else { return Shown::Nothing };
        let Some(certificate) = Certificate::read(leaf).map(Box::new) else { return Shown::Nothing };
        let verified = match &self.trusted {
            Some(trusted) => chain::verify(leaf, rest, trusted, KeyUsage::client_auth(), self.depth).map(drop),
            None => Err(Error::UnknownIssuer),
        };
        match verified {
            Ok(()) => Shown::Good(certificate),
            Err(Error::UnknownIssuer | Error::CaUsedAsEndEntity) => {
                Shown::Bad(certificate, "unable to verify the first certificate", Fault::Unknown)
            }
            Err(error) => Shown::Bad(certificate, reason(&error), Fault::Other),
        }
    }
}

impl Known {
    pub fn new(host: String, clients: Arc<Clients>, chain: &[CertificateDer<'_>]) -> Known {
        let shown = clients.judge(chain);
        let mut fields = vec![(VERIFY, verdict(&shown))];
        if let Some(certificate) = shown.certificate() {
            fields.extend([(SUBJECT, certificate.subject.clone()), (ISSUER, certificate.issuer.clone())]);
            if clients.pass {
                fields.push((CERTIFICATE, certificate.escaped_pem()));
            }
        }
        let field = |(name, text): (HeaderName, String)| Some((name, HeaderValue::try_from(text).ok()?));
        Known { host, clients, shown, fields: fields.into_iter().filter_map(field).collect() }
    }

    /// In the order in which nginx looks.
    pub fn admit(&self) -> Result<(), Refused> {
        let Clients { required, subject, .. } = &*self.clients;
        if !self.clients.is_known() {
            return Err(Refused::Unknowable);
        }
        match (&self.shown, required) {
            (Shown::Good(_), _) | (Shown::Nothing, ClientCertificate::Optional | ClientCertificate::OptionalNoCa) => {}
            (Shown::Bad(_, _, Fault::Unknown), ClientCertificate::OptionalNoCa) => {}
            (Shown::Bad(..), _) => return Err(Refused::Wrong),
            (Shown::Nothing, ClientCertificate::On) => return Err(Refused::Missing),
        }
        let own = self.shown.certificate().map_or("", |certificate| certificate.subject.as_str());
        if subject.as_ref().is_some_and(|pattern| !pattern.is_match(own)) { Err(Refused::Subject) } else { Ok(()) }
    }

    pub fn verdict(&self) -> String {
        verdict(&self.shown)
    }
}

impl Shown {
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Shown::Good(certificate) | Shown::Bad(certificate, ..) => Some(certificate),
            Shown::Nothing => None,
        }
    }
}

/// `$ssl_client_verify`.
fn verdict(shown: &Shown) -> String {
    match shown {
        Shown::Nothing => "NONE".to_string(),
        Shown::Good(_) => "SUCCESS".to_string(),
        Shown::Bad(_, reason, _) => format!("FAILED:{reason}"),
    }
}

/// In OpenSSL's words, which people look for.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::CertExpired { .. } => "certificate has expired",
        Error::CertNotValidYet { .. } => "certificate is not yet valid",
        Error::CertRevoked => "certificate revoked",
        Error::UnknownRevocationStatus => "unable to get certificate CRL",
        Error::CrlExpired { .. } => "CRL has expired",
        Error::MaximumPathDepthExceeded => "certificate chain too long",
        Error::RequiredEkuNotFoundContext(_) => "unsuitable certificate purpose",
        _ => "certificate rejected",
    }
}

#[derive(Debug)]
struct Anybody {
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_by_provider!();
}

pub const VERIFY: HeaderName = HeaderName::from_static("ssl-client-verify");
pub const SUBJECT: HeaderName = HeaderName::from_static("ssl-client-subject-dn");
pub const ISSUER: HeaderName = HeaderName::from_static("ssl-client-issuer-dn");
pub const CERTIFICATE: HeaderName = HeaderName::from_static("ssl-client-cert");
