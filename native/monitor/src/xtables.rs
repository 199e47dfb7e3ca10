use crate::{Event, event, put};
use cli::{Failure, failed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sys::xtables::{Extent, Tables};

/// The tables of iptables in its legacy variant, which tells nobody when it is changed. Asked for their extent again and
/// again, which is the same work whatever is in them; a change that leaves it as it was goes unseen.
pub struct Extents {
    families: Vec<(u8, Tables)>,
    last: Vec<Option<Extent>>,
}

impl Extents {
    pub fn open() -> Result<Extents, Failure> {
        let family = |number: u8, any: IpAddr| {
            Ok((number, Tables::open(any).map_err(failed("cannot ask for tables of iptables"))?))
        };
        let mut families = vec![family(4, Ipv4Addr::UNSPECIFIED.into())?];
        // A kernel without IPv6 has none of its tables.
        families.extend(family(6, Ipv6Addr::UNSPECIFIED.into()));
        let last = vec![None; families.len() * TABLES.len()];
        Ok(Extents { families, last })
    }

    /// The tables whose extent is not what it was; at first, all there are.
    pub fn changed(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        let asked = self.families.iter().flat_map(|family| TABLES.map(|table| (family, table)));
        for (((number, tables), table), last) in asked.zip(&mut self.last) {
            let now =
                tables.extent(table).map_err(failed("cannot ask for tables of iptables (this needs NET_ADMIN)"))?;
            if now == *last {
                continue;
            }
            *last = now;
            let mut changed = event("xtables");
            put(&mut changed, "family", *number);
            put(&mut changed, "table", table);
            put(&mut changed, "entries", now.map_or(0, |extent| extent.entries));
            put(&mut changed, "bytes", now.map_or(0, |extent| extent.bytes));
            events.push(changed);
        }
        Ok(events)
    }
}

const TABLES: [&str; 2] = ["nat", "filter"];
