use cli::{Failure, failed};
use sys::netlink::{
    Builder, FLAG_REQUEST, KIND_ERROR, Message, NETFILTER_HEADER, Netlink, SUBSYSTEM_NFTABLES, messages,
    netfilter_header, netfilter_kind,
};

/// The ruleset's generation, which each committed transaction raises by one, whoever's it is. Asked for again and again:
/// whoever listens to nftables makes the kernel write a notification for each element of each transaction, which costs
/// loading 100,000 of them half as much again (nf_tables_api.c: nf_tables_setelem_notify).
pub struct Generation {
    socket: Netlink,
    request: Vec<u8>,
    buffer: Vec<u8>,
    pub last: u32,
}

impl Generation {
    pub fn open() -> Result<Generation, Failure> {
        let socket = Netlink::netfilter(0).map_err(failed(CANNOT))?;
        let mut request = Builder::default();
        request.message(GET_GENERATION, FLAG_REQUEST, &netfilter_header(0), |_| {});
        let mut generation = Generation { socket, request: request.bytes, buffer: vec![0; 4096], last: 0 };
        generation.last = generation.ask()?;
        Ok(generation)
    }

    /// The present one, if it is not the last one any more.
    pub fn changed(&mut self) -> Result<Option<u32>, Failure> {
        let now = self.ask()?;
        let changed = now != self.last;
        self.last = now;
        Ok(changed.then_some(now))
    }

    fn ask(&mut self) -> Result<u32, Failure> {
        self.socket.send(&self.request).map_err(failed(CANNOT))?;
        let bytes = self.socket.receive(&mut self.buffer).map_err(failed(CANNOT))?;
        for message in messages(bytes) {
            if let (KIND_ERROR, Some(error)) = (message.kind, message.error()) {
                return Err(failed(CANNOT)(error));
            }
            if let Some(id) = id(&message) {
                return Ok(id);
            }
        }
        Err(Failure::Failed(format!("{CANNOT}: no answer")))
    }
}

fn id(message: &Message) -> Option<u32> {
    if message.kind != NEW_GENERATION {
        return None;
    }
    let (_, value) = message.attributes(NETFILTER_HEADER).find(|(kind, _)| *kind == GENERATION_ID)?;
    value.try_into().map(u32::from_be_bytes).ok()
}

const CANNOT: &str = "cannot ask for the ruleset's generation (this needs NET_ADMIN)";

// linux/netfilter/nfnetlink.h and nf_tables.h
const NEW_GENERATION: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 15);
const GET_GENERATION: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 16);
const GENERATION_ID: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_read_and_nothing_else() {
        let mut built = Builder::default();
        built.message(netfilter_kind(SUBSYSTEM_NFTABLES, 3), 0, &netfilter_header(1), |_| {});
        built.message(NEW_GENERATION, 0, &netfilter_header(0), |message| {
            message.attribute(3, b"nft\0");
            message.attribute(GENERATION_ID, &7u32.to_be_bytes());
        });
        let ids: Vec<_> = messages(&built.bytes).map(|message| id(&message)).collect();
        assert_eq!(ids, [None, Some(7)]);
    }
}
