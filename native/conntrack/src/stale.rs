use crate::entry::{Entry, PROTO_NUM, TUPLE_ORIG, TUPLE_PROTO};
use crate::frontends::Frontends;
use cli::{Failure, failed};
use nix::errno::Errno;
use nix::libc;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;
use sys::netlink::{
    Builder, FLAG_DUMP, FLAG_REQUEST, KIND_DONE, KIND_ERROR, Netlink, SUBSYSTEM_CONNTRACK, messages, netfilter_header,
    netfilter_kind,
};

/// What was done in an address family.
#[derive(Serialize)]
pub struct Done {
    /// As Kubernetes writes it: IPv4 or IPv6.
    pub family: &'static str,
    pub scanned: u64,
    pub deleted: u64,
    pub seconds: f64,
}

/// Lists connection tracking once for each address family asked about, and deletes while listing: memory stays bounded
/// however many entries there are.
pub fn delete(frontends: &Frontends) -> Result<Vec<Done>, Failure> {
    let mut all = Vec::new();
    for (name, family) in [("IPv4", libc::AF_INET), ("IPv6", libc::AF_INET6)] {
        let of_family = frontends.keys().filter(|frontend| frontend.address.is_ipv4() == (family == libc::AF_INET));
        let protocols: BTreeSet<u8> = of_family.map(|frontend| frontend.protocol).collect();
        if protocols.is_empty() {
            continue;
        }
        let protocol = if protocols.len() == 1 { protocols.first().copied() } else { None };
        let begun = Instant::now();
        let mut done = Done { family: name, scanned: 0, deleted: 0, seconds: 0.0 };
        delete_family(frontends, family as u8, protocol, &mut done)?;
        done.seconds = begun.elapsed().as_secs_f64();
        all.push(done);
    }
    Ok(all)
}

fn delete_family(frontends: &Frontends, family: u8, protocol: Option<u8>, done: &mut Done) -> Result<(), Failure> {
    let listing = Netlink::netfilter(0).map_err(failed("cannot open netlink"))?;
    let mut deleter = Deleter::new()?;
    listing.send(&list_request(family, protocol)).map_err(failed("cannot list connection tracking"))?;
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        let bytes = listing.receive(&mut buffer).map_err(failed("cannot list connection tracking"))?;
        for message in messages(bytes) {
            match message.kind {
                KIND_DONE => {
                    deleter.flush()?;
                    done.deleted += deleter.deleted;
                    return Ok(());
                }
                KIND_ERROR => {
                    let error = message.error().unwrap_or(Errno::EINVAL);
                    return Err(failed("cannot list connection tracking (this needs NET_ADMIN)")(error));
                }
                _ => done.scanned += 1,
            }
            match Entry::parse(&message) {
                Some(entry) if entry.is_stale(frontends) => deleter.add(&entry)?,
                _ => {}
            }
        }
    }
}

/// With a protocol, the kernel (5.8 and later) leaves out the others; an older one ignores the filter, which costs time but
/// changes nothing, for every entry is looked at again here.
fn list_request(family: u8, protocol: Option<u8>) -> Vec<u8> {
    let mut request = Builder::default();
    request.message(GET, FLAG_REQUEST | FLAG_DUMP, &netfilter_header(family), |message| {
        if let Some(protocol) = protocol {
            message.nested(TUPLE_ORIG, |tuple| {
                tuple.nested(TUPLE_PROTO, |proto| proto.attribute(PROTO_NUM, &[protocol]));
            });
            message.nested(FILTER, |filter| {
                filter.attribute(FILTER_ORIG_FLAGS, &FILTER_BY_PROTO_NUM.to_ne_bytes());
                filter.attribute(FILTER_REPLY_FLAGS, &0u32.to_ne_bytes());
            });
        }
    });
    request.bytes
}

/// Deletes in batches on a socket of its own: one send a batch, and its acknowledgements fit the receive buffer.
struct Deleter {
    socket: Netlink,
    batch: Builder,
    waiting: usize,
    buffer: Vec<u8>,
    deleted: u64,
}

impl Deleter {
    fn new() -> Result<Deleter, Failure> {
        let socket = Netlink::netfilter(0).map_err(failed("cannot open netlink"))?;
        Ok(Deleter { socket, batch: Builder::default(), waiting: 0, buffer: vec![0; RECEIVE_BYTES], deleted: 0 })
    }

    fn add(&mut self, entry: &Entry) -> Result<(), Failure> {
        entry.delete(DELETE, &mut self.batch);
        self.waiting += 1;
        if self.waiting == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.socket.send(&self.batch.bytes).map_err(failed("cannot delete entries"))?;
        self.batch.bytes.clear();
        while self.waiting > 0 {
            let bytes = self.socket.receive(&mut self.buffer).map_err(failed("cannot delete entries"))?;
            for message in messages(bytes).filter(|message| message.kind == KIND_ERROR) {
                self.waiting -= 1;
                match message.error() {
                    None => self.deleted += 1,
                    Some(Errno::ENOENT) => {} // It ended by itself meanwhile.
                    Some(error) => return Err(failed("cannot delete entries (this needs NET_ADMIN)")(error)),
                }
            }
        }
        Ok(())
    }
}

/// IPCTNL_MSG_CT_GET and IPCTNL_MSG_CT_DELETE of linux/netfilter/nfnetlink_conntrack.h
const GET: u16 = netfilter_kind(SUBSYSTEM_CONNTRACK, 1);
const DELETE: u16 = netfilter_kind(SUBSYSTEM_CONNTRACK, 2);
const FILTER: u16 = 25;
const FILTER_ORIG_FLAGS: u16 = 1;
const FILTER_REPLY_FLAGS: u16 = 2;
/// net/netfilter/nf_internals.h: CTA_FILTER_F_CTA_PROTO_NUM, not exported but part of the interface.
const FILTER_BY_PROTO_NUM: u32 = 1 << 3;

const BATCH: usize = 128;
const RECEIVE_BYTES: usize = 64 * 1024;
