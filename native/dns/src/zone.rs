//! What a set of names says to one question, below one zone: steps that answer from tables share it.

use crate::name::{labels, parent, within};
use crate::packet;
use crate::reply::{Reply, Section, pointer, zone_pointer};
use crate::table::{Entry, RecordSet, Set};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name, and where in the message it is written without compression.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub name: &'a [u8],
    pub offset: usize,
}

/// What a name is in a set.
pub enum Found<'a> {
    Entry(Entry<'a>),
    /// A child of a dashed name.
    Address(IpAddr),
    Nothing,
}

pub fn find<'a>(set: &'a Set, name: &[u8]) -> Found<'a> {
    if let Some(entry) = set.get(name) {
        return Found::Entry(entry);
    }
    let above = parent(name).and_then(|above| set.get(above)).filter(|entry| entry.dashed());
    match above.and_then(|_| dashed_address(labels(name).next()?)) {
        Some(ip) => Found::Address(ip),
        None => Found::Nothing,
    }
}

/// `10-240-0-1`, `5678-abcd--1`.
pub fn dashed_address(label: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(label).ok()?;
    let mut octets = [0; 48];
    let space = octets.get_mut(..text.len())?;
    let mut write = |separator: u8| {
        let replaced = text.bytes().map(|octet| if octet == b'-' { separator } else { octet });
        space.iter_mut().zip(replaced).for_each(|(to, from)| *to = from);
    };
    if text.bytes().filter(|octet| *octet == b'-').count() == 3 && !text.contains("--") {
        write(b'.');
        let ip: Option<Ipv4Addr> = std::str::from_utf8(&octets[..text.len()]).ok()?.parse().ok();
        return ip.map(IpAddr::V4);
    }
    if text.contains([':', '.']) {
        return None;
    }
    write(b':');
    let ip: Option<Ipv6Addr> = std::str::from_utf8(&octets[..text.len()]).ok()?.parse().ok();
    ip.map(IpAddr::V6)
}

/// Below in-addr.arpa (RFC 1035 3.5), or by nibbles below ip6.arpa (RFC 3596 2.5): in wire form.
pub fn reverse_name(ip: IpAddr) -> Vec<u8> {
    let mut name = Vec::with_capacity(80);
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for octet in ip.octets().iter().rev() {
                let label = octet.to_string();
                name.push(label.len() as u8);
                name.extend(label.as_bytes());
            }
            name.extend(b"\x07in-addr\x04arpa\0");
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                for nibble in [octet & 15, octet >> 4] {
                    name.extend([1, b"0123456789abcdef"[usize::from(nibble)]]);
                }
            }
            name.extend(b"\x03ip6\x04arpa\0");
        }
    }
    name
}

/// Appends the addresses of the targets of an SRV, MX or NS set that the set holds, each target's once.
pub fn add_targets(reply: &mut Reply, answer: RecordSet, at: usize, set: &Set, zones: &[&[u8]], ttl: u32) {
    let before = match answer.kind {
        packet::SRV => 6,
        packet::MX | 64 | 65 => 2, // SVCB, HTTPS
        packet::NS => 0,
        _ => return,
    };
    let (mut seen, mut offset) = ([0usize; TARGETS_MAX], at);
    let mut count = 0;
    for data in answer.data() {
        offset += crate::record::FIXED_BYTES;
        let target = &data[before..];
        let Some(owner) = pointer(offset + before) else { return };
        offset += data.len();
        let Some(entry) = zones.iter().find(|zone| within(target, zone)).and_then(|_| set.get(target)) else {
            continue;
        };
        // An entry is known by where it lies.
        let place = entry.name().as_ptr() as usize;
        if seen[..count].contains(&place) {
            continue;
        }
        if count == TARGETS_MAX {
            return;
        }
        seen[count] = place;
        count += 1;
        for kind in [packet::A, packet::AAAA] {
            if let Some(addresses) = entry.set(kind) {
                reply.put(Section::Additional, addresses, owner, ttl);
            }
        }
    }
}

/// The start of authority of a zone, in parts: names below the zone are written with a pointer to it.
pub struct StartOfAuthority {
    /// Labels without an end.
    pub primary: Vec<u8>,
    pub mailbox: Vec<u8>,
    pub ttl: u32,
    /// Refresh, retry, expire, minimum.
    pub times: [[u8; 4]; 4],
}

impl StartOfAuthority {
    pub fn put(&self, reply: &mut Reply, section: Section, at: Place, zone: &[u8], serial: u32) {
        let [refresh, retry, expire, minimum] = &self.times;
        let Some(pointer) = zone_pointer(at.name, zone, at.offset) else { return };
        let owner = &pointer.to_be_bytes();
        let serial = serial.to_be_bytes();
        let data: [&[u8]; 9] = [&self.primary, owner, &self.mailbox, owner, &serial, refresh, retry, expire, minimum];
        // RFC 2308 5: of a denial, no longer than the minimum.
        let ttl = if section == Section::Authority { self.ttl.min(u32::from_be_bytes(*minimum)) } else { self.ttl };
        reply.record(section, owner, packet::SOA, ttl, &data);
    }
}

/// More targets than fit with their addresses into most messages; a bound on comparing them.
const TARGETS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses() {
        for (ip, name) in [
            ("10.240.0.1", "1.0.240.10.in-addr.arpa."),
            ("::ffff:10.0.0.1", "1.0.0.10.in-addr.arpa."),
            ("fd00::1a", "a.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."),
        ] {
            assert_eq!(crate::name::Shown(&reverse_name(ip.parse().unwrap())).to_string(), name);
        }
    }

    #[test]
    fn labels_that_are_addresses() {
        for (label, ip) in [
            ("10-240-0-1", "10.240.0.1"),
            ("5678-abcd--1", "5678:abcd::1"),
            ("--1", "::1"),
            ("1-2-3-4-5-6-7-8", "1:2:3:4:5:6:7:8"),
            ("fe80--", "fe80::"),
        ] {
            assert_eq!(dashed_address(label.as_bytes()), Some(ip.parse().unwrap()), "{label}");
        }
        let long = "1".repeat(63);
        for label in ["", "a", "10-240-0", "10-240-0-256", "10-240-0-01", "1::1", "1-2-3-4-5", "10.0.0.1", &long] {
            assert_eq!(dashed_address(label.as_bytes()), None, "{label}");
        }
    }
}
