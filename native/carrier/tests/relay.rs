//! listen and relay: a port opened in one network namespace leads into another.

mod common;

use common::{CARRIER, Namespace, eventually};
use serde_json::{Value, json};

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
fn a_port_that_is_taken_gives_way_to_a_free_one() {
    let Some(near) = Namespace::make() else { return };
    let open = [CARRIER, "listen", "--prefer", "tcp:127.0.0.1:7001", "--prefer", "tcp:127.0.0.1:7000"];
    let words = ["--on", "tcp:127.0.0.1:7000", "--", "sh", "-c", "echo $FAIRLEAD_LISTENERS"];
    let output = near.command(&[&open[..], &words[..]].concat()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let addresses: Vec<&str> = told.trim().split(',').filter_map(|one| one.split_once('=')).map(|(_, at)| at).collect();
    let [on, free_of_all, taken] = addresses[..] else { panic!("{told}") };
    assert_eq!((on, free_of_all), ("127.0.0.1:7000", "127.0.0.1:7001"));
    assert!(taken.starts_with("127.0.0.1:") && taken != on, "{taken}");
    let elsewhere = near.command(&[CARRIER, "listen", "--prefer", "tcp:192.0.2.1:80", "--", "true"]).output().unwrap();
    assert!(!elsewhere.status.success(), "an address that is not there is no matter of ports");
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

const CURL: &[&str] = &["curl", "-s", "-m", "60", "http://127.0.0.1:7000"];

#[test]
fn ports_are_opened_led_elsewhere_and_closed() {
    let Some(near) = Namespace::make() else { return };
    let mut echo = near.start(&[CARRIER, "echo", "--listen", "tcp:[::1]:9000", "--listen", "udp:127.0.0.1:9000"]);
    echo.line();
    let mut relay = near.start(&["timeout", "120", CARRIER, "relay"]);
    let mut order = |text: &str| {
        relay.say(&format!("{text}\n"));
        relay.json()
    };
    let curl = |place: &str| near.command(&["curl", "-s", "-m", "60", place]).output().unwrap();
    let answered = |place: &str| String::from_utf8(curl(place).stdout).unwrap().starts_with("pod: ");

    assert_eq!(
        order(r#"{"listen":"tcp:127.0.0.1:30080","to":["[::1]:9000"]}"#),
        json!({"listen":"tcp:127.0.0.1:30080"})
    );
    assert!(answered("http://127.0.0.1:30080"));
    // Not the one that is named: refused by the kernel.
    assert_eq!(curl("http://127.0.0.2:30080").status.code(), Some(7));
    order(r#"{"listen":"tcp:127.0.0.1:30080","to":["[::1]:1"]}"#);
    // Reset before curl looks, before it has asked, or after.
    assert!(matches!(curl("http://127.0.0.1:30080").status.code(), Some(7 | 55 | 56)), "led to nobody");
    order(r#"{"listen":"tcp:127.0.0.1:30080","to":["[::1]:9000"]}"#);
    assert!(answered("http://127.0.0.1:30080"));

    let taken = order(r#"{"listen":"udp:127.0.0.1:9000","to":[]}"#);
    assert_eq!((&taken["listen"], &taken["code"]), (&json!("udp:127.0.0.1:9000"), &json!("EADDRINUSE")));
    order(r#"{"close":"tcp:127.0.0.1:30080"}"#);
    assert_eq!(curl("http://127.0.0.1:30080").status.code(), Some(7), "closed when the answer is there");
    assert_eq!(relay.finish().1, 0);
}

#[test]
fn each_client_of_udp_gets_its_own_answers() {
    let Some(near) = Namespace::make() else { return };
    let listen = ["--listen", "udp:127.0.0.1:9001", "--listen", "udp:127.0.0.1:9002"];
    let mut echo = near.start(&[&[CARRIER, "echo"][..], &listen].concat());
    echo.line();
    let mut relay = near.start(&["timeout", "120", CARRIER, "relay"]);
    let mut order = |text: &str| {
        relay.say(&format!("{text}\n"));
        relay.json()
    };
    order(r#"{"listen":"udp:[::1]:30053","to":["127.0.0.1:9001"]}"#);
    let load = |count: &str| {
        let to = ["--to", "[::1]:30053", "--count", count, "--threads", "4", "--timeout-ms", "60000"];
        near.carrier(&[&["load", "connect", "--udp"][..], &to].concat(), "")
    };
    // More clients than flows: the quietest ones make room.
    assert_eq!(load("5000")["failedTotal"], 0);
    order(r#"{"listen":"udp:[::1]:30053","to":["127.0.0.1:9002"]}"#);
    assert_eq!(load("10")["failedTotal"], 0);
    assert_eq!(relay.finish().1, 0);
}

#[test]
fn draining_lets_nobody_in_and_carries_who_is_there() {
    let Some(near) = Namespace::make() else { return };
    let mut server = near.start(&[CARRIER, "load", "serve", "--listen", "tcp:9000"]);
    server.line();
    let mut relay = near.start(&["timeout", "120", CARRIER, "relay", "--drain"]);
    for order in
        [r#"{"listen":"tcp:127.0.0.1:30080","to":["127.0.0.1:9000"]}"#, r#"{"listen":"udp:[::1]:30080","to":[]}"#]
    {
        relay.say(&format!("{order}\n"));
        relay.json();
    }
    let mut held = near.start(&[CARRIER, "load", "hold", "--to", "127.0.0.1:30080", "--count", "3"]);
    held.line();
    drop(relay.input.take());
    let refused = || near.command(&["curl", "-s", "http://127.0.0.1:30080"]).output().unwrap().status.code() == Some(7);
    eventually("nobody is let in", refused);
    assert!(relay.child.try_wait().unwrap().is_none(), "it is there as long as they are");
    let (told, _) = held.finish();
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(told["broken"], 0, "{told}");
    assert_eq!(relay.finish().1, 0, "and ends with them");
}
