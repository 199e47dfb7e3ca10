/// What a client speaks, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Http1,
    Http2,
    Raw,
}

/// None: more bytes are needed. A client that stays there is raw.
pub fn detect(first: &[u8]) -> Option<Speech> {
    if first.is_empty() {
        return None;
    }
    if first.starts_with(PREFACE) {
        return Some(Speech::Http2);
    }
    if METHODS.iter().any(|method| first.starts_with(method)) {
        return Some(Speech::Http1);
    }
    let undecided = METHODS.iter().chain([&PREFACE]).any(|start| start.starts_with(first));
    if undecided { None } else { Some(Speech::Raw) }
}

/// RFC 9113 3.4: what a client with prior knowledge sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const METHODS: &[&[u8]] =
    &[b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_split_of_the_first_bytes_tells_the_same() {
        for (text, speech) in [
            (&b"GET / HTTP/1.1\r\n"[..], Speech::Http1),
            (b"PATCH /x HTTP/1.1\r\n", Speech::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Speech::Http2),
            (b"hello\n", Speech::Raw),
            (b"GETS\n", Speech::Raw),
            (b"PRI * HTTP/1.0\r\n", Speech::Raw),
            (b"P\n", Speech::Raw),
            (b"\x16\x03\x01", Speech::Raw),
        ] {
            let told: Vec<_> = (0..=text.len()).filter_map(|end| detect(&text[..end])).collect();
            assert!(!told.is_empty() && told.iter().all(|one| *one == speech), "{text:?} {told:?}");
        }
    }
}
