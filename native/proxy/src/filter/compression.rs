//! Compression of responses (RFC 9110 8.4), as nginx' gzip and ngx_brotli choose them.

use crate::client::encoded::Encoder;
use crate::client::response::ResponseBody;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Method, Response, StatusCode, Version};
use wire::proxy::{self, Encoding};

pub struct Compression {
    encodings: Vec<Encoding>,
    level: u8,
    min_bytes: u64,
    /// None: all.
    types: Option<Vec<String>>,
}

impl Compression {
    pub fn new(row: &proxy::Compression) -> Compression {
        let all = row.types.iter().any(|kind| kind == "*");
        let types = row.types.iter().map(|kind| kind.to_ascii_lowercase());
        Compression {
            encodings: row.encodings.clone(),
            level: row.level,
            min_bytes: row.min_bytes.into(),
            types: (!all).then(|| types.chain(["text/html".to_string()]).collect()),
        }
    }

    /// What of it the client of a request accepts.
    pub fn accepted(&self, method: &Method, version: Version, headers: &HeaderMap) -> Option<Encoding> {
        if version == Version::HTTP_10 || *method == Method::HEAD {
            return None;
        }
        let lines = headers.get_all(ACCEPT_ENCODING);
        let accepts = |encoding: Encoding| {
            let mut named = None;
            let mut any = false;
            for word in lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
                let (name, parameter) = word.split_once(';').unwrap_or((word, ""));
                let weight = parameter.trim().strip_prefix("q=").map(str::trim);
                let wanted = weight.and_then(|weight| weight.parse().ok()).is_none_or(|weight: f32| weight > 0.0);
                match name.trim() {
                    "*" => any = wanted,
                    name if name.eq_ignore_ascii_case(token(encoding)) => named = Some(wanted),
                    _ => {}
                }
            }
            named.unwrap_or(any)
        };
        self.encodings.iter().copied().find(|encoding| accepts(*encoding))
    }

    pub fn apply(&self, accepted: Option<Encoding>, response: &mut Response<ResponseBody>) {
        if !self.fits(response) {
            return;
        }
        let headers = response.headers_mut();
        let varies = headers.get_all(VARY).iter().filter_map(|line| line.to_str().ok()).any(|line| {
            line.split(',')
                .any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding"))
        });
        if !varies {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        let Some(encoding) = accepted else { return };
        let Ok(encoder) = Encoder::new(encoding, self.level) else { return };
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(token(encoding)));
        headers.remove(CONTENT_LENGTH);
        headers.remove(ACCEPT_RANGES);
        // The octets are others (RFC 9110 8.8.1).
        if let Some(strong) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"))
            && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat())
        {
            headers.insert(ETAG, weak);
        }
        response.body_mut().encode(encoder);
    }

    fn fits(&self, response: &Response<ResponseBody>) -> bool {
        let headers = response.headers();
        let status = matches!(response.status(), StatusCode::OK | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        if !status || headers.contains_key(CONTENT_ENCODING) {
            return false;
        }
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if text(CACHE_CONTROL).is_some_and(|line| line.to_ascii_lowercase().contains("no-transform")) {
            return false;
        }
        let kind = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let named = |kinds: &Vec<String>| kinds.iter().any(|held| held.eq_ignore_ascii_case(kind));
        if kind.to_ascii_lowercase().starts_with("application/grpc") || !self.types.as_ref().is_none_or(named) {
            return false;
        }
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok()).or(response.body().length());
        length.is_none_or(|length: u64| length >= self.min_bytes)
    }
}

fn token(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Br => "br",
        Encoding::Zstd => "zstd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compression(types: &[&str]) -> Compression {
        Compression::new(&proxy::Compression {
            encodings: vec![Encoding::Br, Encoding::Gzip],
            level: 4,
            min_bytes: 10,
            types: types.iter().map(|kind| kind.to_string()).collect(),
        })
    }

    #[test]
    fn clients_say_what_they_accept() {
        let compression = compression(&[]);
        for (line, wanted) in [
            ("gzip, deflate, br", Some(Encoding::Br)),
            ("gzip", Some(Encoding::Gzip)),
            ("GZIP;q=0.5", Some(Encoding::Gzip)),
            ("br;q=0, gzip;q=0.001", Some(Encoding::Gzip)),
            ("*", Some(Encoding::Br)),
            ("br;q=0, *", Some(Encoding::Gzip)),
            ("gzip, br;q=0, *;q=0", Some(Encoding::Gzip)),
            ("*;q=0", None),
            ("identity", None),
            ("deflate, zstd", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(line));
            let accepted = |method: Method, version| compression.accepted(&method, version, &headers);
            assert_eq!(accepted(Method::GET, Version::HTTP_11), wanted, "{line}");
            assert_eq!(accepted(Method::GET, Version::HTTP_10), None, "{line}");
            assert_eq!(accepted(Method::HEAD, Version::HTTP_11), None, "{line}");
        }
    }

    #[test]
    fn responses_are_compressed_once_and_only_if_it_helps() {
        let text = "0123456789";
        for (status, fields, wanted) in [
            (200, vec![("content-type", "text/html; charset=utf-8")], true),
            (200, vec![("content-type", "Text/Plain")], true),
            (404, vec![("content-type", "text/plain")], true),
            (206, vec![("content-type", "text/plain")], false),
            (500, vec![("content-type", "text/plain")], false),
            (200, vec![("content-type", "image/png")], false),
            (200, vec![], false),
            (200, vec![("content-type", "text/plain"), ("content-length", "9")], false),
            (200, vec![("content-type", "text/plain"), ("content-encoding", "gzip")], false),
            (200, vec![("content-type", "text/plain"), ("cache-control", "public, No-Transform")], false),
        ] {
            let mut response = Response::new(ResponseBody::whole(text));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in &fields {
                response.headers_mut().insert(*name, HeaderValue::from_static(value));
            }
            compression(&["text/plain"]).apply(None, &mut response);
            assert_eq!(response.headers().contains_key(VARY), wanted, "{status} {fields:?}");
            assert!(wanted || !response.headers().contains_key(VARY));
            compression(&["text/plain"]).apply(Some(Encoding::Br), &mut response);
            let own = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "br");
            assert_eq!(own, wanted, "{status} {fields:?}");
            assert!(response.headers().get_all(VARY).iter().count() <= 1);
        }
        let mut response = Response::new(ResponseBody::whole(text));
        compression(&["*"]).apply(Some(Encoding::Gzip), &mut response);
        assert!(response.headers().contains_key(CONTENT_ENCODING));
    }

    #[test]
    fn what_names_octets_is_changed() {
        let mut response = Response::new(ResponseBody::whole("0123456789"));
        for (name, value) in
            [("content-type", "text/html"), ("etag", "\"a\""), ("content-length", "10"), ("accept-ranges", "bytes")]
        {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        compression(&[]).apply(Some(Encoding::Gzip), &mut response);
        let headers = response.headers();
        assert_eq!(headers.get(ETAG).unwrap(), "W/\"a\"");
        assert!(!headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(ACCEPT_RANGES));
    }
}
