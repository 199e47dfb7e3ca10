//! A supervisor and its worker (examples/toy.rs) as a controller, clients and a kubelet see them.

mod common;

use common::{Controller, Place, client, eventually, free_port, gone, kill, put, worker_of};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

#[test]
fn nothing_is_visible_before_its_commit() {
    let place = Place::make();
    let carrier = place.start();
    let mut controller = carrier.controller();
    let hello = json!({"version": env!("CARGO_PKG_VERSION"), "protocol": wire::protocol::PROTOCOL, "tables": {}});
    assert_eq!(controller.hear(), json!({ "hello": hello }));
    controller.doors(&place);
    controller.say(json!({"begin": {"table": "words", "epoch": "e", "from": 0, "to": 1}}));
    controller.say(json!({"put": [["a", {"word": "1"}], ["b", {"word": "2"}]]}));
    controller.say(json!({"ask": {"id": 7, "what": "stats"}}));
    let stats = controller.hear();
    assert_eq!((&stats["answer"]["id"], &stats["answer"]["value"]["worker"]["says"]["doors"]), (&json!(7), &json!(1)));
    assert_eq!(place.query("a"), "");
    controller.say(json!({"commit": {}}));
    assert_eq!(controller.hear(), json!({"acknowledged": {"table": "words", "epoch": "e", "number": 1}}));
    assert_eq!((place.query("a"), place.query("b")), ("1".to_string(), "2".to_string()));
    let changes = [json!({"drop": ["a"]}), json!({"put": [["b", {"word": "3"}], ["c", {"word": "4"}]]})];
    assert_eq!(controller.delta("words", 1, 2, &changes), "acknowledged");
    assert_eq!(["a", "b", "c"].map(|key| place.query(key)), ["", "3", "4"]);
    // From 0: what is not in it is gone.
    assert_eq!(controller.delta("words", 0, 3, &[put("d", "5")]), "acknowledged");
    assert_eq!(["a", "b", "c", "d"].map(|key| place.query(key)), ["", "", "", "5"]);
    assert_eq!(fs::metadata(place.socket()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_row_that_is_refused_harms_itself_only() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    assert_eq!(controller.delta("words", 0, 1, &[put("a", "1"), put("b", "2"), put("c", "3")]), "acknowledged");
    controller.say(json!({"begin": {"table": "words", "epoch": "e", "from": 1, "to": 2}}));
    controller.say(
        json!({"put": [["a", {"word": 1}], ["b", {"word": "refuse"}], ["c", {"word": "4"}], ["", {"word": "x"}]]}),
    );
    controller.say(json!({"put": [["k".repeat(600), {"word": "x"}]]}));
    controller.say(json!({"commit": {}}));
    let refused = controller.hear()["refused"].take();
    let mut keys: Vec<_> =
        refused["rows"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().len()).collect();
    keys.sort();
    assert_eq!((keys, &refused["number"]), (vec![0, 1, 1, 600], &json!(2)));
    assert!(refused["rows"].to_string().contains("invalid type: integer"), "{refused}");
    // Nothing is held under their keys, not even after a restart from the disk.
    assert_eq!(["a", "b", "c"].map(|key| place.query(key)), ["", "", "4"]);
    drop(carrier);
    let carrier = place.start();
    assert_eq!(carrier.controller().hear()["hello"]["tables"]["words"]["number"], 2);
    assert_eq!(["a", "b", "c"].map(|key| place.query(key)), ["", "", "4"]);
}

#[test]
fn so_many_rows_may_be_refused_that_they_take_several_lines() {
    let place = Place::make();
    let carrier = place.start();
    let mut controller = carrier.controller();
    controller.hear();
    controller.first("words", &[]);
    controller.say(json!({"begin": {"table": "words", "epoch": "e", "from": 0, "to": 2}}));
    for part in 0..20 {
        let rows: Vec<_> = (0..500).map(|row| json!([format!("{part}-{row}"), {"sword": 1}])).collect();
        controller.say(json!({ "put": rows }));
    }
    controller.say(json!({"commit": {}}));
    let (mut count, mut lines) = (0, 0);
    loop {
        let refused = controller.hear()["refused"].take();
        count += refused["rows"].as_array().unwrap().len();
        lines += 1;
        if refused["more"] != true {
            break;
        }
    }
    assert!(count == 10_000 && lines > 1, "{count} in {lines}");
}

#[test]
fn a_delta_that_fails_changes_nothing() {
    let place = Place::make();
    let (_carrier, mut controller) = place.serving();
    assert_eq!(controller.delta("words", 5, 6, &[put("a", "0")]), "failed: nothing is held, not 5 of \"e\"");
    assert_eq!(controller.delta("words", 0, 1, &[put("a", "1")]), "acknowledged");
    assert_eq!(controller.delta("words", 2, 3, &[put("a", "2")]), "failed: 1 of \"e\" is held, not 2 of \"e\"");
    assert_eq!(
        controller.delta("nouns", 0, 3, &[put("a", "2")]),
        "failed: there is no table \"nouns\"; there is words, doors, whispers"
    );
    assert_eq!(controller.delta("words", 1, 2, &[put("a", "2"), put("b", "fail")]), "failed: told to fail");
    // The worker dies of it: so it does not die of it again.
    let died = controller.delta("words", 1, 2, &[put("a", "2"), put("b", "die")]);
    assert!(died.starts_with("failed: the worker ended") && died.contains("SIGABRT"), "{died}");
    assert_eq!(place.query("a"), "1");
    assert_eq!(controller.delta("words", 1, 2, &[put("a", "3")]), "acknowledged");
    assert_eq!(place.query("a"), "3");
}

#[test]
fn what_is_not_the_protocol_ends_the_connection_and_nothing_else() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let begin = json!({"begin": {"table": "words", "epoch": "e", "from": 1, "to": 2}}).to_string();
    let long = format!("{{\"put\":[[\"a\",{{\"word\":\"{}\"}}]]}}", "x".repeat(1 << 20));
    let cases: [(&str, &[&str]); 9] = [
        ("no message of this protocol", &["{"]),
        ("no message of this protocol", &["[]"]),
        ("no message of this protocol", &["{\"open\":{}}"]),
        ("no message of this protocol", &["\u{0}"]),
        ("no message of this protocol", &["{\"begin\":{\"table\":\"words\"}}"]),
        ("commit without a begin", &["{\"commit\":{}}"]),
        ("rows without a begin", &["{\"put\":[]}"]),
        ("begin within a delta", &[&begin, "{\"put\":[[\"a\",{\"word\":\"9\"}]]}", &begin]),
        ("longer than 1 MiB", &[&begin, &long]),
    ];
    for (reason, lines) in cases {
        let mut hostile = carrier.controller();
        assert_eq!(hostile.hear()["hello"]["tables"]["words"]["number"], 1, "{reason}");
        for line in lines {
            hostile.send(line);
        }
        let said = hostile.hear();
        assert!(said["error"]["reason"].as_str().unwrap_or_default().contains(reason), "{reason}: {said}");
        assert!(hostile.ended(), "{reason}");
        assert_eq!(place.query("a"), "1");
    }
    // Cut off in the middle of a delta, and of a line.
    let mut cut = carrier.controller();
    cut.hear();
    cut.send(&begin);
    cut.send("{\"put\":[[\"a\",{\"word\":\"9\"}]]}");
    cut.stream.write_all(b"{\"comm").unwrap();
    drop(cut);
    let mut controller = carrier.controller();
    assert_eq!(controller.hear()["hello"]["tables"]["words"]["number"], 1);
    assert_eq!(controller.delta("words", 1, 2, &[put("b", "2")]), "acknowledged");
    assert_eq!((place.query("a"), place.query("b")), ("1".to_string(), "2".to_string()));
}

#[test]
fn a_table_that_is_secret_outlives_the_worker_and_never_reaches_the_disk() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "said aloud")]);
    assert_eq!(controller.delta("whispers", 0, 1, &[put("a", "between us")]), "acknowledged");
    let rows: Vec<_> = (0..40_000).map(|n| json!([format!("k{n}"), {"word": "between us"}])).collect();
    let changes: Vec<_> = rows.chunks(5_000).map(|rows| json!({ "put": rows })).collect();
    for number in 2..7 {
        assert_eq!(controller.delta("whispers", number - 1, number, &changes), "acknowledged"); // it is made compact, too
    }
    let worker = worker_of(carrier.child.id());
    kill(worker, "KILL");
    eventually("another one serves", || gone(worker) && place.query("a") == "said aloud");
    controller.say(json!({"ask": {"id": 1, "what": "stats"}}));
    let stats = controller.hear();
    assert_eq!(stats["answer"]["value"]["worker"]["says"]["whispers"], 40_001, "{stats}");
    let held = |text: &str| {
        let files =
            fs::read_dir(place.dir.join("state")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.into_iter().any(|octets| octets.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(held("said aloud"));
    assert!(!held("between us"));
    drop(carrier);
    let carrier = place.start();
    let tables = carrier.controller().hear()["hello"]["tables"].take();
    assert!(tables["words"].is_object() && tables["whispers"].is_null(), "{tables}");
}

#[test]
fn a_newer_controller_replaces_an_older_one() {
    let place = Place::make();
    let (carrier, mut old) = place.serving();
    old.say(json!({"begin": {"table": "words", "epoch": "old", "from": 0, "to": 1}}));
    old.say(json!({"put": [["a", {"word": "old"}]]}));
    old.say(json!({"ask": {"id": 1, "what": "stats"}})); // it has read them
    old.hear();
    let mut new = carrier.controller();
    new.hear();
    assert_eq!(old.hear()["error"]["reason"], "another controller has connected");
    assert!(old.ended());
    assert_eq!(new.delta("words", 0, 1, &[put("b", "new")]), "acknowledged");
    assert_eq!((place.query("a"), place.query("b")), (String::new(), "new".to_string()));
}

#[test]
fn a_worker_that_is_killed_loses_no_query() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    for round in 0..5 {
        let client = client();
        let worker = worker_of(carrier.child.id());
        // Held, so that the queries come while there is no worker.
        kill(carrier.child.id(), "STOP");
        kill(worker, "KILL");
        eventually("it is dead", || gone(worker));
        for _ in 0..50 {
            client.send_to(b"a", (Ipv4Addr::LOCALHOST, place.port)).unwrap();
        }
        kill(carrier.child.id(), "CONT");
        let mut buffer = [0; 16];
        for query in 0..50 {
            let length =
                client.recv(&mut buffer).unwrap_or_else(|error| panic!("round {round}, query {query}: {error}"));
            assert_eq!(&buffer[..length], b"1");
        }
    }
    // With the controller gone, too.
    drop(controller);
    kill(worker_of(carrier.child.id()), "KILL");
    assert_eq!(place.query("a"), "1");
}

#[test]
fn one_that_crashes_again_and_again_is_started_again() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    for _ in 0..4 {
        let client = client();
        let worker = worker_of(carrier.child.id());
        client.send_to(b"crash", (Ipv4Addr::LOCALHOST, place.port)).unwrap();
        eventually("it is gone", || gone(worker));
        assert_eq!(place.query("a"), "1");
    }
    let (_, metrics) = carrier.page("/metrics");
    assert!(metrics.contains("fairlead_carrier_worker_starts_total 5\n"), "{metrics} {}", carrier.said());
}

#[test]
fn tables_come_back_from_the_disk_whenever_the_supervisor_was_killed() {
    let place = Place::make();
    let (mut carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    for number in 1..=6_u64 {
        match number % 3 {
            // In the middle of a delta; of one from 0; and just after a commit.
            0 => controller.say(json!({"begin": {"table": "words", "epoch": "e", "from": number, "to": number + 1}})),
            1 => controller.say(json!({"begin": {"table": "words", "epoch": "f", "from": 0, "to": 99}})),
            _ => {}
        }
        if number % 3 != 2 {
            let rows: Vec<_> = (0..5000).map(|row| json!([format!("x{row}"), {"word": "lost"}])).collect();
            controller.say(json!({ "put": rows }));
            controller.say(json!({"ask": {"id": 1, "what": "stats"}})); // it has read them
            controller.hear();
        }
        let worker = worker_of(carrier.child.id());
        kill(carrier.child.id(), "KILL");
        drop(carrier);
        eventually("the worker ends, too", || gone(worker));
        carrier = place.start();
        assert_eq!(place.query("a"), number.to_string());
        assert_eq!(place.query("x1"), "");
        controller = carrier.controller();
        assert_eq!(controller.hear()["hello"]["tables"]["words"], json!({"epoch": "e", "number": number}));
        let next = [put("a", &(number + 1).to_string())];
        assert_eq!(controller.delta("words", number, number + 1, &next), "acknowledged");
    }
    eventually("what was replaced is removed", || fs::read_dir(place.dir.join("state")).unwrap().count() == 3);
}

#[test]
fn a_damaged_file_is_ignored_and_said() {
    let place = Place::make();
    let (carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    drop(carrier);
    let words = fs::read_dir(place.dir.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let words = words.into_iter().find(|path| path.to_str().unwrap().contains("words.")).unwrap();
    fs::write(&words, b"not a table").unwrap();
    let mut carrier = place.start();
    let mut controller = carrier.controller();
    let hello = controller.hear();
    assert!(hello["hello"]["tables"]["words"].is_null() && !hello["hello"]["tables"]["doors"].is_null(), "{hello}");
    assert_eq!(place.query("a"), "");
    assert_eq!(controller.delta("words", 0, 1, &[put("a", "2")]), "acknowledged");
    assert_eq!(place.query("a"), "2");
    carrier.end("TERM");
    assert!(carrier.said().contains("it is no table of this version; it is ignored"), "{}", carrier.said());
}

#[test]
fn without_a_place_on_the_disk_tables_are_in_memory() {
    let place = Place::make();
    fs::write(place.dir.join("state"), "in the way").unwrap();
    let (carrier, mut controller) = place.serving();
    assert_eq!(controller.delta("words", 0, 1, &[put("a", "1")]), "acknowledged");
    kill(worker_of(carrier.child.id()), "KILL");
    assert_eq!(place.query("a"), "1");
    assert!(carrier.said().contains("tables are held in memory only"), "{}", carrier.said());
}

#[test]
fn two_carriers_do_not_share_a_place() {
    let place = Place::make();
    let carrier = place.start();
    let mut second = place.spawn(&place.dir.join("other"));
    assert!(!second.child.wait().unwrap().success());
    assert!(second.said().contains("another carrier uses it"), "{}", second.said());
    let mut third = place.spawn_with(&["--socket", place.socket().to_str().unwrap()]);
    assert!(!third.child.wait().unwrap().success());
    let state = place.dir.join("state");
    let why = format!("keeps its place: its --state is {}, not none; end it first", state.display());
    assert!(third.said().contains(&why), "{}", third.said());
    carrier.controller().hear();
}

#[test]
fn a_port_that_is_taken_is_refused_by_name_and_the_others_are_served() {
    let place = Place::make();
    let carrier = place.start();
    let mut controller = carrier.controller();
    controller.hear();
    // One that would share the port with others of this user.
    let port = free_port();
    let taken = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    taken.set_reuse_port(true).unwrap();
    taken.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    let mut refused = Value::Null;
    eventually("the other port is free", || {
        controller.say(json!({"begin": {"table": "doors", "epoch": "e", "from": 0, "to": 1}}));
        controller.say(json!({"put": [["0", {"port": port}], ["1", {"port": place.port}]]}));
        controller.say(json!({"commit": {}}));
        refused = controller.hear()["refused"]["rows"].take();
        refused.as_array().is_some_and(|rows| rows.len() == 1)
    });
    assert_eq!(refused[0]["key"], "0");
    assert!(refused[0]["reason"].as_str().unwrap().contains(&format!("cannot listen on 127.0.0.1:{port} (toy)")));
    assert!(refused[0]["remedy"].as_str().unwrap().contains("ss -lntup"));
    controller.delta("words", 0, 1, &[put("a", "1")]);
    assert_eq!(place.query("a"), "1");
    // A door that is closed is free for others.
    assert_eq!(controller.delta("doors", 1, 2, &[json!({"drop": ["1"]})]), "acknowledged");
    let door = (Ipv4Addr::LOCALHOST, place.port);
    eventually("others may listen", || UdpSocket::bind(door).is_ok() && TcpListener::bind(door).is_ok());
}

#[test]
fn pages_tell_the_truth_and_an_end_is_orderly() {
    let place = Place::make();
    let mut carrier = place.start();
    let mut controller = carrier.controller();
    controller.hear();
    let door = json!({"put": [["0", {"port": place.port, "lameduck": 60_000}]]});
    eventually("its port is free", || controller.delta("doors", 0, 1, std::slice::from_ref(&door)) == "acknowledged");
    assert_eq!(carrier.page("/health"), (200, "OK".to_string()));
    assert_eq!(carrier.page("/ready"), (503, "words".to_string()));
    controller.delta("words", 0, 1, &[put("a", "1")]);
    assert_eq!(carrier.page("/ready"), (200, "OK".to_string()));
    let (_, metrics) = carrier.page("/metrics");
    for line in ["toy_doors 1", "fairlead_carrier_worker_up 1", "fairlead_carrier_table_rows{table=\"words\"} 1"] {
        assert!(metrics.contains(&format!("{line}\n")), "{line}: {metrics}");
    }
    assert_eq!(carrier.page("/else").0, 404);
    // The lame duck: unready, and answering, until the time is over or a second signal comes.
    kill(carrier.child.id(), "TERM");
    eventually("it is not ready", || carrier.page("/ready") == (503, "shutting down".to_string()));
    assert_eq!((carrier.page("/health").0, place.query("a")), (200, "1".to_string()));
    assert!(carrier.end("TERM").success());
    assert!(!place.socket().exists());
}

#[test]
fn who_is_told_to_end_waits_until_the_agent_has_switched() {
    let place = Place::make();
    let path = place.dir.join("agent");
    let mut carrier =
        place.spawn_with(&["--socket", place.socket().to_str().unwrap(), "--node-local", path.to_str().unwrap()]);
    eventually("it listens", || UnixStream::connect(place.socket()).is_ok());
    let mut controller = carrier.controller();
    controller.hear();
    let mut agent = Controller::connect(&path);
    assert_eq!(agent.hear()["serving"], json!([]));
    controller.first("words", &[put("a", "1")]);
    controller.doors(&place);
    let said = agent.hear();
    assert_eq!(said["serving"], json!([format!("127.0.0.1:{}", place.port)]));
    agent.say(json!({"switched": said["number"]}));
    kill(carrier.child.id(), "TERM");
    let said = agent.hear();
    assert_eq!(said["serving"], json!([]));
    // The agent takes its time: what comes meanwhile is answered.
    assert_eq!(place.query("a"), "1");
    assert!(carrier.child.try_wait().unwrap().is_none());
    agent.say(json!({"switched": said["number"]}));
    assert!(carrier.child.wait().unwrap().success());
    assert!(agent.ended() && !path.exists());
}
