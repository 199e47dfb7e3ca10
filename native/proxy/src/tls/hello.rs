//! The name that a client asks for, read of its first message (RFC 8446 4.1.2, RFC 5246 7.4.1.2) before anybody has answered it:
//! TLS that is passed through is never ours, and may be of a version or with ciphers that we do not speak. The message may come
//! in several records, and those in any pieces.

#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// More of it is to come.
    Part,
    /// The host name in lower case; empty: none.
    Asks(String),
    /// It is none, or longer than any.
    Bad(&'static str),
}

/// Of all that was read of the connection.
pub fn read(octets: &[u8]) -> Hello {
    match message(octets) {
        Err(hello) => hello,
        Ok(message) => match name(&message) {
            Some(name) => Hello::Asks(name),
            None => Hello::Bad("its parts do not fit together"),
        },
    }
}

/// What the records hold together, without what comes after the message.
fn message(octets: &[u8]) -> Result<Vec<u8>, Hello> {
    let mut held = Vec::new();
    let mut rest = octets;
    loop {
        if let Some(wanted) = length(&held)? {
            if held.len() >= wanted {
                held.truncate(wanted);
                return Ok(held);
            }
        }
        // Version 3.x; the minor one says nothing (RFC 8446 5.1).
        if !b"\x16\x03".starts_with(&rest[..rest.len().min(2)]) {
            return Err(Hello::Bad("it does not begin with a handshake"));
        }
        let Some((header, more)) = rest.split_at_checked(RECORD_HEADER) else { return Err(Hello::Part) };
        let size = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if size == 0 || size > RECORD_MAX_BYTES {
            return Err(Hello::Bad("a record is empty, or too long"));
        }
        held.extend(&more[..size.min(more.len())]);
        if more.len() < size {
            // The rest may not be needed to see that it is no hello.
            return Err(match length(&held)? {
                Some(wanted) if held.len() >= wanted => return Ok(held[..wanted].to_vec()),
                _ => Hello::Part,
            });
        }
        rest = &more[size..];
    }
}

/// Of the message with its header; None: too few octets are there.
fn length(held: &[u8]) -> Result<Option<usize>, Hello> {
    if held.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(Hello::Bad("its first message is not of a client"));
    }
    let Some(header) = held.first_chunk::<MESSAGE_HEADER>() else { return Ok(None) };
    let wanted = MESSAGE_HEADER + u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if wanted > HELLO_MAX_BYTES { Err(Hello::Bad("it is longer than 16 KiB")) } else { Ok(Some(wanted)) }
}

/// None: it cannot be read.
fn name(message: &[u8]) -> Option<String> {
    let mut reader = Reader(&message[MESSAGE_HEADER..]);
    reader.take(2 + 32)?; // version, random
    reader.vector::<1>()?; // session
    reader.vector::<2>()?; // ciphers
    reader.vector::<1>()?; // compression
    if reader.0.is_empty() {
        return Some(String::new()); // there were no extensions once
    }
    let mut extensions = Reader(reader.vector::<2>()?);
    reader.0.is_empty().then_some(())?;
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number::<2>()?;
        let content = extensions.vector::<2>()?;
        if kind == SERVER_NAME {
            found.is_none().then_some(())?;
            found = Some(host(content)?);
        }
    }
    Some(found.unwrap_or_default())
}

/// RFC 6066 3: one name of type host_name.
fn host(content: &[u8]) -> Option<String> {
    let mut reader = Reader(content);
    let mut names = Reader(reader.vector::<2>()?);
    reader.0.is_empty().then_some(())?;
    (names.number::<1>()? == 0).then_some(())?;
    let name = names.vector::<2>()?;
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
    let fits = names.0.is_empty() && (1..=255).contains(&name.len()) && name.iter().all(plain);
    let name = fits.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())?;
    Some(name.strip_suffix('.').unwrap_or(&name).to_string())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<usize> {
        Some(self.take(N)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    /// With its length before it.
    fn vector<const N: usize>(&mut self) -> Option<&'a [u8]> {
        let length = self.number::<N>()?;
        self.take(length)
    }
}

const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;
const RECORD_MAX_BYTES: usize = 16 << 10;
/// Of the message with its header; each octet of it in a record of its own makes six times that on the wire.
pub const HELLO_MAX_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn vector<const N: usize>(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u64).to_be_bytes();
        [&length[8 - N..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector::<2>(content)].concat()
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        extension(0, &vector::<2>(&[&[0][..], &vector::<2>(name)].concat()))
    }

    fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        let start = [&[3, 3][..], &[7; 32], &vector::<1>(&[9; 32]), &vector::<2>(&[0x13, 1]), &vector::<1>(&[0])];
        let body = [&start.concat()[..], &vector::<2>(&extensions.concat())].concat();
        [&[1][..], &vector::<3>(&body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector::<2>(part)].concat()).collect()
    }

    /// At once, and octet by octet.
    fn read_whole(octets: &[u8]) -> Hello {
        let whole = read(octets);
        let first = (0..=octets.len()).map(|end| read(&octets[..end])).find(|hello| *hello != Hello::Part);
        assert_eq!(first.unwrap_or(Hello::Part), whole, "{octets:?}");
        whole
    }

    fn asks(name: &str) -> Hello {
        Hello::Asks(name.to_string())
    }

    #[test]
    fn names_are_found_in_any_pieces() {
        let grease = extension(0x0a0a, &[]);
        let message = hello(&[grease.clone(), sni(b"Www.Example.ORG"), extension(16, &[0, 3, 2, b'h', b'2'])]);
        for size in [1, 2, 3, 7, 100, message.len()] {
            assert_eq!(read_whole(&records(&message, size)), asks("www.example.org"), "{size}");
        }
        let more = [records(&message, 1000), b"\x14\x03\x03\x00\x01\x01".to_vec()].concat();
        assert_eq!(read(&more), asks("www.example.org"), "what comes behind it is not looked at");
        let shared = records(&[&message[..], b"\x01more"].concat(), 1000);
        assert_eq!(read(&shared), asks("www.example.org"));
        assert_eq!(read_whole(&records(&hello(&[grease]), 50)), asks(""));
        assert_eq!(read_whole(&records(&hello(&[sni(b"a.test.")]), 50)), asks("a.test"));
        let old = [&[1][..], &vector::<3>(&hello(&[])[4..hello(&[]).len() - 2])].concat();
        assert_eq!(read_whole(&records(&old, 50)), asks(""), "no extensions at all");
    }

    #[test]
    fn what_is_no_hello_is_refused_as_soon_as_that_is_known() {
        let good = hello(&[sni(b"a.test")]);
        let mut kind = good.clone();
        kind[0] = 2;
        let mut long = good.clone();
        long[1] = 1;
        let mut cut = good.clone();
        cut[3] -= 1;
        for octets in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\x16\x02\x00\x00\x01".to_vec(),
            b"\x16\x03\x01\x00\x00".to_vec(),
            b"\x16\x03\x01\x40\x01".to_vec(),
            b"\x80\x2e\x01\x03\x01".to_vec(),
            records(&kind, 100),
            records(&long, 100),
            records(&cut, 100),
            records(&hello(&[sni(b"a.test"), sni(b"b.test")]), 100),
            records(&hello(&[sni(b"")]), 100),
            records(&hello(&[sni(b"a b")]), 100),
            records(&hello(&[sni(b"a\0b")]), 100),
            records(&hello(&[sni(&[b'a'; 256])]), 1000),
            records(&hello(&[extension(0, &[])]), 100),
            records(&hello(&[extension(0, &[0, 4, 1, 0, 1, b'a'])]), 100),
            records(&hello(&[vec![0, 0, 0]]), 100),
        ] {
            assert!(matches!(read_whole(&octets), Hello::Bad(_)), "{octets:?}");
        }
        assert!(matches!(read(&[22, 3, 1, 0, 4, 1, 0, 0x40, 0]), Hello::Bad(_)), "16 KiB and no octet more");
        let most = hello(&[sni(b"a.test"), extension(21, &vec![0; HELLO_MAX_BYTES - 200])]);
        assert!(most.len() < HELLO_MAX_BYTES);
        assert_eq!(read(&records(&most, 1 << 14)), asks("a.test"));
    }
}
