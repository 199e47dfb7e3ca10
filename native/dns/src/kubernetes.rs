//! The kubernetes step: names of a cluster from one set of table `names`, as the Kubernetes DNS specification 1.1.0 has
//! them answered. What a name is was decided by the controller; here is only how DNS says it.

use crate::given::Given;
use crate::name::{Name, names, not_absolute, within, zone_of};
use crate::packet;
use crate::record::OWNER;
use crate::reply::{Reply, Section, pointer};
use crate::tables::Tables;
use crate::zone::{Found, Place, StartOfAuthority, add_targets, find};
use supervisor::Problem;

pub struct Kubernetes {
    pub set: usize,
    /// The longest first.
    zones: Vec<Name>,
    ttl: u32,
    /// Names that do not exist are asked of the next step in these zones.
    fallthrough: Vec<Name>,
    soa: StartOfAuthority,
}

impl Kubernetes {
    pub fn new(step: &wire::corefile::Kubernetes, set: usize) -> Result<Kubernetes, Problem> {
        let below = |text: &str| -> Result<Vec<u8>, Problem> {
            let name = Name::parse(&format!("{text}.")).map_err(not_absolute)?;
            Ok(name.wire()[..name.wire().len() - 1].to_vec())
        };
        let soa = &step.soa;
        Ok(Kubernetes {
            set,
            zones: names(&step.zones)?,
            ttl: step.ttl,
            fallthrough: names(step.fallthrough.as_deref().unwrap_or_default())?,
            soa: StartOfAuthority {
                primary: below(&soa.primary)?,
                mailbox: below(&soa.mailbox)?,
                ttl: soa.ttl,
                times: [soa.refresh, soa.retry, soa.expire, soa.minimum].map(u32::to_be_bytes),
            },
        })
    }

    pub fn answer(&self, tables: &Tables, asked: Place, kind: u16, reply: &mut Reply) -> Given {
        let Some(zone) = zone_of(&self.zones, asked.name) else { return Given::Pass };
        if matches!(kind, packet::AXFR | packet::IXFR) {
            return Given::Done(packet::REFUSED);
        }
        let set = &tables.sets[self.set];
        let (mut at, mut zone) = (asked, zone);
        for _ in 0..ALIASES_MAX {
            let Some(owner) = pointer(at.offset) else { return Given::Done(packet::SERVER_FAILURE) };
            let apex = at.name.len() == zone.wire().len();
            let denied = |reply: &mut Reply, code: u16| {
                self.soa.put(reply, Section::Authority, at, zone.wire(), tables.serial);
                Given::Done(code)
            };
            let entry = match find(set, at.name) {
                Found::Entry(entry) => Some(entry),
                Found::Address(ip) => {
                    match kind {
                        packet::A if ip.is_ipv4() => reply.address(owner, self.ttl, ip),
                        packet::AAAA if ip.is_ipv6() => reply.address(owner, self.ttl, ip),
                        packet::ANY => any(reply, owner),
                        _ => return denied(reply, packet::NO_ERROR),
                    }
                    return Given::Done(packet::NO_ERROR);
                }
                Found::Nothing if apex => None,
                // A set has rows whatever is in the cluster: without any, they are still to come.
                Found::Nothing if !tables.synced || set.rows == 0 => return Given::Done(packet::SERVER_FAILURE),
                Found::Nothing
                    if owner == OWNER && self.fallthrough.iter().any(|zone| within(at.name, zone.wire())) =>
                {
                    return Given::Pass;
                }
                Found::Nothing => return denied(reply, packet::NAME_ERROR),
            };
            if apex && kind == packet::SOA {
                self.soa.put(reply, Section::Answer, at, zone.wire(), tables.serial);
                return Given::Done(packet::NO_ERROR);
            }
            if kind == packet::ANY {
                any(reply, owner);
                return Given::Done(packet::NO_ERROR);
            }
            if let Some(answer) = entry.and_then(|entry| entry.set(kind)) {
                if let Some(at) = reply.put(Section::Answer, answer, owner, self.ttl) {
                    let zones: [&[u8]; 1] = [zone.wire()];
                    add_targets(reply, answer, at, set, &zones, self.ttl);
                }
                return Given::Done(packet::NO_ERROR);
            }
            // An ExternalName has no SRV records, not even those of what it stands for.
            let alias = entry.filter(|_| kind != packet::SRV).and_then(|entry| entry.set(packet::CNAME));
            let Some((alias, target)) = alias.and_then(|alias| Some((alias, alias.data().next()?))) else {
                return denied(reply, packet::NO_ERROR);
            };
            let Some(start) = reply.put(Section::Answer, alias, owner, self.ttl) else {
                return Given::Done(packet::NO_ERROR);
            };
            at = Place { name: target, offset: start + crate::record::FIXED_BYTES };
            match zone_of(&self.zones, target) {
                Some(next) => zone = next,
                None => return Given::Elsewhere { offset: at.offset },
            }
        }
        // A circle, or as good as one.
        Given::Done(packet::SERVER_FAILURE)
    }
}

/// RFC 8482 4.2: what is said instead of everything.
pub fn any(reply: &mut Reply, owner: u16) {
    reply.record(Section::Answer, &owner.to_be_bytes(), HINFO, ANY_TTL, &[b"\x07RFC8482\0"]);
}

const HINFO: u16 = 13;
const ANY_TTL: u32 = 8482;
/// A chain of aliases is that long at most.
pub const ALIASES_MAX: usize = 10;
