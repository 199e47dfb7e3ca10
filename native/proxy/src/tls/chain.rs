//! Chains of certificates, from one that was shown to an authority that is trusted.

use super::PROVIDER;
use super::secret::Trusted;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

/// `depth`: how many may stand between the two, as OpenSSL counts.
pub fn verify<'a>(
    leaf: &'a CertificateDer<'a>,
    rest: &[CertificateDer<'_>],
    trusted: &Trusted,
    usage: KeyUsage,
    depth: usize,
) -> Result<EndEntityCert<'a>, Error> {
    let lists: Vec<&CertRevocationList<'_>> = trusted.lists.iter().collect();
    // As OpenSSL does where there are lists: there has to be one of each issuer, and its time not be over.
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build()
    });
    let within = |path: &VerifiedPath<'_>| match path.intermediate_certificates().count() > depth {
        true => Err(Error::MaximumPathDepthExceeded),
        false => Ok(()),
    };
    let algorithms = PROVIDER.signature_verification_algorithms.all;
    let entity = EndEntityCert::try_from(leaf)?;
    let (time, anchors) = (UnixTime::now(), &trusted.roots.roots);
    entity.verify_for_usage(algorithms, anchors, rest, time, usage, revocation, Some(&within))?;
    Ok(entity)
}
