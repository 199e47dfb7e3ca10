//! The PROXY protocol (HAProxy's proxy-protocol.txt of 2020/03/05), versions 1 and 2: what stands before the first octet of
//! a connection, and says whose it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wire::proxy::ProxyVersion;

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Header {
    /// It may be one, and more of it is to come: all octets that are there are of it.
    Part,
    /// It has so many octets, and says so.
    Whole(usize, Ends),
    /// It is none, for this reason.
    Bad(&'static str),
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Ends {
    /// The connection's own: a health check of the sender, or no TCP.
    Own,
    Told {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// What is longer is refused; nginx has the same limit.
pub const HEADER_MAX_BYTES: usize = 4096;

/// Give it all that is there of the header each time; of what comes behind it nothing is looked at.
pub fn read(octets: &[u8]) -> Header {
    match octets.first() {
        None => Header::Part,
        Some(b'P') => read_one(octets),
        Some(b'\r') => read_two(octets),
        Some(_) => Header::Bad("it does not begin with one"),
    }
}

pub fn write(version: ProxyVersion, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source_ip, destination_ip) = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (IpAddr::V4(source), IpAddr::V4(destination)),
        // Both are of one family there.
        (source, destination) => (IpAddr::V6(as_six(source)), IpAddr::V6(as_six(destination))),
    };
    let (source_port, destination_port) = (source.port(), destination.port());
    match version {
        ProxyVersion::V1 => {
            let family = if source_ip.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {source_ip} {destination_ip} {source_port} {destination_port}\r\n").into_bytes()
        }
        ProxyVersion::V2 => {
            let mut header = SIGNATURE.to_vec();
            let addresses = match (source_ip, destination_ip) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
                (source, destination) => [as_six(source).octets(), as_six(destination).octets()].concat(),
            };
            header.extend([PROXY, if source_ip.is_ipv4() { TCP4 } else { TCP6 }]);
            header.extend((addresses.len() as u16 + 4).to_be_bytes());
            header.extend(addresses);
            header.extend(source_port.to_be_bytes());
            header.extend(destination_port.to_be_bytes());
            header
        }
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`, at most 107 octets; `PROXY UNKNOWN` and anything up to the end of the line.
fn read_one(octets: &[u8]) -> Header {
    let start = octets.len().min(PREFIX.len());
    if octets[..start] != PREFIX[..start] {
        return Header::Bad("it does not begin with one");
    }
    let Some(end) = octets.iter().take(LINE_MAX_BYTES).position(|octet| *octet == b'\n') else {
        return if octets.len() < LINE_MAX_BYTES { Header::Part } else { Header::Bad("its line is too long") };
    };
    let line = octets[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(PREFIX));
    let Some(line) = line.and_then(|line| std::str::from_utf8(line).ok()).filter(|line| !line.contains('\r')) else {
        return Header::Bad("its line does not end with CRLF, or is no text");
    };
    let ends = match line.split_once(' ') {
        None if line == "UNKNOWN" => Some(Ends::Own),
        Some(("UNKNOWN", _)) => Some(Ends::Own),
        Some(("TCP4", rest)) => line_ends(rest, |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
        Some(("TCP6", rest)) => line_ends(rest, |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)),
        _ => None,
    };
    ends.map_or(Header::Bad("its addresses cannot be read"), |ends| Header::Whole(end + 1, ends))
}

fn line_ends(text: &str, address: impl Fn(&str) -> Option<IpAddr>) -> Option<Ends> {
    let mut words = text.split(' ');
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| told(source, from, destination, to))
}

fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

/// Signature, version and command, family, length; addresses, and then TLVs.
fn read_two(octets: &[u8]) -> Header {
    let start = octets.len().min(SIGNATURE.len());
    if octets[..start] != SIGNATURE[..start] {
        return Header::Bad("it does not begin with one");
    }
    let Some((fixed, rest)) = octets.split_at_checked(FIXED_BYTES) else { return Header::Part };
    let (command, family) = (fixed[12], fixed[13]);
    if command != LOCAL && command != PROXY {
        return Header::Bad("its version or command is unknown");
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED_BYTES + length > HEADER_MAX_BYTES {
        return Header::Bad("it is too long");
    }
    let Some(rest) = rest.get(..length) else { return Header::Part };
    let whole = &octets[..FIXED_BYTES + length];
    if command == LOCAL {
        return Header::Whole(whole.len(), Ends::Own); // all the rest is to be discarded, whatever it is
    }
    let Some(bytes) = address_bytes(family) else { return Header::Bad("its family is unknown") };
    let Some((addresses, _)) = rest.split_at_checked(bytes) else { return Header::Bad("its addresses are cut off") };
    if let Err(reason) = check_more(whole, FIXED_BYTES + bytes) {
        return Header::Bad(reason);
    }
    Header::Whole(whole.len(), binary_ends(family, addresses))
}

/// None: there is no such family and protocol.
fn address_bytes(family: u8) -> Option<usize> {
    match (family >> 4, family & 15) {
        (0, 0..=2) => Some(0),
        (1, 0..=2) => Some(12),
        (2, 0..=2) => Some(36),
        (3, 0..=2) => Some(216),
        _ => None,
    }
}

fn binary_ends(family: u8, addresses: &[u8]) -> Ends {
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    match family {
        TCP4 => {
            let ip = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&addresses[at..at + 4]).expect("four"));
            told(ip(0), port(8), ip(4), port(10))
        }
        TCP6 => {
            let ip = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&addresses[at..at + 16]).expect("sixteen"));
            told(ip(0), port(32), ip(16), port(34))
        }
        _ => Ends::Own, // nothing that a TCP connection over IP has
    }
}

/// That the TLVs, which are passed over, fill the header to its end, and that the checksum is right where there is one.
fn check_more(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    while at < header.len() {
        let Some([kind, high, low]) = header.get(at..at + 3) else { return Err("a TLV is cut off") };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = at + 3;
        if header.len() - value < length {
            return Err("a TLV is cut off");
        }
        if *kind == TLV_CRC32C {
            let Ok(given) = <[u8; 4]>::try_from(&header[value..value + length]) else {
                return Err("its checksum has not four octets");
            };
            // It was counted with zeros in its own place.
            let counted = crc32c(header.iter().enumerate().map(|(at, octet)| {
                let own = (value..value + length).contains(&at);
                if own { 0 } else { *octet }
            }));
            if counted != u32::from_be_bytes(given) {
                return Err("its checksum is wrong");
            }
        }
        at = value + length;
    }
    Ok(())
}

/// RFC 4960 appendix B: Castagnoli's polynomial, reflected.
fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    !octets.fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(octet), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 })
    })
}

fn told(source: IpAddr, from: u16, destination: IpAddr, to: u16) -> Ends {
    Ends::Told {
        source: SocketAddr::new(source.to_canonical(), from),
        destination: SocketAddr::new(destination.to_canonical(), to),
    }
}

fn as_six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

const PREFIX: &[u8] = b"PROXY ";
const LINE_MAX_BYTES: usize = 107;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const TLV_CRC32C: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends::Told { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// Read at once, and in every two parts: what is a part must never be taken for whole or bad.
    fn read_whole(octets: &[u8]) -> Header {
        let whole = read(octets);
        if let Header::Whole(length, _) = whole {
            assert!((0..length).all(|end| read(&octets[..end]) == Header::Part), "{octets:?}");
            let more = [&octets[..length], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&more), whole, "what comes behind it is not looked at");
        }
        whole
    }

    fn two(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 1, 187];

    #[test]
    fn lines_are_read() {
        for (text, wanted) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", ends("192.0.2.1:56324", "198.51.100.1:443")),
            ("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", ends("[2001:db8::1]:0", "[::1]:65535")),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", ends("192.0.2.1:1", "192.0.2.2:2")),
            ("PROXY UNKNOWN\r\n", Ends::Own),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ends::Own),
        ] {
            assert_eq!(read_whole(text.as_bytes()), Header::Whole(text.len(), wanted), "{text:?}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
        assert_eq!(read_whole(longest.as_bytes()), Header::Whole(107, Ends::Own));
    }

    #[test]
    fn lines_that_are_not_as_written_are_refused() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXX",
            "PROXY\r\n",
            "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            "PROXY UNKNOWN \r x\r\n",
            "PROXY UNKNOWN \u{1}\r\r\n",
        ] {
            assert!(matches!(read_whole(text.as_bytes()), Header::Bad(_)), "{text:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
        assert!(matches!(read(long.as_bytes()), Header::Bad(_)));
        assert!(matches!(read(&[0xff; 3]), Header::Bad(_)));
        assert!(matches!(read(b"PROXY UNKNOWN \xff\r\n"), Header::Bad(_)));
    }

    #[test]
    fn binary_headers_are_read() {
        let told = ends("192.0.2.1:56324", "198.51.100.1:443");
        let six = [[0x20; 16].as_slice(), &[0x21; 16], &[0, 1, 0, 2]].concat();
        let own = |command, family, rest: &[u8]| (two(command, family, rest), Ends::Own);
        for (octets, wanted) in [
            (two(0x21, 0x11, &FOUR), told),
            (two(0x21, 0x11, &[&FOUR[..], &[4, 0, 2, 9, 9], &[0xe0, 0, 0]].concat()), told),
            (
                two(0x21, 0x21, &six),
                ends("[2020:2020:2020:2020:2020:2020:2020:2020]:1", "[2121:2121:2121:2121:2121:2121:2121:2121]:2"),
            ),
            own(0x20, 0x00, &[]),
            own(0x20, 0x11, &FOUR),
            own(0x20, 0xff, &[1, 2, 3]),
            own(0x21, 0x00, &[]),
            own(0x21, 0x12, &FOUR),
            own(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(read_whole(&octets), Header::Whole(octets.len(), wanted), "{octets:?}");
        }
    }

    #[test]
    fn binary_headers_that_are_not_as_written_are_refused() {
        let cut = |rest: &[u8]| [&FOUR[..], rest].concat();
        for octets in [
            two(0x11, 0x11, &FOUR),
            two(0x22, 0x11, &FOUR),
            two(0x31, 0x11, &FOUR),
            two(0x21, 0x13, &FOUR),
            two(0x21, 0x41, &FOUR),
            two(0x21, 0x11, &FOUR[..11]),
            two(0x21, 0x21, &FOUR),
            two(0x21, 0x31, &[0; 215]),
            two(0x21, 0x11, &cut(&[1])),
            two(0x21, 0x11, &cut(&[1, 0])),
            two(0x21, 0x11, &cut(&[1, 0, 1])),
            two(0x21, 0x11, &cut(&[1, 0, 0, 2, 255, 255, 0])),
            two(0x21, 0x11, &cut(&[3, 0, 4, 0, 0, 0, 0])),
            two(0x21, 0x11, &cut(&[3, 0, 3, 0, 0, 0])),
            two(0x20, 0x11, &vec![0; HEADER_MAX_BYTES - 15]),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
            b"\r\nGET".to_vec(),
        ] {
            assert!(matches!(read_whole(&octets), Header::Bad(_)), "{octets:?}");
        }
        assert!(matches!(read(&two(0x20, 0x11, &vec![0; HEADER_MAX_BYTES - 16])), Header::Whole(HEADER_MAX_BYTES, _)));
    }

    #[test]
    fn a_checksum_is_checked() {
        assert_eq!(
            crc32c(b"123456789".iter().copied()),
            0xe306_9283,
            "RFC 3720 B.4's polynomial, its usual check value"
        );
        let mut octets = two(0x21, 0x11, &[&FOUR[..], &[3, 0, 4, 0, 0, 0, 0], &[1, 0, 1, 7]].concat());
        let at = 16 + 12 + 3;
        let sum = crc32c(octets.iter().copied());
        octets[at..at + 4].copy_from_slice(&sum.to_be_bytes());
        assert!(matches!(read_whole(&octets), Header::Whole(_, Ends::Told { .. })));
        for at in [16, 24, at, at + 7] {
            let mut wrong = octets.clone();
            wrong[at] ^= 1;
            assert!(matches!(read(&wrong), Header::Bad(_)), "{at}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (source, destination) in
            [("192.0.2.1:1", "198.51.100.1:2"), ("[2001:db8::1]:1", "[::1]:2"), ("[::ffff:192.0.2.1]:1", "10.0.0.1:2")]
        {
            let (source, destination): (SocketAddr, SocketAddr) =
                (source.parse().unwrap(), destination.parse().unwrap());
            let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
            let wanted = Ends::Told { source: canonical(source), destination: canonical(destination) };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let octets = write(version, source, destination);
                assert_eq!(read_whole(&octets), Header::Whole(octets.len(), wanted));
            }
        }
        let mixed = write(ProxyVersion::V1, "10.0.0.1:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap());
        assert_eq!(mixed, b"PROXY TCP6 ::ffff:10.0.0.1 2001:db8::1 1 2\r\n");
    }
}
