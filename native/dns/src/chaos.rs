//! What a server says about itself, and about who asks: the steps chaos and whoami.

use crate::asker::Asker;
use crate::given::Given;
use crate::name::NAME_MAX;
use crate::packet;
use crate::reply::{Reply, Section, Transport, pointer};
use crate::zone::Place;
use std::net::IpAddr;
use wire::corefile;

/// TXT records of class CH, of some names that BIND made up.
pub struct Chaos {
    version: Vec<u8>,
    authors: Vec<Vec<u8>>,
    host: Vec<u8>,
}

impl Chaos {
    pub fn new(step: &corefile::Chaos) -> Chaos {
        let text = |text: &str| {
            let octets = &text.as_bytes()[..text.len().min(NAME_MAX)];
            [&[octets.len() as u8], octets].concat()
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
        let host = host.ok().map(|name| name.trim().to_string()).filter(|name| !name.is_empty());
        Chaos {
            version: text(&step.version),
            authors: step.authors.iter().map(|author| text(author)).collect(),
            host: text(host.as_deref().unwrap_or("localhost")),
        }
    }

    pub fn answer(&self, asked: Place, kind: u16, reply: &mut Reply) -> Given {
        if reply.class != packet::CHAOS || kind != packet::TXT {
            return Given::Pass;
        }
        let first = reply.turn % self.authors.len().max(1);
        let (behind, before) = self.authors.split_at(first);
        let texts: Vec<&Vec<u8>> = match asked.name {
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => vec![&self.version],
            b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => vec![&self.host],
            b"\x07authors\x04bind\0" => before.iter().chain(behind).collect(),
            _ => return Given::Pass,
        };
        reply.authoritative = false;
        let owner = pointer(asked.offset).unwrap_or(crate::record::OWNER).to_be_bytes();
        for text in texts {
            reply.record(Section::Answer, &owner, packet::TXT, 0, &[text]);
        }
        Given::Done(packet::NO_ERROR)
    }
}

/// The client's address, and in an SRV record its transport and port: additional records to an empty answer.
pub fn whoami(asked: Place, asker: &Asker, reply: &mut Reply) -> Given {
    let owner = pointer(asked.offset).unwrap_or(crate::record::OWNER).to_be_bytes();
    match asker.ip() {
        IpAddr::V4(ip) => reply.record(Section::Additional, &owner, packet::A, 0, &[&ip.octets()]),
        IpAddr::V6(ip) => reply.record(Section::Additional, &owner, packet::AAAA, 0, &[&ip.octets()]),
    };
    let label: &[u8] = if asker.transport == Transport::Udp { b"\x04_udp" } else { b"\x04_tcp" };
    let service = [label, &owner].concat();
    let port = asker.peer.port().to_be_bytes();
    reply.record(Section::Additional, &service, packet::SRV, 0, &[&[0; 4], &port, &[0]]);
    Given::Done(packet::NO_ERROR)
}
