//! A batch of queries, looked at before the first one is answered: what their names lie in is fetched meanwhile.

use crate::answer::Listener;
use crate::name::within;
use crate::packet::{HEADER_BYTES, LowerName, plain_name};
use crate::step::Step;
use crate::tables::Tables;

/// `packets` are taken as they come: what is wrong with them is found when they are answered.
pub fn look<'a>(tables: &Tables, listener: &Listener, packets: impl Iterator<Item = &'a [u8]>) {
    let mut names = packets.filter_map(name).peekable();
    let Some(first) = names.peek() else { return };
    // Queries that come together are nearly always for one chain, and a cluster's names are the ones there are many of.
    let served = listener.zones.iter().find(|(zone, _)| within(first.wire(), zone.wire()));
    let set = served.and_then(|(_, served)| {
        served.chain.steps.iter().find_map(|step| match step {
            Step::Kubernetes(step) => tables.sets.get(step.set),
            _ => None,
        })
    });
    if let Some(set) = set {
        set.expect(names);
    }
}

fn name(packet: &[u8]) -> Option<LowerName> {
    let body = packet.get(HEADER_BYTES..)?;
    Some(LowerName::of(&body[..plain_name(body)?]))
}
