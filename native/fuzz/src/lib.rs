//! A worker with tables, and what must be true of each answer.

pub mod message;

use dns::{Dns, DnsWorker};
use supervisor::{Changes, Kind, Worker};

/// Serves what test/unit/dns-corefile/fuzz.corefile says, and a few names of a cluster.
pub fn worker() -> DnsWorker {
    let (mut servers, mut rows, mut set) = (Vec::new(), Vec::new(), "");
    for line in include_str!("../../../test/unit/dns-corefile/fuzz.golden").lines() {
        match line.split_once(' ') {
            Some(("server", rest)) => servers.push((rest.split(" on ").next().unwrap_or_default(), String::new())),
            Some(("", step)) => {
                let step = step.trim_start();
                if let Some((_, rest)) = step.split_once(r#""plugin":"kubernetes","set":""#) {
                    set = rest.split('"').next().expect("a set");
                }
                let (_, steps) = servers.last_mut().expect("a server");
                *steps += if steps.is_empty() { "" } else { "," };
                *steps += step;
            }
            Some(("name", row)) => rows.push(row.to_string()),
            _ => {}
        }
    }
    rows.extend(NAMES.iter().map(|(name, rest)| format!(r#"{{"set":"{set}","name":"{name}",{rest}}}"#)));
    // What autopath reads of a client: its namespace.
    let client = r#""name":"1.0.0.127.in-addr.arpa.","records":[{"type":"TXT","texts":["x"]}]"#;
    rows.push(format!(r#"{{"set":"{set}-clients",{client}}}"#));
    let servers: Vec<(&str, &str)> = servers.iter().map(|(zones, steps)| (*zones, &steps[..])).collect();
    worker_of(&servers, &rows)
}

/// Of servers by their zones, with the inside of a JSON array as steps, and rows of names.
pub fn worker_of(servers: &[(&str, &str)], names: &[String]) -> DnsWorker {
    let mut worker = DnsWorker::start().expect("a worker starts");
    let names: Vec<(String, String)> = names.iter().map(|row| (key(row), row.clone())).collect();
    assert_eq!(commit(&mut worker, "names", &names), 0, "no name is refused");
    let listen = r#"[{"transport":"dns","address":"127.0.0.1","port":53}]"#;
    let servers = servers.iter().enumerate().map(|(number, (zones, steps))| {
        let zones: Vec<String> = zones.split(' ').map(|zone| format!("{zone:?}")).collect();
        (number.to_string(), format!(r#"{{"listen":{listen},"zones":[{}],"steps":[{steps}]}}"#, zones.join(",")))
    });
    assert_eq!(commit(&mut worker, "servers", &servers.collect::<Vec<_>>()), 0, "no server is refused");
    worker
}

/// Rows as they come from a controller, the whole table. Returns how many are refused.
pub fn commit(worker: &mut DnsWorker, table: &str, rows: &[(String, String)]) -> usize {
    let (mut packed, mut refused) = (Vec::new(), 0);
    for (key, row) in rows {
        let mut octets = Vec::new();
        match Dns.pack(table, key, row, &mut octets) {
            Ok(()) => packed.push((&key[..], octets)),
            Err(_) => {
                assert!(octets.is_empty(), "a refused row leaves nothing behind");
                refused += 1;
            }
        }
    }
    let rows: Vec<(&str, Option<&[u8]>)> = packed.iter().map(|(key, octets)| (*key, Some(&octets[..]))).collect();
    let committed = worker.commit(Changes::of_rows(table, true, &rows)).expect("packed rows are read");
    refused + committed.refused.len()
}

/// `SET NAME`, as the controller has it.
fn key(row: &str) -> String {
    let row: serde_json::Value = serde_json::from_str(row).expect("a row is JSON");
    format!("{} {}", row["set"].as_str().expect("a set"), row["name"].as_str().expect("a name"))
}

const NAMES: &[(&str, &str)] = &[
    ("dns-version.cluster.local.", r#""records":[{"type":"TXT","texts":["1.1.0"],"ttl":28800}]"#),
    ("cluster.local.", r#""records":[{"type":"NS","target":"a.x.svc.cluster.local."}]"#),
    ("x.svc.cluster.local.", r#""records":[]"#),
    ("x.pod.cluster.local.", r#""records":[],"dashed":true"#),
    (
        "a.x.svc.cluster.local.",
        r#""records":[{"type":"A","ip":"10.0.0.1"},{"type":"AAAA","ip":"fd00::1"},
        {"type":"SRV","priority":0,"weight":100,"port":80,"target":"a.x.svc.cluster.local."}],"object":"Service x/a""#,
    ),
    (
        "_http._tcp.a.x.svc.cluster.local.",
        r#""records":[{"type":"SRV","priority":0,"weight":100,"port":80,"target":"a.x.svc.cluster.local."}]"#,
    ),
    (
        "h.x.svc.cluster.local.",
        r#""records":[{"type":"A","ip":"10.1.0.1"},{"type":"A","ip":"10.1.0.2"},{"type":"A","ip":"192.0.2.3"}]"#,
    ),
    ("1.0.0.10.in-addr.arpa.", r#""records":[{"type":"PTR","target":"a.x.svc.cluster.local."}]"#),
    ("in.x.svc.cluster.local.", r#""records":[{"type":"CNAME","target":"a.x.svc.cluster.local."}]"#),
    ("out.x.svc.cluster.local.", r#""records":[{"type":"CNAME","target":"a.test."}]"#),
    ("circle.x.svc.cluster.local.", r#""records":[{"type":"CNAME","target":"circle.x.svc.cluster.local."}]"#),
    (
        "all.x.svc.cluster.local.",
        r#""records":[{"type":"MX","preference":5,"target":"a.x.svc.cluster.local."},
        {"type":"OTHER","code":257,"data":"0005697373756563612e6578616d706c65"}]"#,
    ),
];
