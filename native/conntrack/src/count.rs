use cli::{Failure, failed};
use nix::errno::Errno;
use sys::netlink::{
    Builder, FLAG_REQUEST, KIND_ERROR, NETFILTER_HEADER, Netlink, SUBSYSTEM_CONNTRACK, messages, netfilter_header,
    netfilter_kind,
};

/// Entries of this network namespace, and how many the table holds.
pub fn count() -> Result<(u32, u32), Failure> {
    let socket = Netlink::netfilter(0).map_err(failed("cannot open netlink"))?;
    let mut request = Builder::default();
    request.message(GET_STATS, FLAG_REQUEST, &netfilter_header(0), |_| {});
    socket.send(&request.bytes).map_err(failed("cannot count connections"))?;
    let mut buffer = vec![0; 4096];
    let bytes = socket.receive(&mut buffer).map_err(failed("cannot count connections"))?;
    let message =
        messages(bytes).next().ok_or_else(|| Failure::Failed("cannot count connections: no answer".into()))?;
    if message.kind == KIND_ERROR {
        let error = message.error().unwrap_or(Errno::EINVAL);
        return Err(failed("cannot count connections (this needs NET_ADMIN)")(error));
    }
    let (mut count, mut max) = (0, 0);
    for (kind, value) in message.attributes(NETFILTER_HEADER) {
        let Ok(value) = value.try_into().map(u32::from_be_bytes) else { continue };
        match kind {
            ENTRIES => count = value,
            MAX_ENTRIES => max = value,
            _ => {}
        }
    }
    Ok((count, max))
}

/// IPCTNL_MSG_CT_GET_STATS, CTA_STATS_GLOBAL_ENTRIES and CTA_STATS_GLOBAL_MAX_ENTRIES
const GET_STATS: u16 = netfilter_kind(SUBSYSTEM_CONNTRACK, 5);
const ENTRIES: u16 = 1;
const MAX_ENTRIES: u16 = 2;
