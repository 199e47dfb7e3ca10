use cli::{Failure, failed};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};
use std::net::{IpAddr, SocketAddr};

/// What clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frontend {
    pub address: SocketAddr,
    pub protocol: u8,
}

/// The endpoints that may still answer, by frontend.
pub type Frontends = HashMap<Frontend, HashSet<SocketAddr>>;

/// Reads JSON lines. The first that is wrong fails all: half a list could delete what should stay.
pub fn read(mut input: impl BufRead) -> Result<Frontends, Failure> {
    let mut frontends = Frontends::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        let length =
            (&mut input).take(LINE_MAX_BYTES).read_line(&mut line).map_err(failed("cannot read the frontends"))?;
        if length == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let (frontend, endpoints) = parse(&line).map_err(failed(format!("line {number}")))?;
        frontends.entry(frontend).or_default().extend(endpoints);
        if frontends.len() > FRONTENDS_MAX {
            return Err(Failure::Failed(format!("more than {FRONTENDS_MAX} frontends: ask in parts")));
        }
    }
    Ok(frontends)
}

fn parse(line: &str) -> Result<(Frontend, Vec<SocketAddr>), String> {
    let row: Row = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let protocol = match row.protocol.to_ascii_lowercase().as_str() {
        "tcp" => TCP,
        "udp" => UDP,
        "sctp" => SCTP,
        other => return Err(format!("protocol {other:?} is not tcp, udp or sctp")),
    };
    for endpoint in &row.endpoints {
        if endpoint.is_ipv4() != row.ip.is_ipv4() {
            return Err(format!("endpoint {endpoint} is of another address family than {}", row.ip));
        }
    }
    Ok((Frontend { address: SocketAddr::new(row.ip, row.port), protocol }, row.endpoints))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    ip: IpAddr,
    protocol: String,
    port: u16,
    endpoints: Vec<SocketAddr>,
}

// IANA protocol numbers
pub const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

const FRONTENDS_MAX: usize = 1_000_000;
const LINE_MAX_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_frontend_add_up() {
        let text = r#"{"ip":"10.96.0.1","protocol":"UDP","port":53,"endpoints":["10.1.1.2:53"]}

{"ip":"10.96.0.1","protocol":"udp","port":53,"endpoints":["10.1.1.3:53"]}
{"ip":"::1","protocol":"sctp","port":1,"endpoints":["[::2]:1"]}"#;
        let frontends = read(text.as_bytes()).unwrap();
        assert_eq!(frontends.len(), 2);
        let dns = Frontend { address: "10.96.0.1:53".parse().unwrap(), protocol: UDP };
        assert_eq!(frontends[&dns].len(), 2);
    }

    #[test]
    fn wrong_lines_fail_all_and_are_named() {
        for wrong in [
            "nonsense",
            r#"{"ip":"10.96.0.1","protocol":"icmp","port":53,"endpoints":[]}"#,
            r#"{"ip":"010.0.0.1","protocol":"udp","port":53,"endpoints":[]}"#,
            r#"{"ip":"10.96.0.1","protocol":"udp","port":65536,"endpoints":[]}"#,
            r#"{"ip":"10.96.0.1","protocol":"udp","port":53}"#,
            r#"{"ip":"10.96.0.1","protocol":"udp","port":53,"endpoints":["[::1]:53"]}"#,
            r#"{"ip":"10.96.0.1","protocol":"udp","port":53,"endpoints":["10.1.1.1"]}"#,
        ] {
            let text = format!("{{\"ip\":\"::1\",\"protocol\":\"udp\",\"port\":1,\"endpoints\":[]}}\n{wrong}\n");
            let Err(Failure::Failed(message)) = read(text.as_bytes()) else { panic!("{wrong} was read") };
            assert!(message.starts_with("line 2: "), "{message}");
        }
    }
}
