//! Header fields that are of one connection only (RFC 9110 7.6.1), and what else must not reach the other side.

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, EXPECT, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};

/// What an HTTP/1.1 client wants to speak instead (RFC 9110 7.8). HTTP/2 it may not: its requests would go by our rules
/// unread, and who wants it says so without asking (RFC 9113 3.1).
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let two = ["h2", "h2c"].iter().any(|name| lists(headers, UPGRADE, name));
    (!two && lists(headers, CONNECTION, "upgrade")).then(|| wanted.clone())
}

fn lists(headers: &HeaderMap, field: HeaderName, wanted: &str) -> bool {
    let mut words = headers.get_all(field).iter().flat_map(|line| line.as_bytes().split(|octet| *octet == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Of a request. gRPC's `te: trailers` stays.
pub fn strip_request(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| OWN.contains(name)) {
        return; // as most: one look at each costs less than one for each
    }
    let trailers = headers.get(TE).is_some_and(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers")))
    });
    strip(headers);
    headers.remove(EXPECT); // hyper has answered it, or will: 100 when the body is asked for
    headers.remove(PROXY_AUTHORIZATION);
    headers.remove(HTTP2_SETTINGS);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Of a response.
pub fn strip_response(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| OWN.contains(name)) {
        return;
    }
    strip(headers);
    headers.remove(PROXY_AUTHENTICATE);
}

fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        let names = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        for name in
            names.map(str::trim).filter(|name| !name.is_empty() && !KEPT.contains(&name.to_ascii_lowercase().as_str()))
        {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [TE, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name); // TRAILER stays: says what comes at the end, and does
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// All that is taken away of a request or a response.
static OWN: [HeaderName; 10] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    EXPECT,
    PROXY_AUTHORIZATION,
    PROXY_AUTHENTICATE,
    HTTP2_SETTINGS,
];
/// What a client must not have taken away by naming it in Connection: the backend relies on them.
const KEPT: &[&str] = &["host", "content-length", "content-type", "authorization", "cookie", "forwarded"];
