//! Options of EDNS that rewrite gives to what is asked.

use crate::layer::Request;
use crate::lookup::Lookup;
use crate::name::Shown;
use crate::packet;
use crate::reply::Transport;
use std::net::IpAddr;
use supervisor::Problem;
use wire::corefile::{Edns0Action, Edns0Data, Edns0Option, Edns0Variable};

pub struct Edns0 {
    action: Edns0Action,
    code: u16,
    data: Data,
    revert: bool,
}

enum Data {
    Octets(Vec<u8>),
    Variable(Edns0Variable),
    /// A label.
    Metadata(String),
    /// So many bits of addresses of either family count.
    Subnet(u8, u8),
}

/// What undoes a change in the options that the client sees.
pub enum Undo {
    Remove(u16),
    Restore(u16, Vec<u8>),
}

impl Edns0 {
    pub fn new(action: Edns0Action, option: &Edns0Option, revert: bool) -> Result<Edns0, Problem> {
        let (code, data) = match option {
            Edns0Option::Nsid => (packet::NSID, Data::Octets(Vec::new())),
            Edns0Option::Subnet { ipv4_bits, ipv6_bits } => (SUBNET, Data::Subnet(*ipv4_bits, *ipv6_bits)),
            Edns0Option::Local { code, data: Edns0Data::Variable(variable) } => (*code, Data::Variable(*variable)),
            Edns0Option::Local { code, data: Edns0Data::Metadata(label) } => (*code, Data::Metadata(label.clone())),
            Edns0Option::Local { code, data: Edns0Data::Octets(digits) } => {
                let octets = crate::record::hexadecimal(digits);
                (*code, Data::Octets(octets.map_err(|reason| Problem::new(reason, "correct the digits"))?))
            }
        };
        Ok(Edns0 { action, code, data, revert })
    }

    /// Whether it was done, and how what the client sees of it is undone.
    pub fn apply(&self, request: &mut Request, lookup: &Lookup) -> Option<Option<Undo>> {
        if self.action == Edns0Action::Unset {
            request.options.retain(|(code, _)| *code != self.code);
            return Some(None);
        }
        let data = self.octets(request, lookup)?;
        let held = request.options.iter_mut().find(|(code, _)| *code == self.code);
        let undo = match (self.action, held) {
            (Edns0Action::Set | Edns0Action::Replace, Some((code, held))) => {
                Undo::Restore(*code, std::mem::replace(held, data))
            }
            (Edns0Action::Set, None) => {
                request.options.push((self.code, data));
                Undo::Remove(self.code)
            }
            // A value that is made for each query is not given twice.
            (Edns0Action::Append, Some(_)) if !matches!(self.data, Data::Octets(_)) => return None,
            (Edns0Action::Append, _) => {
                request.options.push((self.code, data));
                Undo::Remove(self.code)
            }
            _ => return None,
        };
        if !request.told.contains(&self.code) {
            request.told.push(self.code);
        }
        Some(self.revert.then_some(undo))
    }

    /// `None`: nobody knows.
    fn octets(&self, request: &Request, lookup: &Lookup) -> Option<Vec<u8>> {
        let Lookup { asker, server, .. } = lookup;
        let address = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Some(match &self.data {
            Data::Metadata(label) => {
                return lookup.facts()?.value(label).filter(|value| !value.is_empty()).map(String::into_bytes);
            }
            Data::Octets(octets) => octets.clone(),
            Data::Subnet(ipv4_bits, ipv6_bits) => subnet(asker.ip(), *ipv4_bits, *ipv6_bits),
            Data::Variable(variable) => match variable {
                Edns0Variable::Qname => Shown(&request.name).to_string().into_bytes(),
                Edns0Variable::Qtype => request.kind.to_be_bytes().to_vec(),
                Edns0Variable::ClientIp => address(asker.peer.ip()),
                Edns0Variable::ClientPort => asker.peer.port().to_be_bytes().to_vec(),
                Edns0Variable::Protocol if asker.transport == Transport::Udp => b"udp".to_vec(),
                Edns0Variable::Protocol => b"tcp".to_vec(),
                Edns0Variable::ServerIp => address(server.ip()),
                Edns0Variable::ServerPort => server.port().to_be_bytes().to_vec(),
            },
        })
    }
}

/// RFC 7871 6: family, bits, scope, and as many octets of the address as the bits need.
fn subnet(client: IpAddr, ipv4_bits: u8, ipv6_bits: u8) -> Vec<u8> {
    let (family, bits, octets) = match client {
        IpAddr::V4(ip) => (1, ipv4_bits, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ipv6_bits, ip.octets().to_vec()),
    };
    let mut data = vec![0, family, bits, 0];
    data.extend(&octets[..usize::from(bits).div_ceil(8)]);
    if let Some(last) = data[4..].last_mut().filter(|_| bits % 8 != 0) {
        *last &= 0xff << (8 - bits % 8);
    }
    data
}

const SUBNET: u16 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_have_no_more_of_an_address_than_they_say() {
        let client = |text: &str| text.parse().unwrap();
        assert_eq!(subnet(client("192.0.2.255"), 24, 56), [0, 1, 24, 0, 192, 0, 2]);
        assert_eq!(subnet(client("192.0.2.255"), 27, 56), [0, 1, 27, 0, 192, 0, 2, 0xe0]);
        assert_eq!(subnet(client("192.0.2.255"), 0, 56), [0, 1, 0, 0]);
        assert_eq!(subnet(client("2001:db8:ffff::1"), 24, 33), [0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80]);
    }
}
