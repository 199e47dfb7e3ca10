//! The local step: names that mean this host, and zones that no server outside should be asked for (RFC 6303, RFC 6761).

use crate::given::Given;
use crate::name::{Name, not_absolute, within};
use crate::packet;
use crate::reply::{Reply, Section, pointer, zone_pointer};
use crate::zone::Place;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use supervisor::Problem;
use wire::corefile;

pub struct Local {
    zones: Vec<Name>,
    /// `localhost.ANYTHING.` is localhost, too: what a search list makes of it.
    prefix: bool,
}

impl Local {
    pub fn new(step: &corefile::Local) -> Result<Local, Problem> {
        let zones = ZONES.iter().map(|zone| Name::parse(zone)).collect::<Result<_, _>>().map_err(not_absolute)?;
        Ok(Local { zones, prefix: step.localhost_prefix })
    }

    pub fn answer(&self, asked: Place, kind: u16, reply: &mut Reply) -> Given {
        let name = asked.name;
        let longer = name.len() > LOCALHOST.len();
        let below = longer && within(name, LOCALHOST);
        if below || (longer && self.prefix && name.starts_with(&LOCALHOST[..LOCALHOST.len() - 1])) {
            return address(asked, name, kind, reply);
        }
        let Some(zone) = self.zones.iter().find(|zone| within(name, zone.wire())).map(Name::wire) else {
            return Given::Pass;
        };
        let owner = pointer(asked.offset).unwrap_or(crate::record::OWNER).to_be_bytes();
        reply.authoritative = false;
        match kind {
            packet::SOA if name == zone => start_of_authority(reply, Section::Answer, &owner),
            packet::NS if name == zone => {
                reply.record(Section::Answer, &owner, packet::NS, TTL, &[LOCALHOST]);
            }
            _ if name == LOCALHOST => return address(asked, zone, kind, reply),
            packet::PTR if name == REVERSE => {
                reply.record(Section::Answer, &owner, packet::PTR, TTL, &[LOCALHOST]);
            }
            _ => {
                deny(asked, zone, reply);
                let exists = name == zone || name == REVERSE;
                return Given::Done(if exists { packet::NO_ERROR } else { packet::NAME_ERROR });
            }
        }
        Given::Done(packet::NO_ERROR)
    }
}

fn address(asked: Place, zone: &[u8], kind: u16, reply: &mut Reply) -> Given {
    let owner = pointer(asked.offset).unwrap_or(crate::record::OWNER);
    reply.authoritative = false;
    match kind {
        packet::A => reply.address(owner, TTL, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        packet::AAAA => reply.address(owner, TTL, IpAddr::V6(Ipv6Addr::LOCALHOST)),
        _ => deny(asked, zone, reply),
    }
    Given::Done(packet::NO_ERROR)
}

fn deny(asked: Place, zone: &[u8], reply: &mut Reply) {
    if let Some(owner) = zone_pointer(asked.name, zone, asked.offset) {
        start_of_authority(reply, Section::Authority, &owner.to_be_bytes());
    }
}

fn start_of_authority(reply: &mut Reply, section: Section, owner: &[u8]) {
    let ttl = TTL.to_be_bytes();
    let numbers: [&[u8]; 3] = [&1u32.to_be_bytes(), &[0; 12], &ttl];
    let data = [&[LOCALHOST, b"\x04root", LOCALHOST][..], &numbers].concat();
    reply.record(section, owner, packet::SOA, TTL, &data);
}

const ZONES: [&str; 4] = ["localhost.", "0.in-addr.arpa.", "127.in-addr.arpa.", "255.in-addr.arpa."];
const LOCALHOST: &[u8] = b"\x09localhost\0";
const REVERSE: &[u8] = b"\x011\x010\x010\x03127\x07in-addr\x04arpa\0";
/// A week.
const TTL: u32 = 604_800;
