//! Networks as text: `10.0.0.0/8`.

use std::net::IpAddr;

/// An address and how many bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
}

impl Network {
    pub fn parse(text: &str) -> Option<Network> {
        let (ip, bits) = text.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        Some(Network { ip, bits })
    }

    pub fn holds(&self, client: IpAddr) -> bool {
        let differs = |ours: u128, theirs: u128, width: u32| {
            (ours ^ theirs).checked_shr(width - u32::from(self.bits)).unwrap_or(0) != 0
        };
        match (self.ip, client) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => !differs(ours.to_bits().into(), theirs.to_bits().into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => !differs(ours.to_bits(), theirs.to_bits(), 128),
            _ => false,
        }
    }
}
