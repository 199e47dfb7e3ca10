use crate::frontends::{Frontend, Frontends, TCP};
use std::net::{IpAddr, SocketAddr};
use sys::netlink::{Builder, FLAG_ACK, FLAG_REQUEST, Message, NETFILTER_HEADER, attributes, netfilter_header};

/// One tracked connection, as far as it matters here.
pub struct Entry<'a> {
    family: u8,
    /// Where the client sent to, before any translation.
    frontend: Frontend,
    /// Who answers.
    answerer: SocketAddr,
    /// TCP that has not been answered yet.
    opening: bool,
    tuple: &'a [u8],
    zone: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// None for what has no ports (ICMP) or is not an entry.
    pub fn parse(message: &Message<'a>) -> Option<Entry<'a>> {
        let family = *message.body.first()?;
        let (mut original, mut reply, mut zone, mut id) = (None, None, None, None);
        let mut opening = false;
        for (kind, value) in message.attributes(NETFILTER_HEADER) {
            match kind {
                TUPLE_ORIG => original = Some(value),
                TUPLE_REPLY => reply = Some(value),
                ZONE => zone = Some(value),
                ID => id = Some(value),
                PROTOINFO => opening = tcp_state(value) == Some(SYN_SENT),
                _ => {}
            }
        }
        let tuple = original?;
        let (protocol, _, destination) = ends(tuple)?;
        let (_, answerer, _) = ends(reply?)?;
        let frontend = Frontend { address: destination, protocol };
        Some(Entry { family, frontend, answerer, opening, tuple, zone, id })
    }

    /// Sent to one of the frontends, and answered by none of its endpoints. Never translated means answered by the
    /// frontend itself, which is no endpoint: stale too. TCP ends by itself, and may outlive its endpoint: stale is only what
    /// was never translated and never answered, which each retransmitted SYN would keep alive.
    pub fn is_stale(&self, frontends: &Frontends) -> bool {
        let Some(endpoints) = frontends.get(&self.frontend) else { return false };
        match self.frontend.protocol {
            TCP => self.opening && self.answerer == self.frontend.address,
            _ => !endpoints.contains(&self.answerer),
        }
    }

    /// The request to delete this very entry. The id keeps a younger one with the same addresses alive.
    pub fn delete(&self, kind: u16, to: &mut Builder) {
        to.message(kind, FLAG_REQUEST | FLAG_ACK, &netfilter_header(self.family), |message| {
            message.nested(TUPLE_ORIG, |inner| inner.bytes.extend_from_slice(self.tuple));
            if let Some(zone) = self.zone {
                message.attribute(ZONE, zone);
            }
            if let Some(id) = self.id {
                message.attribute(ID, id);
            }
        });
    }
}

fn tcp_state(protoinfo: &[u8]) -> Option<u8> {
    let (_, tcp) = attributes(protoinfo).find(|(kind, _)| *kind == PROTOINFO_TCP)?;
    let (_, state) = attributes(tcp).find(|(kind, _)| *kind == PROTOINFO_TCP_STATE)?;
    state.first().copied()
}

/// Protocol, source and destination of a tuple.
fn ends(tuple: &[u8]) -> Option<(u8, SocketAddr, SocketAddr)> {
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut source_port, mut destination_port) = (None, None, None);
    for (kind, value) in attributes(tuple) {
        match kind {
            TUPLE_IP => {
                for (kind, value) in attributes(value) {
                    match kind {
                        IP_V4_SRC | IP_V6_SRC => source = address(value),
                        IP_V4_DST | IP_V6_DST => destination = address(value),
                        _ => {}
                    }
                }
            }
            TUPLE_PROTO => {
                for (kind, value) in attributes(value) {
                    match kind {
                        PROTO_NUM => protocol = value.first().copied(),
                        PROTO_SRC_PORT => source_port = port(value),
                        PROTO_DST_PORT => destination_port = port(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some((protocol?, SocketAddr::new(source?, source_port?), SocketAddr::new(destination?, destination_port?)))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

fn port(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.try_into().ok()?))
}

// linux/netfilter/nfnetlink_conntrack.h
pub const TUPLE_ORIG: u16 = 1;
pub const TUPLE_PROTO: u16 = 2;
pub const PROTO_NUM: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const PROTOINFO: u16 = 4;
const PROTOINFO_TCP: u16 = 1;
const PROTOINFO_TCP_STATE: u16 = 1;
/// linux/netfilter/nf_conntrack_tcp.h
const SYN_SENT: u8 = 1;
const ID: u16 = 12;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const IP_V4_SRC: u16 = 1;
const IP_V4_DST: u16 = 2;
const IP_V6_SRC: u16 = 3;
const IP_V6_DST: u16 = 4;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use sys::netlink::messages;

    fn tuple(to: &mut Builder, kind: u16, source: &str, destination: &str) {
        let (source, destination): (SocketAddr, SocketAddr) = (source.parse().unwrap(), destination.parse().unwrap());
        to.nested(kind, |tuple| {
            tuple.nested(TUPLE_IP, |ip| match (source.ip(), destination.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    ip.attribute(IP_V4_SRC, &from.octets());
                    ip.attribute(IP_V4_DST, &to.octets());
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    ip.attribute(IP_V6_SRC, &from.octets());
                    ip.attribute(IP_V6_DST, &to.octets());
                }
                _ => unreachable!(),
            });
            tuple.nested(TUPLE_PROTO, |proto| {
                proto.attribute(PROTO_NUM, &[17]);
                proto.attribute(PROTO_SRC_PORT, &source.port().to_be_bytes());
                proto.attribute(PROTO_DST_PORT, &destination.port().to_be_bytes());
            });
        });
    }

    fn stale(client: &str, asked: &str, answered: &str, frontend: &str, endpoints: &[&str]) -> bool {
        let mut built = Builder::default();
        built.message(0x100, 0, &netfilter_header(2), |message| {
            tuple(message, TUPLE_ORIG, client, asked);
            tuple(message, TUPLE_REPLY, answered, client);
            message.attribute(ID, &[1, 2, 3, 4]);
        });
        let message = messages(&built.bytes).next().unwrap();
        let entry = Entry::parse(&message).unwrap();
        let endpoints: HashSet<SocketAddr> = endpoints.iter().map(|text| text.parse().unwrap()).collect();
        let frontend = Frontend { address: frontend.parse().unwrap(), protocol: 17 };
        entry.is_stale(&Frontends::from([(frontend, endpoints)]))
    }

    #[test]
    fn only_what_no_endpoint_answers_is_stale() {
        let dns = "10.96.0.10:53";
        let cases: [(&str, &str, &str, &[&str], bool); 8] = [
            (dns, "10.1.1.2:53", dns, &["10.1.1.2:53"], false),
            (dns, "10.1.1.3:53", dns, &["10.1.1.2:53"], true),
            (dns, "10.1.1.2:54", dns, &["10.1.1.2:53"], true),
            (dns, dns, dns, &["10.1.1.2:53"], true),
            (dns, "10.1.1.2:53", dns, &[], true),
            (dns, dns, dns, &[], true),
            ("10.96.0.10:54", "10.1.1.3:53", dns, &["10.1.1.2:53"], false),
            ("10.96.0.11:53", "10.1.1.3:53", dns, &[], false),
        ];
        for (asked, answered, frontend, endpoints, expected) in cases {
            assert_eq!(stale("10.2.0.1:4000", asked, answered, frontend, endpoints), expected, "{asked} {answered}");
        }
        assert!(stale("[fd00::1]:4000", "[fd00::a]:53", "[fd00::3]:53", "[fd00::a]:53", &["[fd00::2]:53"]));
        assert!(!stale("[fd00::1]:4000", "[fd00::a]:53", "[fd00::2]:53", "[fd00::a]:53", &["[fd00::2]:53"]));
    }

    #[test]
    fn the_delete_names_tuple_and_id() {
        let mut built = Builder::default();
        built.message(0x100, 0, &netfilter_header(2), |message| {
            tuple(message, TUPLE_ORIG, "10.2.0.1:4000", "10.96.0.10:53");
            tuple(message, TUPLE_REPLY, "10.1.1.2:53", "10.2.0.1:4000");
            message.attribute(ID, &[1, 2, 3, 4]);
            message.attribute(ZONE, &[0, 7]);
        });
        let message = messages(&built.bytes).next().unwrap();
        let mut request = Builder::default();
        Entry::parse(&message).unwrap().delete(0x102, &mut request);
        let request = messages(&request.bytes).next().unwrap();
        let sent: Vec<_> = request.attributes(NETFILTER_HEADER).collect();
        let original = message.attributes(NETFILTER_HEADER).next().unwrap();
        assert_eq!(sent, [original, (ZONE, &[0, 7][..]), (ID, &[1, 2, 3, 4][..])]);
    }

    #[test]
    fn what_has_no_ports_is_passed_over() {
        let mut built = Builder::default();
        built.message(0x100, 0, &netfilter_header(2), |message| {
            message.nested(TUPLE_ORIG, |tuple| tuple.nested(TUPLE_PROTO, |proto| proto.attribute(PROTO_NUM, &[1])));
        });
        assert!(Entry::parse(&messages(&built.bytes).next().unwrap()).is_none());
    }
}
