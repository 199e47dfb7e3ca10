use crate::{Event, event, put};
use cli::{Failure, failed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sys::xtables::{Extent, Tables};

/// The tables of iptables in its legacy variant, which tells nobody when it is changed. Asked for their extent again and
/// again, which is the same work whatever is in them; a change that leaves it as it was goes unseen.
pub struct Extents {
    families: Vec<(u8, Tables)>,
    tables: &'static [&'static str],
    last: Vec<Option<Extent>>,
}

impl Extents {
    /// Asking for a table makes it, and packets pay for it: `mangle` only where something of ours is in there.
    pub fn open(mangle: bool) -> Result<Extents, Failure> {
        let tables = if mangle { &TABLES[..] } else { &TABLES[..2] };
        let family = |number: u8, any: IpAddr| {
            Ok((number, Tables::open(any).map_err(failed("cannot ask for tables of iptables"))?))
        };
        let mut families = vec![family(4, Ipv4Addr::UNSPECIFIED.into())?];
        // A kernel without IPv6 has none of its tables.
        families.extend(family(6, Ipv6Addr::UNSPECIFIED.into()));
        let last = vec![None; families.len() * tables.len()];
        Ok(Extents { families, tables, last })
    }

    /// The tables whose extent is not what it was; at first, all there are.
    pub fn changed(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        let asked = self.families.iter().flat_map(|family| self.tables.iter().map(move |table| (family, *table)));
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

const TABLES: [&str; 3] = ["nat", "filter", "mangle"];
