use crate::route::number;
use crate::{Event, event, put};
use sys::netlink::{Message, attributes};

/// struct ifinfomsg: family and one of padding; type: two; index, flags, change: four each.
pub fn read(op: &str, message: &Message) -> Option<Event> {
    let header = message.body.get(..16)?;
    // A bridge speaks of its ports in the same messages: "deleted" then means only that a port left.
    if header[0] != 0 {
        return None;
    }
    let flags = number(header, 8)?;
    let mut link = event("link");
    put(&mut link, "op", op);
    put(&mut link, "index", number(header, 4)?);
    put(&mut link, "up", flags & IFF_UP != 0);
    put(&mut link, "running", flags & IFF_RUNNING != 0);
    for (kind, value) in message.attributes(16) {
        match kind {
            IFLA_ADDRESS => put(&mut link, "address", hardware_address(value)),
            IFLA_IFNAME => put(&mut link, "name", text(value)),
            IFLA_MTU => put(&mut link, "mtu", number(value, 0)?),
            IFLA_LINKINFO => {
                if let Some((_, kind)) = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND) {
                    put(&mut link, "kind", text(kind));
                }
            }
            _ => {}
        }
    }
    Some(link)
}

/// `02:00:00:00:00:09`
pub fn hardware_address(value: &[u8]) -> String {
    value.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

// linux/if.h, linux/if_link.h
const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 0x40;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use sys::netlink::{Builder, messages};

    fn read_one(family: u8) -> Option<Value> {
        let header = [&[family, 0, 1, 0][..], &5u32.to_ne_bytes(), &0x41u32.to_ne_bytes(), &[0; 4]].concat();
        let mut built = Builder::default();
        built.message(17, 0, &header, |message| {
            message.attribute(IFLA_IFNAME, b"flannel.1\0");
            message.attribute(IFLA_MTU, &1450u32.to_ne_bytes());
            message.nested(IFLA_LINKINFO, |info| info.attribute(IFLA_INFO_KIND, b"vxlan\0"));
        });
        read("delete", &messages(&built.bytes).next().unwrap()).map(Value::Object)
    }

    #[test]
    fn links_are_read_and_bridge_ports_are_not_links() {
        let link = json!({"event": "link", "op": "delete", "index": 5, "up": true, "running": true, "name": "flannel.1",
                          "mtu": 1450, "kind": "vxlan"});
        assert_eq!(read_one(0), Some(link));
        assert_eq!(read_one(7), None);
    }
}
