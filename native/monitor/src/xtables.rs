use crate::{Event, event, put};
use cli::{Failure, failed, usage};
use std::fs::read_to_string;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sys::xtables::{Extent, Tables};

/// Tables of iptables in its legacy variant, which tells nobody when it is changed. Asked for their extent again and again,
/// which is the same work whatever is in them; a change that leaves it as it was goes unseen. Asking for a table makes it,
/// and packets pay for it: only those that are there are asked for.
pub struct Extents {
    tables: Vec<String>,
    families: [Family; 2],
}

struct Family {
    number: u8,
    any: IpAddr,
    /// Names of the tables that are there. A kernel without the family has no such file.
    names: &'static str,
    /// Opened for the first table.
    socket: Option<Tables>,
    /// Of each of the tables, as told last.
    last: Vec<Option<Extent>>,
}

impl Extents {
    pub fn of<'a>(tables: impl Iterator<Item = &'a str>) -> Result<Extents, Failure> {
        let tables: Vec<String> = tables.map(str::to_string).collect();
        if let Some(other) = tables.iter().find(|name| !TABLES.contains(&name.as_str())) {
            return Err(usage(format!("--xtables {other}: there is {}", TABLES.join(", "))));
        }
        let family = |number, any, names| Family { number, any, names, socket: None, last: vec![None; tables.len()] };
        let families = [
            family(4, Ipv4Addr::UNSPECIFIED.into(), "/proc/self/net/ip_tables_names"),
            family(6, Ipv6Addr::UNSPECIFIED.into(), "/proc/self/net/ip6_tables_names"),
        ];
        Ok(Extents { tables, families })
    }

    /// The tables whose extent is not what it was; at first, all there are.
    pub fn changed(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        for family in &mut self.families {
            let names = family.names()?;
            for (at, table) in self.tables.iter().enumerate() {
                let is_there = names.lines().any(|name| name == table);
                let now = if is_there { family.extent(table)? } else { None };
                if now == family.last[at] {
                    continue;
                }
                family.last[at] = now;
                let mut changed = event("xtables");
                put(&mut changed, "family", family.number);
                put(&mut changed, "table", table.as_str());
                put(&mut changed, "entries", now.map_or(0, |extent| extent.entries));
                put(&mut changed, "bytes", now.map_or(0, |extent| extent.bytes));
                events.push(changed);
            }
        }
        Ok(events)
    }
}

impl Family {
    fn names(&self) -> Result<String, Failure> {
        match read_to_string(self.names) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(failed("cannot read which tables of iptables there are")),
        }
    }

    fn extent(&mut self, table: &str) -> Result<Option<Extent>, Failure> {
        let why = "cannot ask for tables of iptables (this needs NET_ADMIN and NET_RAW)";
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => Tables::open(self.any).map_err(failed(why))?,
        };
        self.socket.insert(socket).extent(table).map_err(failed(why))
    }
}

const TABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];
