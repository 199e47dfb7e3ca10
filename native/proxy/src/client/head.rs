//! The head of an HTTP/1 request, looked at octet by octet before anybody else reads it. Whatever two servers could read in
//! two ways (RFC 9112 11.2) is refused here: line ends other than CRLF, folded lines, white space around names, a length
//! said twice or in two ways, a coding other than chunked, more than one Host.

use memchr::memchr;

/// Reads a head that comes in pieces. Give it all that is there of it each time.
#[derive(Default)]
pub struct HeadReader {
    /// Lines before this are read.
    line: usize,
    /// There is no line end before this.
    seen: usize,
    fields: usize,
    minor: Option<u8>,
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub octets: usize,
    pub fields: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// More is to come.
    Part,
    /// It has so many octets, and a body follows as said.
    Whole(usize, Framing),
    /// The status to answer with; the connection is not to be used further.
    Bad(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

impl HeadReader {
    pub fn read(&mut self, octets: &[u8], limits: Limits) -> Head {
        loop {
            let Some(end) = memchr(b'\n', &octets[self.seen..]).map(|at| self.seen + at) else {
                self.seen = octets.len();
                return if octets.len() >= limits.octets { self.too_large() } else { Head::Part };
            };
            if end >= limits.octets {
                return self.too_large();
            }
            let line = &octets[self.line..end];
            let Some(line) = line.strip_suffix(b"\r").filter(|line| memchr(b'\r', line).is_none()) else {
                return Head::Bad(400);
            };
            let first = self.line == 0;
            self.line = end + 1;
            self.seen = self.line;
            let read = match line {
                [] => return if first { Head::Bad(400) } else { self.end() },
                _ if first => self.request_line(line),
                _ => self.field(line, limits.fields),
            };
            if let Err(status) = read {
                return Head::Bad(status);
            }
        }
    }

    fn too_large(&self) -> Head {
        Head::Bad(if self.line == 0 { 414 } else { 431 })
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), u16> {
        let mut words = line.split(|octet| *octet == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(400);
        };
        if !is_token(method) || target.is_empty() || !target.iter().all(|octet| (0x21..0x7f).contains(octet)) {
            return Err(400);
        }
        self.minor = Some(match version {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'0' =>
            {
                return Err(505);
            }
            _ => return Err(400),
        });
        Ok(())
    }

    fn field(&mut self, line: &[u8], most: usize) -> Result<(), u16> {
        self.fields += 1;
        if self.fields > most {
            return Err(431);
        }
        let colon = memchr(b':', line).ok_or(400_u16)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || !value.iter().all(|octet| VALUE[usize::from(*octet)]) {
            return Err(400);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = number(trim(value)).filter(|_| self.length.is_none()).ok_or(400_u16)?;
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !trim(value).eq_ignore_ascii_case(b"chunked") {
                    return Err(if self.chunked { 400 } else { 501 });
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Head {
        let old = self.minor == Some(0);
        let two_lengths = self.chunked && (self.length.is_some() || old);
        if two_lengths || self.hosts > 1 || (self.hosts == 0 && !old) {
            return Head::Bad(400);
        }
        let framing = if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) };
        Head::Whole(self.line, framing)
    }
}

/// RFC 9110 5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| TOKEN[usize::from(*octet)])
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < 128 {
        table[octet] = (octet as u8).is_ascii_alphanumeric();
        octet += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// RFC 9110 5.5.
const VALUE: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0x20;
    while octet < 256 {
        table[octet] = octet != 0x7f;
        octet += 1;
    }
    table[b'\t' as usize] = true;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { octets: 1000, fields: 5 };

    fn read(text: &str) -> Head {
        let whole = HeadReader::default().read(text.as_bytes(), LIMITS);
        // In pieces of one octet it is read the same.
        let mut reader = HeadReader::default();
        let mut last = Head::Part;
        for end in 1..=text.len() {
            last = reader.read(&text.as_bytes()[..end], LIMITS);
            if last != Head::Part {
                break;
            }
        }
        assert_eq!(last, whole, "{text:?}");
        whole
    }

    #[test]
    fn a_head_ends_where_it_ends() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(read(head), Head::Whole(head.len(), Framing::Length(0)));
        assert_eq!(read(&format!("{head}GET")), Head::Whole(head.len(), Framing::Length(0)));
        let with = |fields: &str| read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert!(matches!(with("Content-Length: 12\r\n"), Head::Whole(_, Framing::Length(12))));
        assert!(matches!(with("content-length:\t12 \r\n"), Head::Whole(_, Framing::Length(12))));
        assert!(matches!(with("Transfer-Encoding: Chunked\r\n"), Head::Whole(_, Framing::Chunked)));
        assert!(matches!(read("GET / HTTP/1.0\r\n\r\n"), Head::Whole(..)));
        assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\n"), Head::Part);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (status, fields) in [
            (400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            (400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            (501, "Transfer-Encoding: gzip, chunked\r\n"),
            (501, "Transfer-Encoding: chunked, identity\r\n"),
            (501, "Transfer-Encoding: xchunked\r\n"),
            (501, "Transfer-Encoding: \u{b}chunked\r\n"),
            (400, "Transfer-Encoding : chunked\r\n"),
            (400, " Transfer-Encoding: chunked\r\n"),
            (400, "X: a\r\n Transfer-Encoding: chunked\r\n"),
            (400, "X: a\r\n\tb\r\n"),
            (400, "Content-Length: 5\r\nContent-Length: 5\r\n"),
            (400, "Content-Length: 5, 5\r\n"),
            (400, "Content-Length: +5\r\n"),
            (400, "Content-Length: -0\r\n"),
            (400, "Content-Length: 0x5\r\n"),
            (400, "Content-Length: 5 5\r\n"),
            (400, "Content-Length:\r\n"),
            (400, "Content-Length: 99999999999999999999\r\n"),
            (400, "Content-Length: 5\n"),
            (400, "X: a\nContent-Length: 5\r\n"),
            (400, "X: a\rContent-Length: 5\r\n"),
            (400, "X: a\r\r\n"),
            (400, "X: a\0b\r\n"),
            (400, "X\0: a\r\n"),
            (400, "X\r\n"),
            (400, ": a\r\n"),
            (400, "X Y: a\r\n"),
            (400, "X(: a\r\n"),
            (400, "Host: b\r\n"),
            (431, "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n"),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(read(&head), Head::Bad(if fields.contains('\u{b}') { 400 } else { status }), "{fields:?}");
        }
        for (status, head) in [
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
            (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET /\r\n"),
            (400, "GET / http/1.1\r\n"),
            (400, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
            (505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
            (400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ] {
            assert_eq!(read(head), Head::Bad(status), "{head:?}");
        }
        assert_eq!(read(&format!("GET /{}", "a".repeat(1000))), Head::Bad(414));
        assert_eq!(read(&format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1000))), Head::Bad(431));
    }
}
