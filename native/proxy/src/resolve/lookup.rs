//! One lookup, as /etc/resolv.conf says: A and AAAA together, search domains, TCP for what is too long.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

/// What a name was found to be, and for how long.
pub struct Found {
    pub addresses: Vec<IpAddr>,
    pub valid: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    Nxdomain,
    Nodata,
    Servfail,
    Refused,
    Timeout,
    /// No server could be asked at all.
    Other,
}

impl Failure {
    /// As metrics and log call it.
    pub fn word(self) -> &'static str {
        match self {
            Failure::Nxdomain => "nxdomain",
            Failure::Nodata => "nodata",
            Failure::Servfail => "servfail",
            Failure::Refused => "refused",
            Failure::Timeout => "timeout",
            Failure::Other => "error",
        }
    }

    pub fn remedy(self) -> &'static str {
        match self {
            Failure::Nxdomain | Failure::Nodata => "correct the name, or give it an A or AAAA record",
            Failure::Servfail | Failure::Refused => "see the log of the DNS server that /etc/resolv.conf names",
            Failure::Timeout | Failure::Other => "see that the servers in /etc/resolv.conf can be reached",
        }
    }
}

/// The servers of /etc/resolv.conf, read again when it changes.
#[derive(Default)]
pub struct Servers {
    read: Option<(SystemTime, TokioResolver)>,
}

impl Servers {
    pub fn resolver(&mut self) -> Result<TokioResolver, Failure> {
        let changed = fs::metadata(RESOLV_CONF).and_then(|file| file.modified()).map_err(|_| Failure::Other)?;
        if let Some((held, resolver)) = &self.read
            && *held == changed
        {
            return Ok(resolver.clone());
        }
        let mut builder = TokioResolver::builder_tokio().map_err(|_| Failure::Other)?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never; // of the pod: it has its own name there, and no backends
        options.cache_size = 0; // who asks knows for how long an answer is good
        let resolver = builder.build().map_err(|_| Failure::Other)?;
        self.read = Some((changed, resolver.clone()));
        Ok(resolver)
    }
}

pub async fn look_up(resolver: Result<TokioResolver, Failure>, name: String) -> Result<Found, Failure> {
    let found = resolver?.lookup_ip(name).await.map_err(|error| failure(&error))?;
    let valid = found.valid_until().saturating_duration_since(Instant::now());
    let mut addresses: Vec<IpAddr> = found.iter().collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    Ok(Found { addresses: usable(addresses), valid })
}

/// Those that there is a way to; all, if there is none to any (RFC 6724 6, rule 1).
fn usable(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    // Of UDP: it asks the kernel for the way, and sends nothing.
    let has_way = |address: &&IpAddr| {
        let own: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        UdpSocket::bind(own).is_ok_and(|socket| socket.connect((**address, 9)).is_ok())
    };
    let found: Vec<IpAddr> = addresses.iter().filter(has_way).copied().collect();
    if found.is_empty() { addresses } else { found }
}

fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Timeout => Failure::Timeout,
        NetError::Dns(DnsError::ResponseCode(code)) => of_code(*code),
        NetError::Dns(DnsError::NoRecordsFound(none)) => of_code(none.response_code),
        _ => Failure::Other,
    }
}

fn of_code(code: ResponseCode) -> Failure {
    match code {
        ResponseCode::NXDomain => Failure::Nxdomain,
        ResponseCode::NoError => Failure::Nodata,
        ResponseCode::Refused => Failure::Refused,
        _ => Failure::Servfail,
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const ADDRESSES_MAX: usize = 64;
