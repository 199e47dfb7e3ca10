//! The metadata step: what is known of a query, by label, for those that name one: lines of a log, and rewrite. Found when it is
//! asked for, and only then.

use crate::asker::Asker;
use crate::name::{Name, Shown, names, zone_of};
use crate::packet::{self, HEADER_BYTES};
use crate::tables::Tables;
use crate::zone::reverse_name;
use std::net::SocketAddr;
use supervisor::Problem;
use wire::corefile;

pub struct Metadata {
    zones: Vec<Name>,
    kubernetes: Option<Cluster>,
}

struct Cluster {
    zones: Vec<Name>,
    multicluster: Vec<Name>,
    clients: Option<usize>,
}

/// A query, as its metadata see it: what the client asked, whatever was made of it since.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub metadata: &'a Metadata,
    pub tables: &'a Tables,
    /// In wire form, lower case.
    pub name: &'a [u8],
    pub asker: &'a Asker,
    /// Who of the others gave the answer.
    pub upstream: Option<SocketAddr>,
}

/// Parts of a name of the cluster, as CoreDNS reads them from behind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    port: String,
    protocol: String,
    endpoint: String,
    cluster: String,
    service: String,
    namespace: String,
    kind: String,
}

impl Metadata {
    pub fn new(step: &corefile::Metadata, mut set: impl FnMut(&str) -> usize) -> Result<Metadata, Problem> {
        let mut cluster = |step: &corefile::MetadataKubernetes| {
            Ok(Cluster {
                zones: names(&step.zones)?,
                multicluster: names(&step.multicluster)?,
                clients: step.clients.as_deref().map(&mut set),
            })
        };
        Ok(Metadata { zones: names(&step.zones)?, kubernetes: step.kubernetes.as_ref().map(&mut cluster).transpose()? })
    }
}

impl Facts<'_> {
    /// Whether anything is known of such a name.
    pub fn holds(&self) -> bool {
        zone_of(&self.metadata.zones, self.name).is_some()
    }

    /// Of a label, `kubernetes/service`. `None`: nobody says. Empty: it is known, and there is none.
    pub fn value(&self, label: &str) -> Option<String> {
        if !self.holds() {
            return None;
        }
        if label == "forward/upstream" {
            return self.upstream.map(|upstream| upstream.to_string());
        }
        let cluster = self.metadata.kubernetes.as_ref()?;
        let label = label.strip_prefix("kubernetes/")?;
        if let Some(of) = label.strip_prefix("client-") {
            return cluster.client(self.tables, self.asker, of);
        }
        let zone = zone_of(&cluster.zones, self.name)?;
        let multicluster = cluster.multicluster.iter().any(|other| other.wire() == zone.wire());
        let parts = match Parts::of(self.name, zone, multicluster) {
            Some(parts) => parts,
            None => return (label == "parse-error").then(|| "invalid query name".to_string()),
        };
        match label {
            "port-name" => Some(parts.port),
            "protocol" => Some(parts.protocol),
            "endpoint" => Some(parts.endpoint),
            "service" => Some(parts.service),
            "namespace" => Some(parts.namespace),
            "kind" => Some(parts.kind),
            "cluster" if multicluster => Some(parts.cluster),
            _ => None,
        }
    }
}

impl Cluster {
    /// `namespace`, `pod-name` or `label/KEY` of who asks.
    fn client(&self, tables: &Tables, asker: &Asker, what: &str) -> Option<String> {
        let entry = tables.sets.get(self.clients?)?.get(&reverse_name(asker.ip()))?;
        let texts = texts(entry.set(packet::TXT)?.data().next()?);
        let mut texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        match what {
            "namespace" => texts.next(),
            "pod-name" => texts.nth(1),
            _ => {
                let key = what.strip_prefix("label/")?;
                texts.skip(2).find_map(|text| Some(text.strip_prefix(key)?.strip_prefix('=')?.to_string()))
            }
        }
    }
}

/// Of the data of a TXT record.
fn texts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first()?;
        let text = behind.get(..usize::from(*length))?;
        rest = &behind[text.len()..];
        Some(text)
    })
}

impl Parts {
    /// `None`: names of the cluster are not like that.
    fn of(name: &[u8], zone: &Name, multicluster: bool) -> Option<Parts> {
        let base = &name[..name.len() - zone.wire().len()];
        let labels: Vec<String> = texts(base).map(label).collect();
        let mut parts = Parts::default();
        if matches!(&labels[..], [] | [_]) && labels.first().is_none_or(|kind| is_kind(kind)) {
            // The apex, and what has only names below: CoreDNS says nothing of them, not even the kind.
            return Some(parts);
        }
        let mut labels = labels.into_iter().rev();
        parts.kind = labels.next().filter(|kind| is_kind(kind))?;
        parts.namespace = labels.next().unwrap_or_default();
        parts.service = labels.next().unwrap_or_default();
        match (labels.next(), labels.next(), labels.next()) {
            (None, ..) => {}
            (Some(endpoint), None, _) => parts.endpoint = endpoint,
            (Some(cluster), Some(endpoint), None)
                if multicluster && !cluster.starts_with('_') && !endpoint.starts_with('_') =>
            {
                (parts.cluster, parts.endpoint) = (cluster, endpoint);
            }
            (Some(protocol), Some(port), None) => {
                let plain = |label: &str| label.strip_prefix('_').unwrap_or(label).to_string();
                (parts.protocol, parts.port) = (plain(&protocol), plain(&port));
            }
            _ => return None,
        }
        Some(parts)
    }
}

fn is_kind(label: &str) -> bool {
    matches!(label, "svc" | "pod")
}

/// In presentation form.
fn label(octets: &[u8]) -> String {
    let wire = [&[octets.len() as u8], octets, &[0]].concat();
    let mut shown = Shown(&wire).to_string();
    shown.pop();
    shown
}

/// `NOERROR`, `NODATA` and the like, as CoreDNS types an answer; empty: there is none.
pub fn type_of(answer: &[u8], kind: u16, code: u16) -> &'static str {
    if answer.is_empty() {
        return "OTHERERROR";
    }
    if matches!(kind, packet::AXFR | packet::IXFR) {
        return "META";
    }
    let count = |at: usize| answer.get(at..at + 2).is_some_and(|count| count != [0, 0]);
    match code {
        packet::NO_ERROR if count(6) => "NOERROR",
        packet::NAME_ERROR if count(6) => "OTHERERROR",
        packet::NAME_ERROR => "NXDOMAIN",
        packet::SERVER_FAILURE | packet::NOT_IMPLEMENTED => "SERVERERROR",
        packet::NO_ERROR => match authority(answer) {
            Some(packet::SOA) => "NODATA",
            Some(packet::NS) => "DELEGATION",
            _ => "NOERROR",
        },
        _ => "OTHERERROR",
    }
}

/// The type of the first record behind the question, where there is no answer.
fn authority(answer: &[u8]) -> Option<u16> {
    if answer.get(8..10)? == [0, 0] {
        return None;
    }
    let question = HEADER_BYTES + packet::plain_name(answer.get(HEADER_BYTES..)?)? + 4;
    let mut at = question;
    while let Some(length) = answer.get(at).copied().filter(|length| *length != 0) {
        if length & 0xc0 == 0xc0 {
            at += 1;
            break;
        }
        at += usize::from(length) + 1;
    }
    let kind = answer.get(at + 1..at + 3)?;
    Some(u16::from_be_bytes([kind[0], kind[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str, multicluster: bool) -> Option<Parts> {
        let zone = Name::parse("cluster.local.").unwrap();
        Parts::of(Name::parse(name).unwrap().wire(), &zone, multicluster)
    }

    #[test]
    fn names_have_parts() {
        let text = |text: &str| text.to_string();
        let service = Parts { service: text("web"), namespace: text("shop"), kind: text("svc"), ..Parts::default() };
        assert_eq!(parts("web.shop.svc.cluster.local.", false), Some(service));
        let port = parts("_http._tcp.web.shop.svc.cluster.local.", true).unwrap();
        assert_eq!((&port.port[..], &port.protocol[..], &port.service[..]), ("http", "tcp", "web"));
        let pod = parts("10-0-0-1.shop.pod.cluster.local.", false).unwrap();
        assert_eq!((&pod.kind[..], &pod.service[..], &pod.endpoint[..]), ("pod", "10-0-0-1", ""));
        assert_eq!(parts("a.web.shop.svc.cluster.local.", false).unwrap().endpoint, "a");
        let other = parts("a.far.web.shop.svc.cluster.local.", true).unwrap();
        assert_eq!((&other.cluster[..], &other.endpoint[..]), ("far", "a"));
        assert_eq!(parts("a.far.web.shop.svc.cluster.local.", false).unwrap().protocol, "far");
        assert_eq!(parts("cluster.local.", false), Some(Parts::default()));
        assert_eq!(parts("svc.cluster.local.", false), Some(Parts::default()));
        assert_eq!(parts("example.cluster.local.", false), None);
        assert_eq!(parts("shop.svc.cluster.local.", false).unwrap().namespace, "shop");
        assert_eq!(parts("x.a.b.web.shop.svc.cluster.local.", false), None);
    }

    #[test]
    fn answers_have_types() {
        let question = b"\x01a\0\0\x01\0\x01";
        let answer = |answers: u8, records: &[u8]| {
            let counts = [0, 1, 0, answers, 0, u8::from(!records.is_empty()), 0, 0];
            [&[0x12, 0x34, 0x84, 0][..], &counts, question, records].concat()
        };
        let of = |answers, records: &[u8], code| type_of(&answer(answers, records), packet::A, code);
        assert_eq!(of(1, b"", packet::NO_ERROR), "NOERROR");
        assert_eq!(of(0, b"\x01b\xc0\x0c\0\x06\0\x01", packet::NO_ERROR), "NODATA");
        assert_eq!(of(0, b"\0\0\x02\0\x01", packet::NO_ERROR), "DELEGATION");
        assert_eq!(of(0, b"", packet::NO_ERROR), "NOERROR");
        assert_eq!(of(0, b"\xc0\x0c\0\x06\0\x01", packet::NAME_ERROR), "NXDOMAIN");
        assert_eq!(of(1, b"", packet::NAME_ERROR), "OTHERERROR");
        assert_eq!(of(0, b"", packet::SERVER_FAILURE), "SERVERERROR");
        assert_eq!(of(0, b"", packet::REFUSED), "OTHERERROR");
        assert_eq!(type_of(b"", packet::A, packet::NO_ERROR), "OTHERERROR");
    }
}
