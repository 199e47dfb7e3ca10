use crate::{Event, event, put};
use cli::{Failure, failed};
use serde_json::Value;
use sys::netlink::{
    Builder, FLAG_REQUEST, KIND_ERROR, Message, NETFILTER_HEADER, Netlink, SUBSYSTEM_NFTABLES, messages,
    netfilter_header, netfilter_kind,
};

/// The ruleset's present generation.
pub fn generation() -> Result<u32, Failure> {
    let cannot = "cannot ask for the ruleset's generation (this needs NET_ADMIN)";
    let socket = Netlink::netfilter(0).map_err(failed(cannot))?;
    let mut request = Builder::default();
    request.message(GET_GENERATION, FLAG_REQUEST, &netfilter_header(0), |_| {});
    socket.send(&request.bytes).map_err(failed(cannot))?;
    let mut buffer = vec![0; 4096];
    let bytes = socket.receive(&mut buffer).map_err(failed(cannot))?;
    for message in messages(bytes) {
        if let (KIND_ERROR, Some(error)) = (message.kind, message.error()) {
            return Err(failed(cannot)(error));
        }
        if let Some(id) = read(&message).as_ref().and_then(|event| event.get("id")).and_then(Value::as_u64) {
            return Ok(id as u32);
        }
    }
    Err(Failure::Failed(format!("{cannot}: no answer")))
}

pub fn read(message: &Message) -> Option<Event> {
    match message.kind {
        NEW_TABLE => table("new", message),
        DELETE_TABLE => table("delete", message),
        NEW_GENERATION => Some(committed(message)),
        _ => None,
    }
}

fn table(op: &str, message: &Message) -> Option<Event> {
    let family = *message.body.first()?;
    let (_, name) = message.attributes(NETFILTER_HEADER).find(|(kind, _)| *kind == TABLE_NAME)?;
    let mut table = event("nft-table");
    put(&mut table, "op", op);
    put(&mut table, "family", family_name(family));
    put(&mut table, "name", text(name));
    Some(table)
}

fn committed(message: &Message) -> Event {
    let mut committed = event("nft-generation");
    for (kind, value) in message.attributes(NETFILTER_HEADER) {
        match (kind, value.try_into().map(u32::from_be_bytes)) {
            (GENERATION_ID, Ok(id)) => put(&mut committed, "id", id),
            (GENERATION_PID, Ok(pid)) => put(&mut committed, "pid", pid),
            (GENERATION_PROCESS, _) => put(&mut committed, "process", text(value)),
            _ => {}
        }
    }
    committed
}

pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// linux/netfilter.h: NFPROTO_*
fn family_name(family: u8) -> String {
    match family {
        1 => "inet".into(),
        2 => "ip".into(),
        3 => "arp".into(),
        5 => "netdev".into(),
        7 => "bridge".into(),
        10 => "ip6".into(),
        other => other.to_string(),
    }
}

// linux/netfilter/nfnetlink.h and nf_tables.h
pub const GROUP: u32 = 7;
const NEW_TABLE: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 0);
const DELETE_TABLE: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 2);
const NEW_GENERATION: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 15);
const GET_GENERATION: u16 = netfilter_kind(SUBSYSTEM_NFTABLES, 16);
const TABLE_NAME: u16 = 1;
const GENERATION_ID: u16 = 1;
const GENERATION_PID: u16 = 2;
const GENERATION_PROCESS: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn generations_and_tables_are_read() {
        let mut built = Builder::default();
        built.message(NEW_GENERATION, 0, &netfilter_header(0), |message| {
            message.attribute(GENERATION_ID, &7u32.to_be_bytes());
            message.attribute(GENERATION_PID, &4242u32.to_be_bytes());
            message.attribute(GENERATION_PROCESS, b"nft\0");
        });
        built
            .message(DELETE_TABLE, 0, &netfilter_header(1), |message| message.attribute(TABLE_NAME, b"fairlead_svc\0"));
        built.message(netfilter_kind(SUBSYSTEM_NFTABLES, 3), 0, &netfilter_header(1), |_| {});
        let events: Vec<_> = messages(&built.bytes).filter_map(|message| read(&message)).map(Value::Object).collect();
        assert_eq!(
            events,
            [
                json!({"event": "nft-generation", "id": 7, "pid": 4242, "process": "nft"}),
                json!({"event": "nft-table", "op": "delete", "family": "inet", "name": "fairlead_svc"}),
            ]
        );
    }
}
