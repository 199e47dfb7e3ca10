//! What a certificate says of itself, as nginx's `$ssl_client_*` have it.

use rustls::pki_types::CertificateDer;
use std::fmt::Write;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

#[derive(Debug)]
pub struct Certificate {
    /// RFC 2253.
    pub subject: String,
    pub issuer: String,
    /// Hex digits.
    pub serial: String,
    /// SHA-1, hex digits.
    pub fingerprint: String,
    der: Vec<u8>,
}

impl Certificate {
    /// None: it is none.
    pub fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let hex = |octets: &[u8], upper: bool| {
            octets.iter().fold(String::new(), |mut text, octet| {
                let _ = if upper { write!(text, "{octet:02X}") } else { write!(text, "{octet:02x}") };
                text
            })
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
        Some(Certificate {
            subject: name(read.subject()),
            issuer: name(read.issuer()),
            serial: hex(read.raw_serial(), true),
            fingerprint: hex(digest.as_ref(), false),
            der: der.to_vec(),
        })
    }

    /// PEM, with what a URL cannot have escaped: `$ssl_client_escaped_cert`.
    pub fn escaped_pem(&self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::from("-----BEGIN%20CERTIFICATE-----%0A");
        for line in self.der.chunks(48) {
            for part in line.chunks(3) {
                let bits = part.iter().chain(&[0; 2]).take(3).fold(0, |bits, octet| bits << 8 | usize::from(*octet));
                for at in 0..4 {
                    let digit = if at > part.len() { b'=' } else { DIGITS[bits >> (18 - 6 * at) & 63] };
                    match digit {
                        b'+' => text.push_str("%2B"),
                        b'/' => text.push_str("%2F"),
                        b'=' => text.push_str("%3D"),
                        digit => text.push(char::from(digit)),
                    }
                }
            }
            text.push_str("%0A");
        }
        text + "-----END%20CERTIFICATE-----%0A"
    }
}

/// As OpenSSL writes it with XN_FLAG_RFC2253: the last part first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let part = |part: &x509_parser::x509::RelativeDistinguishedName<'_>| {
        part.iter().map(attribute).collect::<Vec<_>>().join("+")
    };
    parts.into_iter().rev().map(part).collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(id, _)| *id == kind).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(text)) => format!("{short}={}", escaped(text)),
        (short, _) => {
            let value = attribute.attr_value();
            let mut text = format!("{}=#", short.unwrap_or(&kind));
            let _ = write!(text, "{:02X}", value.header.tag().0 & 0xff);
            let length = value.data.len();
            match length {
                ..=0x7f => text.push_str(&format!("{length:02X}")),
                0x80..=0xff => text.push_str(&format!("81{length:02X}")),
                _ => text.push_str(&format!("82{:04X}", length & 0xffff)),
            }
            for octet in value.data {
                let _ = write!(text, "{octet:02X}");
            }
            text
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    let last = text.len().saturating_sub(1);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(octet)]),
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(octet)),
            _ => out.push_str(&format!("\\{octet:02X}")),
        }
    }
    out
}

/// What OpenSSL calls them.
const SHORT: [(&str, &str); 21] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.97", "organizationIdentifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];
