//! Paths in one form, for matching, rewriting and backends alike (RFC 3986 6.2.2): a proxy that matches one form and
//! forwards another lets requests pass that its routes forbid.

use std::borrow::Cow;

/// Percent-encoding of unreserved characters undone, hex digits in capitals, dot segments resolved, slashes merged.
/// Err: it is none, leads above the root, or has a NUL.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.starts_with('/') {
        return Err("the path does not begin with a slash");
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    let mut segments: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in decoded[1..].split('/') {
        open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop().ok_or("the path leads above the root")?),
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if open || segments.is_empty() {
        normal.push('/');
    }
    Ok(Cow::Owned(normal))
}

/// Of a route, where a path may have any character: as `normalize` leaves the path of a request that means it.
pub fn normalize_row(path: &str) -> Result<String, &'static str> {
    let mut encoded = String::with_capacity(path.len());
    for octet in path.bytes() {
        match octet {
            b'!'..=b'~' if !matches!(octet, b'"' | b'<' | b'>' | b'?' | b'#' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                encoded.push(char::from(octet));
            }
            _ => encode(&mut encoded, octet),
        }
    }
    normalize(&encoded).map(Cow::into_owned)
}

fn is_normal(path: &[u8]) -> bool {
    let mut slash = false;
    for octet in path {
        match octet {
            b'%' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f.. => return false,
            b'/' | b'.' if slash => return false,
            _ => slash = *octet == b'/',
        }
    }
    true
}

fn decode(path: &[u8]) -> Result<String, &'static str> {
    let mut text = String::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let mut octet = path[at];
        at += 1;
        if octet == b'%' {
            let digit = |at: usize| path.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
                return Err("the path has a percent sign without two hex digits");
            };
            octet = (high * 16 + low) as u8;
            at += 2;
            match octet {
                0 => return Err("the path has a NUL"),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(octet)),
                _ => encode(&mut text, octet),
            }
        } else if matches!(octet, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..) {
            encode(&mut text, octet);
        } else {
            text.push(char::from(octet));
        }
    }
    Ok(text)
}

fn encode(text: &mut String, octet: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(HEX[usize::from(octet >> 4)]));
    text.push(char::from(HEX[usize::from(octet & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/%61%2D%7e", "/a-~"),
            ("/%2e%2E/a", ""),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%c3%bc", "/a%C3%BC"),
            ("/a%zz", ""),
            ("/a%", ""),
            ("/a%0", ""),
            ("/a%00", ""),
            ("/..", ""),
            ("*", ""),
            ("/.a/..b/...", "/.a/..b/..."),
        ] {
            assert_eq!(normalize(path).ok().as_deref(), (!normal.is_empty()).then_some(normal), "{path}");
        }
        assert_eq!(normalize_row("/ü b/%41").unwrap(), "/%C3%BC%20b/A");
    }

    #[test]
    fn a_normal_path_is_left_as_it_is() {
        for path in ["/%2F", "/a%20b", "/a?", "/%7B"] {
            let once = normalize(path).unwrap().into_owned();
            assert_eq!(normalize(&once).unwrap(), once);
        }
    }
}
