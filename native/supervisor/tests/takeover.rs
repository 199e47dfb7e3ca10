//! A carrier (examples/toy.rs) that is started where one runs already takes its place.

mod common;

use common::{Carrier, Place, client, eventually, gone, kill, put, worker_of};
use serde_json::json;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use sys::channel::{Incoming, Outgoing, accept, connect, listen};

#[test]
fn one_after_the_other_takes_over_and_no_query_is_lost() {
    let place = Place::make();
    let (mut carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let (stop, loads) = load(&place);
    for number in 1..=3_u64 {
        // In the middle of a delta, which is forgotten.
        controller.say(json!({"begin": {"table": "words", "epoch": "e", "from": number, "to": number + 1}}));
        controller.say(json!({"put": [["a", {"word": "lost"}]]}));
        controller.say(json!({"ask": {"id": 1, "what": "stats"}}));
        controller.hear();
        let next = place.spawn(&place.socket());
        assert!(carrier.child.wait().unwrap().success(), "{}", carrier.said());
        assert!(controller.ended());
        carrier = next;
        controller = carrier.controller();
        assert_eq!(controller.hear()["hello"]["tables"]["words"], json!({"epoch": "e", "number": number}));
        assert_eq!(controller.delta("words", number, number + 1, &[put("b", &number.to_string())]), "acknowledged");
        assert_eq!((place.query("a"), place.query("b")), ("1".to_string(), number.to_string()));
        assert_eq!(carrier.page("/ready"), (200, "OK".to_string()));
    }
    stop.store(true, Ordering::Relaxed);
    let queries: usize = loads.into_iter().map(|load| load.join().expect("each is answered")).sum();
    assert!(queries > 0);
    // It holds the lock of the directory, and what a restart finds there is what was committed last.
    let mut other = place.spawn(&place.dir.join("other"));
    assert!(!other.child.wait().unwrap().success());
    assert!(other.said().contains("another carrier uses it"), "{}", other.said());
    assert!(carrier.end("TERM").success());
    assert_eq!(std::fs::read_dir(&place.dir).unwrap().count(), 2, "only the state and the log are left");
    let carrier = place.start();
    assert_eq!(carrier.controller().hear()["hello"]["tables"]["words"]["number"], 4);
}

#[test]
fn tables_in_memory_and_agents_are_taken_over() {
    let place = Place::make();
    let path = place.dir.join("agent");
    let flags =
        ["--socket", place.socket().to_str().unwrap(), "--node-local", path.to_str().unwrap()].map(String::from);
    let flags = flags.each_ref().map(String::as_str);
    let mut carrier = place.spawn_with(&flags);
    eventually("it listens", || place.socket().exists());
    let mut controller = carrier.controller();
    controller.hear();
    controller.doors(&place); // tried until there is a worker
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let serving = json!([format!("127.0.0.1:{}", place.port)]);
    let mut agent = carrier.agent(&path);
    assert_eq!(agent.hear()["serving"], serving);
    let mut next = place.spawn_with(&flags);
    // The first thing that an agent hears of the new one is that it serves; the old one did not say that it does no longer.
    assert!(agent.ended(), "{}", carrier.said());
    let mut agent = carrier.agent(&path);
    assert_eq!(agent.hear()["serving"], serving);
    assert!(carrier.child.wait().unwrap().success());
    assert_eq!(place.query("a"), "1");
    agent.say(json!({"switched": 100}));
    assert!(next.end("TERM").success());
    assert!(agent.hear()["serving"] == json!([]) && agent.ended() && !path.exists());
}

#[test]
fn one_that_fails_changes_nothing() {
    let place = Place::make();
    let (mut carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let (stop, loads) = load(&place);
    // Killed while its worker reads the tables.
    let mut next = place.spawn_as(&[("TOY_COMMITS", "hang")]);
    let worker = worker_of(next.child.id());
    kill(next.child.id(), "KILL");
    next.child.wait().unwrap();
    eventually("its worker ends, too", || gone(worker));
    goes_on(&place, &mut carrier, 1);
    // Its workers die of the tables; it refuses a row; the table.
    for (how, why) in
        [("die", "SIGABRT"), ("refuse", "of 1 rows of table words, 0"), ("fail", "of 1 rows of table words, 0")]
    {
        let mut next = place.spawn_as(&[("TOY_COMMITS", how)]);
        assert!(!next.child.wait().unwrap().success());
        assert!(next.said().contains(why), "{how}: {}", next.said());
        goes_on(&place, &mut carrier, 1);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(loads.into_iter().map(|load| load.join().expect("each is answered")).all(|count| count > 0));
    // And then one that can.
    let mut next = place.spawn(&place.socket());
    assert!(carrier.child.wait().unwrap().success(), "{}", carrier.said());
    goes_on(&place, &mut next, 1);
    assert_eq!(std::fs::read_dir(place.dir.join("state")).unwrap().count(), 3, "nothing was set aside");
}

#[test]
fn one_that_is_not_as_ready_waits_while_the_other_one_serves() {
    let place = Place::make();
    let (mut carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let path = place.dir.join("unready");
    std::fs::write(&path, "").unwrap();
    // What it says can be told from what the other one says.
    let variables = [("TOY_UNREADY", path.to_str().unwrap()), ("TOY_COMMITS", "2")];
    let mut next = place.spawn_as(&variables);
    eventually("it is asked whether it is ready", || std::fs::read(&path).unwrap() == b"asked");
    for _ in 0..50 {
        assert_eq!(place.query("a"), "1");
    }
    assert!(carrier.child.try_wait().unwrap().is_none() && next.child.try_wait().unwrap().is_none());
    std::fs::remove_file(&path).unwrap();
    assert!(carrier.child.wait().unwrap().success(), "{}", carrier.said());
    assert_eq!(place.query("a"), "2");
    assert!(!next.said().contains("not ready with"), "{}", next.said());
    // And one that takes over from it while neither is ready does not wait.
    std::fs::write(&path, "").unwrap();
    eventually("it is not ready", || next.page("/ready").0 == 503);
    let last = place.spawn_as(&[variables[0], ("TOY_COMMITS", "3")]);
    assert!(next.child.wait().unwrap().success(), "{}", next.said());
    assert_eq!(place.query("a"), "3");
    assert!(!last.said().contains("not ready with"), "{}", last.said());
}

#[test]
fn versions_that_do_not_speak_to_each_other_leave_each_other_alone() {
    let place = Place::make();
    let (mut carrier, mut controller) = place.serving();
    controller.delta("words", 0, 1, &[put("a", "1")]);
    let path = place.takeover();
    let hello = json!({"Hello": {"protocol": 0, "version": "9", "kind": "toy", "threads": 2}}).to_string();
    for (said, why) in
        [(hello.as_str(), "its protocol of takeovers is 1, not 0"), ("?", "no hello"), ("{}", "no hello")]
    {
        let end = connect(&path).unwrap();
        Outgoing::new(said.as_bytes(), &[]).send(&end.as_fd()).unwrap();
        let mut answer = Vec::new();
        let mut incoming = Incoming::default();
        eventually("it answers", || match incoming.receive(&end) {
            Ok(Some((octets, _))) => {
                answer = octets;
                true
            }
            _ => false,
        });
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("Refused") && answer.contains(why), "{answer}");
        goes_on(&place, &mut carrier, 1);
    }
    // And the other way round: who runs says what is not understood.
    let elsewhere = Place::make();
    let listener = listen(&elsewhere.takeover()).unwrap();
    let mut next = elsewhere.spawn(&elsewhere.socket());
    let mut end = None;
    eventually("it comes", || accept(&listener).is_ok_and(|accepted| end.replace(accepted).is_none()));
    Outgoing::new(b"{\"Later\":{}}", &[]).send(&end.as_ref().unwrap().as_fd()).unwrap();
    assert!(!next.child.wait().unwrap().success());
    assert!(next.said().contains("the carrier that runs here keeps its place"), "{}", next.said());
}

/// It is the one that listens, and its tables are as they were.
fn goes_on(place: &Place, carrier: &mut Carrier, number: u64) {
    assert_eq!(carrier.controller().hear()["hello"]["tables"]["words"], json!({"epoch": "e", "number": number}));
    assert_eq!(place.query("a"), "1");
    assert_eq!(carrier.page("/ready"), (200, "OK".to_string()));
    assert!(carrier.child.try_wait().unwrap().is_none());
}

/// Two clients that ask again and again, each query once, and connect. Their threads give how many were answered.
fn load(place: &Place) -> (Arc<AtomicBool>, Vec<JoinHandle<usize>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (port, pages) = (place.port, place.pages);
    let ask = move |stop: Arc<AtomicBool>| {
        let (mut count, mut buffer) = (0, [0; 16]);
        loop {
            // From a port of its own: the kernel spreads them over the sockets.
            let client = client();
            client.send_to(b"a", (Ipv4Addr::LOCALHOST, port)).unwrap();
            let length = client.recv(&mut buffer).unwrap_or_else(|error| panic!("query {count}: {error}"));
            assert_eq!(&buffer[..length], b"1");
            count += 1;
            if stop.load(Ordering::Relaxed) {
                return count;
            }
        }
    };
    let connects = move |stop: Arc<AtomicBool>| {
        let mut count = 0;
        loop {
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, pages)).expect("none is refused"));
            count += 1;
            if stop.load(Ordering::Relaxed) {
                return count;
            }
            thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let (asks, again, connecting) = (stop.clone(), stop.clone(), stop.clone());
    let threads = vec![
        thread::spawn(move || ask(asks)),
        thread::spawn(move || ask(again)),
        thread::spawn(move || connects(connecting)),
    ];
    (stop, threads)
}
