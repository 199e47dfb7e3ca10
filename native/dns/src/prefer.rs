//! The networks that loadbalance prefers: addresses in them come first.

use crate::acl::network;
use crate::message::{Message, Record};
use crate::packet;
use std::net::IpAddr;
use supervisor::Problem;
use wire::network::Network;

pub struct Prefer(Vec<Network>);

impl Prefer {
    pub fn new(networks: &[String]) -> Result<Prefer, Problem> {
        Ok(Prefer(networks.iter().map(|text| network(text)).collect::<Result<_, _>>()?))
    }

    /// Whether answers of a type may have addresses.
    pub fn concerns(kind: u16) -> bool {
        !matches!(kind, packet::PTR | packet::TXT | packet::SOA)
    }

    pub fn order(&self, mut message: Message) -> Message {
        if message.code == packet::NO_ERROR {
            message.answer.sort_by_key(|record| self.rank(record));
            message.additional.sort_by_key(|record| self.rank(record));
        }
        message
    }

    /// Aliases, addresses by network, MX records, the rest. Sorting by it is stable.
    fn rank(&self, record: &Record) -> (u8, usize) {
        let ip = match record.kind {
            packet::CNAME => return (0, 0),
            packet::MX => return (2, 0),
            packet::A => record.data.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            packet::AAAA => record.data.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
            _ => return (3, 0),
        };
        let held = ip.and_then(|ip| self.0.iter().position(|network| network.holds(ip)));
        (1, held.unwrap_or(usize::MAX))
    }
}
