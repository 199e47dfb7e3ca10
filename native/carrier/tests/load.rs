//! load: what it counts is what happened.

mod common;

use common::{CARRIER, Namespace, Running};
use serde_json::{Value, json};
use std::time::Instant;

/// Of one exchange: what ends sooner was refused.
const PATIENCE_MS: &str = "60000";

fn serve(namespace: &Namespace) -> Running {
    let mut server = namespace.start(&[CARRIER, "load", "serve", "--listen", "tcp:9000", "--listen", "udp:9000"]);
    assert_eq!(server.json(), json!({"ready": true}));
    server
}

#[test]
fn connections_are_counted_and_leave_no_time_wait() {
    let Some(namespace) = Namespace::make() else { return };
    let _server = serve(&namespace);
    let to = ["--to", "127.0.0.1:9000,[::1]:9000", "--count", "1000", "--timeout-ms", PATIENCE_MS];
    let report = namespace.carrier(&[&["load", "connect"][..], &to].concat(), "");
    assert_eq!((&report["connections"], &report["failed"]), (&json!(1000), &json!({})));
    assert!(report["p50Us"].as_u64().unwrap() > 0 && report["p50Us"].as_u64() <= report["p99Us"].as_u64());
    assert_eq!(namespace.run(&["ss", "-Htan", "state", "time-wait"]), "");
    let report = namespace.carrier(&["load", "connect", "--to", "127.0.0.1:9001", "--count", "10"], "");
    assert_eq!((&report["connections"], &report["failed"]), (&json!(0), &json!({"ECONNREFUSED": 10})));
    for extra in [&[][..], &["--source-port", "5555", "--threads", "1"]] {
        let words = [
            &["load", "connect", "--udp", "--to", "127.0.0.1:9000", "--count", "200", "--timeout-ms", PATIENCE_MS][..],
            extra,
        ]
        .concat();
        assert_eq!(namespace.carrier(&words, "")["connections"], 200);
    }
    let to = ["--to", "127.0.0.1:9000", "--count", "500", "--hold", "--timeout-ms", PATIENCE_MS];
    let report = namespace.carrier(&[&["load", "connect"][..], &to].concat(), "");
    assert_eq!(report["connections"], 500, "held connections do not take the server's threads");
}

#[test]
fn held_connections_break_once_and_are_named() {
    let Some(namespace) = Namespace::make() else { return };
    for udp in [false, true] {
        let mut server = serve(&namespace);
        // A datagram that the server had read when it was killed is waited for in vain: not for long, where all are to break.
        let hold = |timeout_ms: &str| {
            let to = ["--to", "127.0.0.1:9000", "--count", "50", "--interval-ms", "5", "--timeout-ms", timeout_ms];
            let udp: &[&str] = if udp { &["--udp"] } else { &[] };
            namespace.start(&[&[CARRIER, "load", "hold"][..], &to, udp].concat())
        };
        let mut unharmed = hold(PATIENCE_MS);
        assert_eq!(unharmed.json(), json!({"ready": true, "connections": 50}));
        let (report, code) = unharmed.finish();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["broken"], code), (&json!(0), 0));
        assert!(report["exchanged"].as_u64().unwrap() >= 50);
        let mut harmed = hold("10000");
        assert_eq!(harmed.json()["ready"], true);
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        // Each ends at its first failure; the report comes when standard input ends, or all are broken and it ends.
        let report: Value = serde_json::from_str(&harmed.line()).unwrap();
        assert_eq!(report["broken"], 50, "{report}");
    }
}

/// A counter of the namespace: `Tcp` `ActiveOpens` of /proc/net/snmp.
fn counter(namespace: &Namespace, protocol: &str, name: &str) -> u64 {
    let text = namespace.run(&["cat", "/proc/net/snmp"]);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&format!("{protocol}: ")));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|one| one == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
fn a_steady_stream_tells_success_failure_and_gap() {
    let Some(namespace) = Namespace::make() else { return };
    for extra in [&[][..], &["--udp"], &["--udp", "--source-port", "4444"]] {
        let steady = |place: &str| {
            let words = [CARRIER, "load", "steady", "--rate", "200", "--timeout-ms", PATIENCE_MS, "--to", place];
            namespace.start(&[&words[..], extra].concat())
        };
        let server = serve(&namespace);
        let mut healthy = steady("127.0.0.1:9000");
        assert_eq!(healthy.json(), json!({"ready": true}));
        let (report, code) = healthy.finish();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["failed"], code), (&json!({}), 0));
        assert!(report["connections"].as_u64().unwrap() > 0, "{report}");
        drop(server);

        let (protocol, name) = if extra.is_empty() { ("Tcp", "ActiveOpens") } else { ("Udp", "OutDatagrams") };
        let before = counter(&namespace, protocol, name);
        let start = Instant::now();
        let refused = steady("127.0.0.1:9001");
        common::eventually("ten were tried", || counter(&namespace, protocol, name) >= before + 10);
        let (report, code) = refused.finish();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["connections"], code), (&json!(0), 0));
        assert!(report["failedTotal"].as_u64().unwrap() >= 9, "{report}");
        assert!(report["failed"]["ECONNREFUSED"].as_u64().unwrap() > 0, "{report}");
        let gap = report["longestGapMs"].as_u64().unwrap();
        assert!(gap > 0 && u128::from(gap) <= start.elapsed().as_millis(), "{report}");
    }
}
