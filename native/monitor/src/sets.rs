use crate::{Event, event, put};
use cli::{Failure, failed};
use nix::errno::Errno;
use serde_json::Value;
use sys::netlink::{
    Builder, FLAG_DUMP, FLAG_REQUEST, KIND_DONE, KIND_ERROR, Message, NETFILTER_HEADER, Netlink, SUBSYSTEM_IPSET,
    attributes, messages, netfilter_header, netfilter_kind,
};

/// Some ipsets, of whose changes nobody is told. Asked again and again how many members they have, which is the same work
/// whatever is in them; a change that leaves that as it was goes unseen.
pub struct Sets {
    socket: Netlink,
    buffer: Vec<u8>,
    sets: Vec<Set>,
}

struct Set {
    name: String,
    request: Vec<u8>,
    /// As told last; the outer None: not told yet.
    last: Option<Option<u32>>,
}

impl Sets {
    pub fn open<'a>(names: impl Iterator<Item = &'a str>) -> Result<Sets, Failure> {
        let socket = Netlink::netfilter(0).map_err(failed(CANNOT))?;
        let sets = names.map(|name| Set { name: name.to_string(), request: request(name), last: None }).collect();
        Ok(Sets { socket, buffer: vec![0; RECEIVE_BYTES], sets })
    }

    /// Those that have not as many members as before; at first, all.
    pub fn changed(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        for set in &mut self.sets {
            let now = ask(&self.socket, &set.request, &mut self.buffer)?;
            if set.last.replace(now) == Some(now) {
                continue;
            }
            let mut changed = event("set");
            put(&mut changed, "name", set.name.as_str());
            put(&mut changed, "members", now.map_or(Value::Null, Value::from));
            events.push(changed);
        }
        Ok(events)
    }
}

/// None: there is no such set, or no ipset in this kernel.
fn ask(socket: &Netlink, request: &[u8], buffer: &mut [u8]) -> Result<Option<u32>, Failure> {
    socket.send(request).map_err(failed(CANNOT))?;
    let mut found = None;
    loop {
        let bytes = socket.receive(buffer).map_err(failed(CANNOT))?;
        for message in messages(bytes) {
            match (message.kind, message.error()) {
                (KIND_DONE, _) | (KIND_ERROR, None | Some(Errno::ENOENT | Errno::EINVAL)) => return Ok(found),
                (KIND_ERROR, Some(error)) => return Err(failed(CANNOT)(error)),
                _ => found = found.or(members(&message)),
            }
        }
    }
}

fn request(name: &str) -> Vec<u8> {
    let mut request = Builder::default();
    request.message(LIST, FLAG_REQUEST | FLAG_DUMP, &netfilter_header(0), |message| {
        message.attribute(PROTOCOL, &[PROTOCOL_VERSION]);
        message.attribute(SET_NAME, &[name.as_bytes(), &[0]].concat());
        message.attribute(FLAGS, &HEADER_ONLY.to_be_bytes());
    });
    request.bytes
}

fn members(message: &Message) -> Option<u32> {
    if message.kind != LIST {
        return None;
    }
    let (_, data) = message.attributes(NETFILTER_HEADER).find(|(kind, _)| *kind == DATA)?;
    let (_, value) = attributes(data).find(|(kind, _)| *kind == ELEMENTS)?;
    value.try_into().map(u32::from_be_bytes).ok()
}

const CANNOT: &str = "cannot ask for ipsets (this needs NET_ADMIN)";
const RECEIVE_BYTES: usize = 64 * 1024;

// linux/netfilter/ipset/ip_set.h
const LIST: u16 = netfilter_kind(SUBSYSTEM_IPSET, 7);
const PROTOCOL: u16 = 1;
const SET_NAME: u16 = 2;
const FLAGS: u16 = 6;
const DATA: u16 = 7;
const ELEMENTS: u16 = 24;
/// Since Linux 2.6.39, and understood by all that know a later one.
const PROTOCOL_VERSION: u8 = 6;
const HEADER_ONLY: u32 = 1 << 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_members_is_read_and_nothing_else() {
        let mut built = Builder::default();
        built.message(netfilter_kind(SUBSYSTEM_IPSET, 2), 0, &netfilter_header(2), |_| {});
        built.message(LIST, 0, &netfilter_header(2), |message| {
            message.attribute(SET_NAME, b"peers\0");
            message.nested(DATA, |inner| {
                inner.attribute(19, &65536u32.to_be_bytes());
                inner.attribute(ELEMENTS, &7u32.to_be_bytes());
            });
        });
        let read: Vec<_> = messages(&built.bytes).map(|message| members(&message)).collect();
        assert_eq!(read, [None, Some(7)]);
    }
}
