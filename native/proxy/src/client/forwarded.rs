//! Who the client is, and what the backend is told of it.

use super::connection::Client;
use crate::table::listener::Http;
use crate::tls::clients::{CERTIFICATE, ISSUER, SUBJECT, VERIFY};
use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};
use std::fmt::Write;
use std::net::IpAddr;

/// A client as its trusted proxies, or else its connection, show it.
pub struct Origin {
    pub address: IpAddr,
    pub trusted: bool,
}

/// Reads who the client is, and takes away what only a trusted one may say.
pub fn origin(http: &Http, client: &Client, headers: &mut HeaderMap) -> Origin {
    let peer = client.peer.ip().to_canonical();
    if http.trusts(peer) {
        let address = read(http, peer, headers);
        return Origin { address, trusted: true };
    }
    if headers.keys().any(|name| is_spoofed(name) || *name == http.forwarded_header) {
        for name in &SPOOFED {
            headers.remove(name);
        }
        headers.remove(&http.forwarded_header);
    }
    Origin { address: peer, trusted: false }
}

/// One pass over the few fields that there are, most of which no one could mistake, costs less than a look for each.
fn is_spoofed(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes()[0], b'x' | b's' | b'f') && SPOOFED.contains(name)
}

/// The last address that is not a trusted proxy's.
fn read(http: &Http, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    let lines: Vec<&str> =
        headers.get_all(&http.forwarded_header).iter().filter_map(|line| line.to_str().ok()).collect();
    for text in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(text.trim()) else { break };
        client = address;
        if !http.trusts(address) {
            break;
        }
    }
    client
}

/// `10.0.0.1`, `10.0.0.1:80`, `[::1]:80`, `::1`.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip().to_canonical())
}

/// As ingress-nginx sets them.
pub fn set(http: &Http, client: &Client, origin: &Origin, host: &HeaderValue, headers: &mut HeaderMap) {
    headers.reserve(ADDED);
    let address = match origin.address == client.peer.ip().to_canonical() {
        true => client.address.clone(),
        false => value(origin.address),
    };
    let chain = match http.append_forwarded {
        true => appended(client, headers),
        false => address.clone(),
    };
    headers.insert(X_FORWARDED_FOR, chain);
    headers.insert(X_REAL_IP, address);
    let scheme = HeaderValue::from_static(client.scheme());
    for name in [X_FORWARDED_PROTO, X_FORWARDED_SCHEME] {
        if !origin.trusted || !headers.contains_key(&name) {
            headers.insert(name, scheme.clone());
        }
    }
    headers.insert(X_SCHEME, scheme);
    if !origin.trusted || !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if !origin.trusted || !headers.contains_key(X_FORWARDED_PORT) {
        headers.insert(X_FORWARDED_PORT, client.port.clone());
    }
}

/// What others have said, and whom we see.
fn appended(client: &Client, headers: &HeaderMap) -> HeaderValue {
    let mut text = String::with_capacity(64);
    for line in headers.get_all(&X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()) {
        text.push_str(line);
        text.push_str(", ");
    }
    if text.is_empty() {
        return client.address.clone();
    }
    let _ = write!(text, "{}", client.peer.ip().to_canonical());
    HeaderValue::try_from(text).expect("lines that were fields, and an address")
}

/// An address as a field says it.
pub fn value(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("an address can be sent")
}

/// Names with an underscore become the same as those with a hyphen where a backend makes variables of them (CGI): nobody is
/// to say `x_forwarded_for` past us.
pub fn drop_underscores(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_SCHEME: HeaderName = HeaderName::from_static("x-scheme");
/// Fields that `set` and an exchange add.
const ADDED: usize = 10;
static SPOOFED: [HeaderName; 14] = [
    FORWARDED,
    VERIFY,
    SUBJECT,
    ISSUER,
    CERTIFICATE,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_SCHEME,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PREFIX,
    X_REAL_IP,
    X_SCHEME,
    HeaderName::from_static("x-original-forwarded-for"),
];
