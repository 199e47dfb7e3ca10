//! TLS (RFC 7858, 8310): what files hold, read again when they change. A connection keeps what it began with.

use crate::metrics::head;
use arc_swap::ArcSwapOption;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use supervisor::Problem;

/// What is made of files.
pub struct Renewed<T> {
    paths: Vec<PathBuf>,
    build: Box<dyn Fn() -> Result<T, Problem> + Send + Sync>,
    held: ArcSwapOption<T>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Option<Instant>,
    /// Of the files when they were last read.
    stamp: Option<Stamp>,
    said: Option<Problem>,
}

/// Device, inode, octets, time of change: a Secret's file is a link that comes to lead elsewhere, others are written to.
type Stamp = Vec<Option<(u64, u64, u64, i64, i64)>>;

impl<T> Renewed<T> {
    /// Reads nothing yet.
    pub fn new(paths: Vec<PathBuf>, build: impl Fn() -> Result<T, Problem> + Send + Sync + 'static) -> Renewed<T> {
        let looked = Mutex::new(Looked { at: None, stamp: None, said: None });
        Renewed { paths, build: Box::new(build), held: ArcSwapOption::empty(), looked }
    }

    /// Reads the files now.
    pub fn load(&self) -> Result<(), Problem> {
        let mut looked = self.looked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        looked.at = Some(Instant::now());
        self.read(&mut looked)
    }

    /// What the files hold, or held when they last were in order. Looks at them at most once a second: there are too few
    /// handshakes to watch them by other means, and a change that nobody connects after makes no difference.
    pub fn get(&self) -> Option<Arc<T>> {
        if let Ok(mut looked) = self.looked.try_lock()
            && looked.at.is_none_or(|at| at.elapsed() >= LOOK)
        {
            looked.at = Some(Instant::now());
            let changed = looked.stamp.as_ref() != Some(&self.stamp());
            if (changed || looked.said.is_some())
                && let Err(problem) = self.read(&mut looked)
            {
                if looked.said.as_ref() != Some(&problem) {
                    let kept = if self.held.load().is_some() { "; what was read before is kept" } else { "" };
                    eprintln!("dns: tls: {}{kept}: {}", problem.reason, problem.remedy);
                }
                READ_FAILURES.fetch_add(1, Ordering::Relaxed);
                looked.said = Some(problem);
            }
        }
        self.held.load_full()
    }

    fn read(&self, looked: &mut Looked) -> Result<(), Problem> {
        // Before they are read: what is written meanwhile is seen the next time.
        let stamp = self.stamp();
        self.held.store(Some(Arc::new((self.build)()?)));
        (looked.stamp, looked.said) = (Some(stamp), None);
        Ok(())
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &PathBuf| {
            let held = metadata(path).ok()?;
            Some((held.dev(), held.ino(), held.size(), held.mtime(), held.mtime_nsec()))
        };
        self.paths.iter().map(of).collect()
    }
}

/// A certificate with those that lead to its authority, and its key.
pub fn identity(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Problem> {
    let found = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, "private key", &error))?;
    Ok((certificates(certificate)?, found))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let wrong = |error: pem::Error| unread(path, "certificate", &error);
    let found: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(wrong)?;
    if found.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Whom to trust: the authorities in a file, else the system's.
pub fn roots(ca: Option<&Path>) -> Result<Arc<RootCertStore>, Problem> {
    let Some(path) = ca else { return system_roots() };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            Problem::new(format!("{}: not a certificate of an authority: {error}", path.display()), REPLACE)
        })?;
    }
    Ok(Arc::new(roots))
}

/// Read once: there are some 140 of them, and they change with the image only.
fn system_roots() -> Result<Arc<RootCertStore>, Problem> {
    static HELD: Mutex<Option<Arc<RootCertStore>>> = Mutex::new(None);
    let mut held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(roots) = &*held {
        return Ok(roots.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let remedy = "install ca-certificates, name them by SSL_CERT_FILE, or give a CA file to tls";
        return Err(Problem::new("the system has no certificates of authorities", remedy));
    }
    Ok(held.insert(Arc::new(roots)).clone())
}

pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// What rustls says of files that it can read.
pub fn unusable(path: &Path, error: &rustls::Error) -> Problem {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            Problem::new(format!("{}: the key is not this certificate's", path.display()), REPLACE)
        }
        other => Problem::new(format!("{}: {other}", path.display()), REPLACE),
    }
}

fn unread(path: &Path, what: &str, error: &pem::Error) -> Problem {
    match error {
        pem::Error::Io(error) => {
            let remedy = if path.is_relative() {
                "give its whole path: it is read where the carrier runs"
            } else {
                "mount the file into the container of the carrier, where its user may read it"
            };
            Problem::new(format!("cannot read {}: {error}", path.display()), remedy)
        }
        pem::Error::NoItemsFound => Problem::new(format!("{} has no {what} in it", path.display()), REPLACE),
        // Not what was in it: it may be a key.
        _ => Problem::new(format!("{} is not in PEM form", path.display()), REPLACE),
    }
}

/// Prometheus text.
pub fn render(text: &mut String) {
    for (name, help, count) in [
        ("fairlead_dns_tls_handshake_failures_total", "Clients of TLS that got no connection.", &HANDSHAKE_FAILURES),
        ("fairlead_dns_tls_reload_failures_total", "Changed files of TLS that could not be used.", &READ_FAILURES),
    ] {
        head(text, name, "counter", help);
        *text += &format!("{name} {}\n", count.load(Ordering::Relaxed));
    }
}

pub static HANDSHAKE_FAILURES: AtomicU64 = AtomicU64::new(0);
static READ_FAILURES: AtomicU64 = AtomicU64::new(0);
const LOOK: Duration = Duration::from_secs(1);
const REPLACE: &str = "give a file in PEM form that has it: tls CERT KEY [CA]";
