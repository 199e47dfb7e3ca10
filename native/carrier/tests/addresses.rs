//! monitor --address --list: what is there, then what changes.

mod common;

use common::{CARRIER, Namespace};
use serde_json::{Value, json};

#[test]
fn addresses_that_are_there_come_first() {
    let Some(namespace) = Namespace::make() else { return };
    // More than one datagram of netlink holds.
    let mut batch = String::from("link add fa0 type veth peer name fa1\n");
    for number in 0..1000 {
        batch += &format!("address add 10.1.{}.{}/32 dev fa0\n", number >> 8, number & 255);
    }
    namespace.run_with(&["ip", "-batch", "-"], &batch);
    let mut monitor = namespace.start(&["timeout", "120", CARRIER, "monitor", "--address", "--list"]);
    let mut listed = Vec::new();
    loop {
        let event = monitor.json();
        if event == json!({"event": "ready"}) {
            break;
        }
        assert_eq!((&event["event"], &event["op"]), (&json!("address"), &json!("new")));
        listed.push(event["address"].as_str().unwrap().to_string());
    }
    assert_eq!(listed.len(), 1002, "all of fa0, and two of lo");
    for address in ["127.0.0.1", "::1", "10.1.0.0", "10.1.3.231"] {
        assert!(listed.iter().any(|each| each == address), "{address}");
    }
    let mut next = |words: &[&str]| -> Value {
        namespace.run(&[&["ip", "address"], words, &["10.2.0.1/24", "dev", "fa0"]].concat());
        monitor.json()
    };
    let index = next(&["add"])["index"].clone();
    let gone = json!({"event": "address", "op": "delete", "index": index, "address": "10.2.0.1", "prefixLength": 24});
    assert_eq!(next(&["del"]), gone);
    let alone = namespace.command(&[CARRIER, "monitor", "--link", "--list"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "there is a list of addresses only");
}
