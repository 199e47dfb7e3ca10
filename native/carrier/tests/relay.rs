//! listen and relay: a port opened in one network namespace leads into another.

mod common;

use common::{CARRIER, Namespace, eventually};

#[test]
fn a_port_leads_where_it_is_told() {
    let Some(near) = Namespace::make() else { return };
    // The relay's own namespace has the server: only through the socket is it reached from `near`.
    let far = r#"ip link set lo up && { "$0" echo --listen tcp:9000 >/dev/null & echo "$FAIRLEAD_LISTENERS" && exec "$0" relay; }"#;
    let open = [CARRIER, "listen", "--on", "tcp:127.0.0.1:7000", "--"];
    let apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--", "sh", "-c", far, CARRIER];
    let mut relay = near.start(&[&open[..], &apart[..]].concat());
    let told = relay.line();
    let (fd, address) = told.trim().split_once('=').expect("FD=ADDRESS");
    assert_eq!(address, "127.0.0.1:7000");
    let ask = || String::from_utf8(near.command(CURL).output().unwrap().stdout).unwrap();

    relay.say(&format!("{{\"fd\":{fd},\"to\":[\"127.0.0.1:9000\"]}}\n"));
    eventually("it leads to the server", || ask().starts_with("pod: "));
    relay.say(&format!("{{\"fd\":{fd},\"to\":[]}}\n"));
    eventually("it leads nowhere", || ask().is_empty());
    relay.say(&format!("{{\"fd\":{fd},\"to\":[\"127.0.0.1:1\",\"127.0.0.1:9000\"]}}\n"));
    eventually("who does not answer is passed over", || ask().starts_with("pod: ") && ask().starts_with("pod: "));
    assert_eq!(relay.finish().1, 0, "it ends with its input");
}

#[test]
fn what_cannot_be_is_told() {
    let Some(near) = Namespace::make() else { return };
    let fails = |words: &[&str]| {
        let output = near.command(&[&[CARRIER], words].concat()).output().unwrap();
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(fails(&["listen", "--on", "tcp:192.0.2.1:80", "--", "true"]).contains("cannot listen on tcp:192.0.2.1:80"));
    assert!(fails(&["listen", "--on", "udp:127.0.0.1:80", "--", "true"]).contains("only TCP"));
    let order = |text: &str| common::feed(near.command(&[CARRIER, "relay"]), text);
    for (text, why) in [
        ("{\"fd\":9,\"to\":[]}\n", "no open file"),
        ("{\"fd\":0,\"to\":[]}\n", "no open file"),
        ("nonsense\n", "expected"),
    ] {
        let output = order(text);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(why), "{text}: {told}");
    }
}

const CURL: &[&str] = &["curl", "-s", "-m", "5", "http://127.0.0.1:7000"];
