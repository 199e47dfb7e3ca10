//! The dns64 step (RFC 6147): clients that have IPv6 only reach what has IPv4 only, by addresses that a NAT64 translates.

use crate::asker::Asker;
use crate::layer::{Answered, Layers, Request};
use crate::message::{Message, Record};
use crate::packet;
use crate::trace::Trace;
use std::net::Ipv6Addr;
use supervisor::Problem;
use wire::corefile;

pub struct Dns64 {
    prefix: [u8; 16],
    prefix_bytes: usize,
    translate_all: bool,
    allow_ipv4: bool,
}

impl Dns64 {
    pub fn new(step: &corefile::Dns64) -> Result<Dns64, Problem> {
        let wrong = || Problem::new(format!("{:?} is no prefix for it", step.prefix), "write it as 64:ff9b::/96");
        let (ip, bits) = step.prefix.split_once('/').ok_or_else(wrong)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| wrong())?;
        let bits: usize = bits.parse().map_err(|_| wrong())?;
        if ![32, 40, 48, 56, 64, 96].contains(&bits) {
            return Err(wrong());
        }
        Ok(Dns64 {
            prefix: ip.octets(),
            prefix_bytes: bits / 8,
            translate_all: step.translate_all,
            allow_ipv4: step.allow_ipv4,
        })
    }

    pub fn concerns(&self, kind: u16, asker: &Asker) -> bool {
        kind == packet::AAAA && (self.allow_ipv4 || asker.ip().is_ipv6())
    }

    pub fn answer(&self, layers: &Layers, next: usize, request: &Request) -> Answered {
        let trace = layers.lookup.trace;
        let mark = trace.map_or(0, Trace::mark);
        let Some(message) = layers.below(next, request)? else { return Ok(None) };
        let query = layers.lookup.query;
        // RFC 6147 5.5: who validates by himself must not be told what was never signed.
        let validates = query.checking_disabled && query.edns.is_some_and(|edns| edns.dnssec_ok);
        let has_some = message.answer.iter().any(|record| record.kind == packet::AAAA);
        if request.class != packet::IN
            || !self.concerns(request.kind, layers.lookup.asker)
            || message.code == packet::NAME_ERROR
            || (has_some && !self.translate_all)
            || validates
        {
            return Ok(Some(message));
        }
        if let Some(trace) = trace {
            trace.cut(mark);
            trace.layer(mark, request, "dns64");
        }
        let Some(addresses) = layers.whole(&Request { kind: packet::A, ..request.clone() })? else { return Ok(None) };
        Ok(Some(self.translate(&message, addresses)))
    }

    fn translate(&self, denial: &Message, mut addresses: Message) -> Message {
        // RFC 6147 5.1.7.
        let soa = denial.authority.iter().find(|record| record.kind == packet::SOA);
        let ttl_max = soa.map_or(TTL_MAX, |record| record.ttl);
        for record in addresses.answer.iter_mut().filter(|record| record.kind == packet::A) {
            self.embed(record, ttl_max);
        }
        (addresses.authoritative, addresses.authentic) = (false, false);
        addresses.recursion_desired = denial.recursion_desired;
        addresses
    }

    /// RFC 6052 2.2: the octets of the address behind the prefix; the ninth of all is zero.
    fn embed(&self, record: &mut Record, ttl_max: u32) {
        let mut octets = [0; 16];
        octets[..self.prefix_bytes].copy_from_slice(&self.prefix[..self.prefix_bytes]);
        let places = (self.prefix_bytes..16).filter(|at| *at != 8);
        for (at, octet) in places.zip(&record.data) {
            octets[at] = *octet;
        }
        (record.kind, record.ttl, record.data) = (packet::AAAA, record.ttl.min(ttl_max), octets.to_vec());
    }
}

/// Where there is no SOA record to say more.
const TTL_MAX: u32 = 600;
