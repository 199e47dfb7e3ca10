//! Addresses, routes and neighbours (linux/rtnetlink.h); links are next door.

use crate::{Event, event, link, put};
use cli::{Failure, failed};
use nix::errno::Errno;
use std::io;
use std::net::IpAddr;
use sys::netlink::{Builder, FLAG_DUMP, FLAG_REQUEST, KIND_DONE, KIND_ERROR, Message, Netlink, messages};

/// Flag, and the multicast groups it stands for.
pub const GROUPS: &[(&str, &[u32])] = &[("link", &[1]), ("neighbour", &[3]), ("address", &[5, 9]), ("route", &[7, 11])];

pub fn read(message: &Message) -> Option<Event> {
    match message.kind {
        16 => link::read("new", message),
        17 => link::read("delete", message),
        20 => address("new", message),
        21 => address("delete", message),
        24 => route("new", message),
        25 => route("delete", message),
        28 => neighbour("new", message),
        29 => neighbour("delete", message),
        _ => None,
    }
}

/// All addresses there are, as events of new ones.
pub fn addresses(buffer: &mut [u8]) -> Result<Vec<Event>, Failure> {
    for _ in 0..LISTS_MAX {
        if let Some(events) = list_addresses(buffer).map_err(failed("cannot list addresses"))? {
            return Ok(events);
        }
    }
    Err(Failure::Failed("addresses change too quickly to be listed".to_string()))
}

/// None: something changed meanwhile, and some may be missing.
fn list_addresses(buffer: &mut [u8]) -> io::Result<Option<Vec<Event>>> {
    let socket = Netlink::route(0)?;
    let mut request = Builder::default();
    request.message(RTM_GETADDR, FLAG_REQUEST | FLAG_DUMP, &[0; ADDRESS_HEADER], |_| {});
    socket.send(&request.bytes)?;
    let (mut events, mut whole) = (Vec::new(), true);
    loop {
        for message in messages(socket.receive(buffer)?) {
            whole &= message.flags & FLAG_DUMP_INTERRUPTED == 0;
            match message.kind {
                KIND_DONE => return Ok(whole.then_some(events)),
                KIND_ERROR => return Err(message.error().unwrap_or(Errno::EPROTO).into()),
                _ => events.extend(read(&message)),
            }
        }
    }
}

/// struct ifaddrmsg: family, prefix length, flags, scope: one byte each; index: four.
fn address(op: &str, message: &Message) -> Option<Event> {
    let mut address = event("address");
    put(&mut address, "op", op);
    put(&mut address, "index", number(message.body, 4)?);
    let (mut peer, mut local) = (None, None);
    for (kind, value) in message.attributes(ADDRESS_HEADER) {
        match kind {
            1 => peer = ip(value),
            2 => local = ip(value),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL elsewhere.
    put(&mut address, "address", local.or(peer)?.to_string());
    put(&mut address, "prefixLength", *message.body.get(1)?);
    Some(address)
}

/// struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type: one byte each; flags: four.
fn route(op: &str, message: &Message) -> Option<Event> {
    let header = message.body.get(..12)?;
    let mut route = event("route");
    put(&mut route, "op", op);
    let any = if header[0] == AF_INET { "0.0.0.0" } else { "::" };
    put(&mut route, "destination", any);
    put(&mut route, "prefixLength", header[1]);
    put(&mut route, "table", header[4]);
    put(&mut route, "protocol", header[5]);
    put(&mut route, "type", header[7]);
    for (kind, value) in message.attributes(12) {
        match kind {
            1 => put(&mut route, "destination", ip(value)?.to_string()),
            4 => put(&mut route, "index", number(value, 0)?),
            5 => put(&mut route, "gateway", ip(value)?.to_string()),
            6 => put(&mut route, "metric", number(value, 0)?),
            15 => put(&mut route, "table", number(value, 0)?),
            _ => {}
        }
    }
    Some(route)
}

/// struct ndmsg: family and three of padding; index: four; state: two; flags, type: one each.
fn neighbour(op: &str, message: &Message) -> Option<Event> {
    let header = message.body.get(..12)?;
    let mut neighbour = event("neighbour");
    put(&mut neighbour, "op", op);
    put(&mut neighbour, "index", number(header, 4)?);
    put(&mut neighbour, "state", u16::from_ne_bytes([header[8], header[9]]));
    let family = match header[0] {
        AF_INET => "ipv4",
        AF_INET6 => "ipv6",
        AF_BRIDGE => "bridge",
        _ => return None,
    };
    put(&mut neighbour, "family", family);
    for (kind, value) in message.attributes(12) {
        match kind {
            1 => put(&mut neighbour, "address", ip(value)?.to_string()),
            2 => put(&mut neighbour, "linkAddress", link::hardware_address(value)),
            _ => {}
        }
    }
    Some(neighbour)
}

pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

const RTM_GETADDR: u16 = 22;
const ADDRESS_HEADER: usize = 8;
/// NLM_F_DUMP_INTR
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const LISTS_MAX: usize = 100;
const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const AF_INET6: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read_one(kind: u16, header: &[u8], attributes: &[(u16, &[u8])]) -> Option<Value> {
        let mut built = Builder::default();
        built.message(kind, 0, header, |message| {
            attributes.iter().for_each(|(kind, value)| message.attribute(*kind, value))
        });
        read(&messages(&built.bytes).next().unwrap()).map(Value::Object)
    }

    #[test]
    fn addresses_name_the_local_end() {
        let header = [&[AF_INET, 24, 0, 0][..], &3u32.to_ne_bytes()].concat();
        assert_eq!(
            read_one(20, &header, &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1])]),
            Some(json!({"event": "address", "op": "new", "index": 3, "address": "10.0.0.1", "prefixLength": 24}))
        );
    }

    #[test]
    fn routes_and_neighbours_are_read() {
        let header = [AF_INET, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        let route =
            read_one(25, &header, &[(5, &[10, 0, 0, 2]), (4, &2u32.to_ne_bytes()), (15, &300u32.to_ne_bytes())]);
        assert_eq!(
            route,
            Some(
                json!({"event": "route", "op": "delete", "destination": "0.0.0.0", "prefixLength": 0, "gateway": "10.0.0.2",
                        "index": 2, "table": 300, "protocol": 4, "type": 1})
            )
        );
        let header = [&[AF_BRIDGE, 0, 0, 0][..], &2u32.to_ne_bytes(), &128u16.to_ne_bytes(), &[2, 0]].concat();
        let neighbour = read_one(28, &header, &[(1, &[10, 0, 0, 2]), (2, &[2, 0, 0, 0, 0, 9])]);
        assert_eq!(
            neighbour,
            Some(json!({"event": "neighbour", "op": "new", "index": 2, "state": 128, "family": "bridge",
                        "address": "10.0.0.2", "linkAddress": "02:00:00:00:00:09"}))
        );
    }

    #[test]
    fn what_is_cut_short_is_no_event() {
        for kind in [16, 20, 24, 28] {
            assert_eq!(read_one(kind, &[AF_INET, 0, 0], &[]), None);
        }
    }
}
