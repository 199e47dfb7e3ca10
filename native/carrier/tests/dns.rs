//! dns as it is started: what its worker has to say comes out where users look for it.

mod common;

use common::{CARRIER, Namespace, eventually};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

#[test]
fn what_plugins_log_goes_to_standard_output() {
    let Some(near) = Namespace::make() else { return };
    let folder = std::env::temp_dir().join(format!("fairlead-dns-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (socket, state) = (folder.join("dns.sock"), folder.join("state"));
    // Nothing is left of it, and what hangs fails.
    let apart = ["unshare", "--pid", "--fork", "--kill-child", "--", "timeout", "60", CARRIER, "dns"];
    let mut carrier =
        near.start(&[&apart[..], &["--socket", socket.to_str().unwrap(), "--state", state.to_str().unwrap()]].concat());

    let mut controller = None;
    eventually("it listens", || {
        controller = UnixStream::connect(&socket).ok();
        controller.is_some()
    });
    let mut controller = controller.unwrap();
    let row = json!({
        "listen": [{ "transport": "dns", "address": "127.0.0.1", "port": 53 }],
        "zones": ["."],
        "steps": [
            { "plugin": "errors", "consolidate": [] },
            { "plugin": "log", "rules": [{ "zone": ".", "classes": ["all"], "format": [{ "field": "name" }] }] },
            {
                "plugin": "forward", "from": ".", "except": [], "policy": "sequential", "forceTcp": false, "preferUdp": false,
                "upstreams": [{ "transport": "dns", "address": "127.0.0.1", "port": 1 }],
                "expireMs": 10000, "readTimeoutMs": 2000, "maxFails": 2, "next": [], "nextOnNodata": false, "failover": [],
                "failFast": false, "healthCheck": { "intervalMs": 500, "recursionDesired": true, "domain": "." }, "tls": {},
            },
        ],
    });
    let mut lines = BufReader::new(controller.try_clone().unwrap()).lines().map(Result::unwrap);
    // It fails while there is no worker yet: then it is sent again, as controllers do.
    eventually("a worker takes it", || {
        for line in [
            json!({ "begin": { "table": "servers", "epoch": "e", "from": 0, "to": 1 } }),
            json!({ "put": [["0", row]] }),
            json!({ "commit": {} }),
        ] {
            writeln!(controller, "{line}").unwrap();
        }
        let said = lines.find(|line| line.contains("acknowledged") || line.contains("failed"));
        said.expect("the carrier answers").contains("acknowledged")
    });

    let query = r"printf '\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01' > /dev/udp/127.0.0.1/53";
    near.run(&["bash", "-c", query]);
    let said: Vec<String> = (0..2).map(|_| carrier.line()).collect();
    assert!(said[0].starts_with("[ERROR] plugin/errors: 2 example.org. A: read udp 127.0.0.1:"), "{said:?}");
    assert!(said[0].trim_end().ends_with("->127.0.0.1:1: read: connection refused"), "{said:?}");
    assert_eq!(said[1], "[INFO] example.org.\n");
    drop(carrier);
    let _ = std::fs::remove_dir_all(folder);
}
