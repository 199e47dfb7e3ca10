//! Sockets, as rows of tables ask for them. They stay open whatever becomes of the worker.

use crate::kind::{PageAt, Place, Sockets, Wants};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::time::Duration;
use sys::datagram::bind_shared;
use sys::listener::{Listen, Transport, no_ipv6, tcp};
use wire::protocol::RefusedRow;

/// What the rows of one table want, by key.
pub type Asked = BTreeMap<String, Wants>;

pub struct Ports {
    threads: usize,
    /// Addresses that are not there yet are taken as if they were (IP_FREEBIND, ip(7)).
    freely: bool,
    asked: BTreeMap<String, Asked>,
    open: BTreeMap<Place, Sockets>,
    /// Wanted by rows from the disk, and could not be opened yet.
    missing: BTreeMap<Place, String>,
}

/// What a commit changes.
#[derive(Default)]
pub struct Plan {
    pub opened: Vec<Sockets>,
    pub closed: Vec<Place>,
    /// Rows that want what cannot be had.
    pub refused: Vec<RefusedRow>,
    asked: Asked,
}

impl Ports {
    pub fn new(threads: usize, freely: bool) -> Ports {
        Ports { threads, freely, asked: BTreeMap::new(), open: BTreeMap::new(), missing: BTreeMap::new() }
    }

    /// Open already: another process had them.
    pub fn inherit(&mut self, sockets: Vec<Sockets>) {
        self.open.extend(sockets.into_iter().map(|sockets| (sockets.place.clone(), sockets)));
    }

    pub fn asked(&self, table: &str) -> Asked {
        self.asked.get(table).cloned().unwrap_or_default()
    }

    /// Opens what a table needs that is to want `asked`.
    pub fn plan(&self, table: &str, mut asked: Asked) -> Plan {
        let mut plan = Plan::default();
        for (key, wants) in &asked {
            for place in &wants.places {
                let held = self.open.contains_key(place) || plan.opened.iter().any(|sockets| sockets.place == *place);
                match if held { Ok(None) } else { self.open(place).map(Some) } {
                    Ok(sockets) => plan.opened.extend(sockets),
                    Err(error) => {
                        plan.refused.push(refusal(key, place, &error));
                        break;
                    }
                }
            }
        }
        plan.refused.iter().for_each(|row| drop(asked.remove(&row.key)));
        let others = self.asked.iter().filter(|(other, _)| *other != table).flat_map(|(_, asked)| asked.values());
        let wanted: BTreeSet<&Place> = asked.values().chain(others).flat_map(|wants| &wants.places).collect();
        plan.opened.retain(|sockets| wanted.contains(&sockets.place));
        plan.closed = self.open.keys().filter(|place| !wanted.contains(place)).cloned().collect();
        plan.asked = asked;
        plan
    }

    /// The commit is in force. Returns what is to be told to the worker.
    pub fn commit(&mut self, table: &str, plan: Plan) -> (Vec<Place>, Vec<Place>) {
        self.asked.insert(table.to_string(), plan.asked);
        self.missing.clear();
        plan.closed.iter().for_each(|place| drop(self.open.remove(place)));
        let opened = plan.opened.iter().map(|sockets| sockets.place.clone()).collect();
        self.open.extend(plan.opened.into_iter().map(|sockets| (sockets.place.clone(), sockets)));
        (opened, plan.closed)
    }

    /// Rows from the disk: all are served, as far as what they want can be had; the rest is tried again by `retry`.
    pub fn restore(&mut self, table: &str, asked: Asked) {
        let wanted: BTreeSet<Place> = asked.values().flat_map(|wants| wants.places.clone()).collect();
        self.asked.insert(table.to_string(), asked);
        for place in wanted.into_iter().filter(|place| !self.open.contains_key(place)) {
            self.missing.insert(place, String::new());
        }
        self.retry();
    }

    /// Opens what could not be opened before. Returns what could be now.
    pub fn retry(&mut self) -> Vec<Place> {
        let mut opened = Vec::new();
        for (place, reason) in &mut self.missing {
            match open(place, self.threads, self.freely) {
                Ok(sockets) => {
                    self.open.insert(place.clone(), sockets);
                    opened.push(place.clone());
                }
                Err(error) => *reason = error.to_string(),
            }
        }
        opened.iter().for_each(|place| drop(self.missing.remove(place)));
        opened
    }

    fn open(&self, place: &Place) -> io::Result<Sockets> {
        open(place, self.threads, self.freely)
    }

    pub fn missing(&self) -> &BTreeMap<Place, String> {
        &self.missing
    }

    pub fn get(&self, place: &Place) -> Option<&Sockets> {
        self.open.get(place)
    }

    pub fn places(&self) -> Vec<Place> {
        self.open.keys().cloned().collect()
    }

    pub fn pages(&self) -> BTreeSet<PageAt> {
        self.asked.values().flat_map(Asked::values).flat_map(|wants| wants.pages.clone()).collect()
    }

    /// How long to serve on once told to end.
    pub fn lameduck(&self) -> Duration {
        self.asked.values().flat_map(Asked::values).map(|wants| wants.lameduck).max().unwrap_or_default()
    }

    /// How long what is under way may take then.
    pub fn drain(&self) -> Duration {
        self.asked.values().flat_map(Asked::values).map(|wants| wants.drain).max().unwrap_or_default().max(DRAIN_MIN)
    }
}

/// Empty where the kernel has no IPv6 and the place is `[::]`.
fn open(place: &Place, threads: usize, freely: bool) -> io::Result<Sockets> {
    let address = Some(place.address.ip());
    let listen = |transport| Listen { transport, address, port: place.address.port(), freely };
    let attempt = || -> io::Result<Sockets> {
        let mut udp = Vec::new();
        if place.udp {
            // Alone at first: a socket that shares its port would share it with another program's, too.
            drop(sys::datagram::bind(&listen(Transport::Udp))?);
            for _ in 0..threads {
                udp.push(bind_shared(&listen(Transport::Udp), DATAGRAMS_BYTES)?);
            }
        }
        let tcp = if place.tcp { Some(tcp(&listen(Transport::Tcp), BACKLOG, false)?) } else { None };
        Ok(Sockets { place: place.clone(), udp, tcp })
    };
    match attempt() {
        Err(error) if place.address.ip().is_unspecified() && place.address.is_ipv6() && no_ipv6(&error) => {
            Ok(Sockets { place: place.clone(), udp: Vec::new(), tcp: None })
        }
        other => other,
    }
}

fn refusal(key: &str, place: &Place, error: &io::Error) -> RefusedRow {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "end the program that listens there (ss -lntup), or choose another address or port",
        ErrorKind::AddrNotAvailable => "give the address to a device of this host, or choose one that it has",
        ErrorKind::PermissionDenied => "run with CAP_NET_BIND_SERVICE, or choose a port above 1023",
        _ => "see what the system says",
    };
    let reason = format!("cannot listen on {} ({}): {error}", place.address, place.transport);
    RefusedRow { key: key.to_string(), reason, remedy: remedy.to_string() }
}

const BACKLOG: i32 = 1024;
const DRAIN_MIN: Duration = Duration::from_secs(5);
/// The kernel allows less, unless net.core.rmem_max says otherwise.
const DATAGRAMS_BYTES: usize = 4 << 20;
