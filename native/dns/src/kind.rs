//! What the supervisor asks of DNS: rows in compact form, and which sockets and pages they need.

use crate::name::{Name, not_absolute};
use crate::record::Records;
use crate::step::Chain;
use crate::table::encode;
use crate::worker::DnsWorker;
use std::net::SocketAddr;
use std::time::Duration;
use supervisor::{Kind, KnownAs, Page, PageAt, Place, Problem, Wants, Worker};
use wire::corefile::{HttpListen, Step};
use wire::names::NameRow;
use wire::servers::{ServerRow, ServerTransport};
use wire::{names, servers};

pub struct Dns;

impl Kind for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    /// Names first: a server that is there answers from them.
    fn tables(&self) -> &'static [&'static str] {
        &[names::TABLE, servers::TABLE]
    }

    fn pack(&self, table: &str, key: &str, row: &str, packed: &mut Vec<u8>) -> Result<(), Problem> {
        let start = packed.len();
        let done = if table == names::TABLE { pack_name(key, row, packed) } else { pack_server(row, packed) };
        done.inspect_err(|_| packed.truncate(start))
    }

    fn wants(&self, table: &str, _key: &str, packed: &[u8]) -> Wants {
        match serde_json::from_slice::<ServerRow>(packed) {
            Ok(row) if table == servers::TABLE => wants(&row),
            _ => Wants::default(),
        }
    }

    fn asks(&self, table: &str) -> bool {
        table == servers::TABLE
    }

    fn known_as(&self) -> KnownAs {
        KnownAs { panics: "coredns_panics_total", health: "coredns_health_request" }
    }

    fn worker(&self, _threads: usize) -> Result<Box<dyn Worker>, String> {
        Ok(Box::new(DnsWorker::start()?))
    }
}

/// The places of a server block.
pub fn places(row: &ServerRow) -> impl Iterator<Item = Place> {
    row.listen.iter().map(|listen| {
        let (transport, udp) = match listen.transport {
            ServerTransport::Dns => ("dns", true),
            ServerTransport::Tls => ("tls", false),
        };
        let address = SocketAddr::new(listen.address, listen.port);
        Place { transport: transport.to_string(), address, udp, tcp: true }
    })
}

/// What metrics call a server by, as CoreDNS does: `dns://:53`; with `bind`, `dns://169.254.20.10:53`.
pub fn server(Place { transport, address, .. }: &Place) -> String {
    match address.ip().is_unspecified() {
        true => format!("{transport}://:{}", address.port()),
        false => format!("{transport}://{address}"),
    }
}

/// A name row as an entry of a table. Its key is `SET NAME`.
fn pack_name(key: &str, row: &str, packed: &mut Vec<u8>) -> Result<(), Problem> {
    let row: NameRow = serde_json::from_str(row).map_err(unread)?;
    let matches = key.split_once(' ').is_some_and(|(set, name)| set == row.set && name == row.name);
    if !matches {
        return Err(Problem::new(format!("the key {key:?} is not {:?}", format!("{} {}", row.set, row.name)), REPORT));
    }
    let name = Name::parse(&row.name).map_err(not_absolute)?;
    let wrong = |reason| Problem::new(reason, "correct the object that the row comes from");
    let records = Records::of(&row).map_err(wrong)?;
    encode(name.wire(), row.dashed, row.object.as_deref().unwrap_or_default(), &records, packed).map_err(wrong)
}

/// A server row as it is, once it is known to be servable.
fn pack_server(row: &str, packed: &mut Vec<u8>) -> Result<(), Problem> {
    let read: ServerRow = serde_json::from_str(row).map_err(unread)?;
    crate::name::names(&read.zones)?;
    let chain = Chain::new(&read.steps, |_| 0)?;
    chain.load()?;
    if chain.tls.is_none() && read.listen.iter().any(|listen| listen.transport == ServerTransport::Tls) {
        return Err(Problem::new("a server of TLS has no certificate", "write tls CERT KEY in its block"));
    }
    packed.extend(row.as_bytes());
    Ok(())
}

fn unread(error: serde_json::Error) -> Problem {
    Problem::new(format!("the row cannot be read: {error}"), REPORT)
}

fn wants(row: &ServerRow) -> Wants {
    let mut wants = Wants { places: places(row).collect(), ..Wants::default() };
    for step in &row.steps {
        let (page, listen) = match step {
            Step::Health(step) => {
                wants.lameduck = wants.lameduck.max(Duration::from_millis(step.lameduck_ms.into()));
                (Page::Health, &step.listen)
            }
            Step::Ready(step) => (Page::Ready, &step.listen),
            Step::Prometheus(step) => (Page::Metrics, &step.listen),
            _ => continue,
        };
        wants.pages.push(page_at(page, listen));
    }
    wants
}

/// An address that is none was refused by the controller; every address is the safe reading of it for a page.
fn page_at(page: Page, listen: &HttpListen) -> PageAt {
    let address = listen.address.as_deref().and_then(|text| text.parse().ok());
    PageAt { page, address, port: listen.port }
}

const REPORT: &str = "controller and carrier are not of one version: install both from the same release";
