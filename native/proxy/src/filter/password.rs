//! Hashes of passwords as htpasswd(1) writes them and nginx takes them.

use crate::table::Problem;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use sha_crypt::{PasswordHash, PasswordVerifier, ShaCrypt};

pub enum Hash {
    Bcrypt(String),
    /// `$apr1$` of Apache and `$1$` of crypt(3).
    Md5 {
        magic: &'static str,
        salt: String,
        digest: String,
    },
    /// SHA-256 and SHA-512 of crypt(3).
    ShaCrypt(PasswordHash),
    /// The digest, and what is hashed after the password.
    Sha1(Vec<u8>, Vec<u8>),
    Plain(String),
}

impl Hash {
    /// What takes a thread too long to try is refused, as is what nobody knows.
    pub fn parse(text: &str) -> Result<Hash, Problem> {
        let unknown = || Problem::new("a hash is of no kind that is known", "make it with htpasswd -B");
        let costly = || Problem::new("a hash takes too long to try", "make it with htpasswd -B -C 12 or less");
        if let Some(digest) = text.strip_prefix("{SHA}") {
            let digest = BASE64_STANDARD.decode(digest).map_err(|_| unknown())?;
            return Ok(Hash::Sha1(digest, Vec::new()));
        }
        if let Some(salted) = text.strip_prefix("{SSHA}") {
            let mut digest = BASE64_STANDARD.decode(salted).map_err(|_| unknown())?;
            let salt = digest.split_off(digest.len().min(SHA1_BYTES));
            return Ok(Hash::Sha1(digest, salt));
        }
        if let Some(plain) = text.strip_prefix("{PLAIN}") {
            return Ok(Hash::Plain(plain.to_string()));
        }
        for magic in ["$apr1$", "$1$"] {
            let Some((salt, digest)) = text.strip_prefix(magic).and_then(|rest| rest.split_once('$')) else { continue };
            let salt = salt.get(..salt.len().min(8)).ok_or_else(unknown)?.to_string();
            return Ok(Hash::Md5 { magic, salt, digest: digest.to_string() });
        }
        let fields: Vec<&str> = text.split('$').collect();
        match fields[..] {
            ["", "2a" | "2b" | "2x" | "2y", cost, rest] if rest.len() == 53 => {
                let cost: u32 = cost.parse().map_err(|_| unknown())?;
                let usable = (4..=BCRYPT_MAX).contains(&cost);
                usable.then(|| Hash::Bcrypt(text.to_string())).ok_or_else(costly)
            }
            ["", "5" | "6", ref rest @ ..] => {
                let rounds = rest.first().and_then(|field| field.strip_prefix("rounds="));
                if rounds.is_some_and(|rounds| rounds.parse().is_ok_and(|rounds: u64| rounds > ROUNDS_MAX)) {
                    return Err(costly());
                }
                PasswordHash::new(text).map(Hash::ShaCrypt).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }

    /// It is not to be tried by a thread that serves.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Hash::Sha1(..) | Hash::Plain(_))
    }

    pub fn fits(&self, password: &[u8]) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Md5 { magic, salt, digest } => same(digest, md5_crypt(magic, salt, password).as_bytes()),
            Hash::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, hash).is_ok(),
            Hash::Sha1(held, salt) => {
                same(held, digest(&SHA1_FOR_LEGACY_USE_ONLY, &[password, salt].concat()).as_ref())
            }
            Hash::Plain(plain) => same(plain, password),
        }
    }
}

fn same(held: impl AsRef<[u8]>, given: &[u8]) -> bool {
    verify_slices_are_equal(held.as_ref(), given).is_ok()
}

/// Poul-Henning Kamp's, as crypt(3) of FreeBSD and Apache's apr_md5_encode have it.
fn md5_crypt(magic: &str, salt: &str, password: &[u8]) -> String {
    let salt = salt.as_bytes();
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for piece in vec![16; password.len() / 16].into_iter().chain([password.len() % 16]) {
        first.update(&inner[..piece]);
    }
    let mut length = password.len();
    while length > 0 {
        first.update(if length & 1 == 1 { &[0] } else { password.get(..1).unwrap_or_default() });
        length >>= 1;
    }
    let mut last = first.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &last[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &last[..] } else { password });
        last = next.finalize();
    }
    let mut text = String::new();
    let mut write = |mut bits: u32, digits: usize| {
        for _ in 0..digits {
            text.push(char::from(DIGITS[bits as usize & 63]));
            bits >>= 6;
        }
    };
    for (a, b, c) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        write(u32::from(last[a]) << 16 | u32::from(last[b]) << 8 | u32::from(last[c]), 4);
    }
    write(u32::from(last[11]), 2);
    text
}

const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SHA1_BYTES: usize = 20;
/// Some two seconds.
const BCRYPT_MAX: u32 = 15;
const ROUNDS_MAX: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// By openssl passwd, crypt(3) and htpasswd.
    #[test]
    fn hashes_of_all_kinds_fit_their_password_only() {
        let long = "a much longer password, of more than sixteen octets";
        for (hash, password) in [
            ("$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", "secret"),
            ("$apr1$abcdefgh$Mvf73v7Jh1ISVjYtYaXvk0", long),
            ("$apr1$ab$S8K6Sgp3W8c9Jb6LxgywZ.", ""),
            ("$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "secret"),
            ("$1$abcdefgh$UEMep/opigWp3ualUIlNB0", long),
            ("$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.", "secret"),
            (
                "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
                "secret",
            ),
            (
                "$6$rounds=1000$saltstring$2BkAo106CG84raQcWpAlhyy6TSSkAsL1nfvBCoezLYyerUzY2l8axTvq6NynEt7SQAx3/cdop9ds0po8uaeHq0",
                "secret",
            ),
            (
                "$6$abcdefgh$UFssbfHU7wVN0r9jivoFewhwMv0X6XWpTQ5Q2YBK9zlW/GEC20wpCgixjV9xVXkykE2dAnLwNwTLYDFmgD1/b1",
                long,
            ),
            ("$2b$04$MefFeAT84JacqEBkFUZ8dOvgctl/g63fvNuonKZHUnkFoqde6Z6tS", "secret"),
            ("$2y$04$MefFeAT84JacqEBkFUZ8dOvgctl/g63fvNuonKZHUnkFoqde6Z6tS", "secret"),
            ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"),
            ("{PLAIN}secret", "secret"),
        ] {
            let held = Hash::parse(hash).unwrap_or_else(|problem| panic!("{hash}: {problem:?}"));
            assert!(held.fits(password.as_bytes()), "{hash}");
            for other in ["Secret", "secret ", "x"] {
                assert!(!held.fits(other.as_bytes()), "{hash}: {other}");
            }
        }
        let salted = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"secretsalt");
        let text = format!("{{SSHA}}{}", BASE64_STANDARD.encode([salted.as_ref(), b"salt"].concat()));
        let held = Hash::parse(&text).unwrap();
        assert!(held.fits(b"secret") && !held.fits(b"secretsalt"));
    }

    #[test]
    fn what_nobody_can_try_is_refused() {
        for hash in [
            "secret",
            "",
            "abJnggxhB/yWI",
            "$2y$31$MefFeAT84JacqEBkFUZ8dOvgctl/g63fvNuonKZHUnkFoqde6Z6tS",
            "$2y$10$short",
            "$6$rounds=999999999$saltstring$2BkAo106CG84raQcWpAlhyy6TSSkAsL1nfvBCoezLYyerUzY2l8axTvq6NynEt7SQAx3",
            "{SHA}%",
        ] {
            assert!(Hash::parse(hash).is_err(), "{hash}");
        }
    }
}
