//! echo and probe, which speak to each other here.

mod common;

use common::{CARRIER, Namespace, Running};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn echo(namespace: &Namespace) -> Running {
    let mut command = namespace.command(&[
        CARRIER,
        "echo",
        "--listen",
        "tcp:8080",
        "--listen",
        "udp:53",
        "--name",
        "zone=a",
        "--grace-ms",
        "600000",
    ]);
    command.env("POD_NAME", "web-1").env("POD_NAMESPACE", "shop").env("NODE_NAME", "n1");
    let mut running = Running::start(command);
    assert_eq!(running.line(), "web-1 listens on tcp:8080 udp:53\n");
    running
}

/// What a client gets over `/dev/tcp` of bash.
fn bash(namespace: &Namespace, script: &str) -> String {
    namespace.run(&["bash", "-c", script])
}

#[test]
fn http_answers_say_who_asked_whom() {
    let Some(namespace) = Namespace::make() else { return };
    let _echo = echo(&namespace);
    let json_page = |options: &[&str], url: &str| -> Value {
        let words = [&["curl", "-sS", "-H", "Accept: application/json"][..], options, &[url]].concat();
        serde_json::from_str(&namespace.run(&words)).unwrap()
    };
    let page = json_page(&["-H", "X-Forwarded-For: 9.9.9.9", "-d", "abc"], "http://127.0.0.1:8080/a?b=c");
    for (name, value) in [
        ("pod", json!("web-1")),
        ("namespace", json!("shop")),
        ("node", json!("n1")),
        ("zone", json!("a")),
        ("local", json!("127.0.0.1:8080")),
        ("method", json!("POST")),
        ("path", json!("/a?b=c")),
        ("version", json!("HTTP/1.1")),
        ("receivedBytes", json!(3)),
    ] {
        assert_eq!(page[name], value, "{name}");
    }
    assert!(page["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(page["headers"]["x-forwarded-for"], "9.9.9.9");
    let page = json_page(&["--http2-prior-knowledge"], "http://[::1]:8080/");
    assert_eq!((&page["version"], &page["local"]), (&json!("HTTP/2.0"), &json!("[::1]:8080")));
    let text = namespace.run(&["curl", "-sS", "http://127.0.0.1:8080/"]);
    assert!(text.contains("pod: web-1\n") && text.contains("host: 127.0.0.1:8080\n"), "{text}");
    // Two requests on one connection.
    let twice = namespace.run(&["curl", "-sSv", "--stderr", "-", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/"]);
    assert!(twice.contains("Re-using existing connection"), "{twice}");
}

#[test]
fn lines_and_datagrams_come_back() {
    let Some(namespace) = Namespace::make() else { return };
    let _echo = echo(&namespace);
    // Who has said nothing for a second is greeted first.
    let lines = "while read -r line <&3; do echo \"$line\"; [ \"$line\" = 'web-1: hello' ] && break; done";
    let said = bash(&namespace, &format!("exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GE\\nhello\\n' >&3; {lines}"));
    assert!(said.ends_with("web-1: GE\nweb-1: hello\n") && said.lines().count() <= 3, "{said}");
    let greeting = bash(&namespace, "exec 3<>/dev/tcp/::1/8080; head -1 <&3");
    assert!(greeting.starts_with("web-1 n1 [::1]:"), "{greeting}");
    // An address that is not the first of its device must itself answer; and a socket of IPv4 alone does it another way.
    let mut command = namespace.command(&[CARRIER, "echo", "--listen", "udp:0.0.0.0:54"]);
    command.env("POD_NAME", "web-1").env("NODE_NAME", "n1");
    let mut only_ipv4 = Running::start(command);
    assert_eq!(only_ipv4.line(), "web-1 listens on udp:0.0.0.0:54\n");
    for place in ["127.0.0.1/53", "127.0.0.9/53", "::1/53", "127.0.0.9/54"] {
        let said = bash(&namespace, &format!("exec 3<>/dev/udp/{place}; printf hi >&3; head -c 14 <&3"));
        assert!(said.starts_with("web-1 n1 "), "{place}: {said}");
    }
}

#[test]
fn probes_tell_what_lives() {
    let Some(namespace) = Namespace::make() else { return };
    let _echo = echo(&namespace);
    let mut probe = namespace.start(&[CARRIER, "probe"]);
    let cases = [
        (
            json!({"id": "http", "type": "http", "host": "127.0.0.1", "port": 8080, "path": "/healthz", "timeoutMs": 60000}),
            true,
        ),
        (
            json!({"id": "http6", "type": "http", "host": "::1", "port": 8080, "headers": {"Host": "x"}, "timeoutMs": 60000}),
            true,
        ),
        (json!({"id": "tcp", "type": "tcp", "host": "::1", "port": 8080, "timeoutMs": 60000}), true),
        (
            json!({"id": "grpc", "type": "grpc", "host": "127.0.0.1", "port": 8080, "service": "shop", "timeoutMs": 60000}),
            true,
        ),
        (json!({"id": "none", "type": "tcp", "host": "127.0.0.1", "port": 8081}), false),
        (json!({"id": "https", "type": "http", "scheme": "HTTPS", "host": "127.0.0.1", "port": 8080}), false),
        (json!({"id": "lost", "type": "http", "host": "127.0.0.1", "port": 8081, "timeoutMs": 1000}), false),
        (json!({"id": "odd", "type": "odd", "host": "127.0.0.1", "port": 8081}), false),
    ];
    for (question, ok) in &cases {
        probe.say(&format!("{question}\n"));
        let answer = probe.json();
        assert_eq!((&answer["id"], &answer["ok"]), (&question["id"], &json!(ok)), "{answer}");
    }
    for number in 0..1000 {
        probe.say(&format!(
            "{}\n",
            json!({"id": number, "type": "http", "host": "127.0.0.1", "port": 8080, "timeoutMs": 60000})
        ));
    }
    let (rest, code) = probe.finish();
    assert_eq!((rest.lines().filter(|line| line.contains("\"ok\":true")).count(), code), (1000, 0));
}

#[test]
fn a_silent_server_fails_in_time() {
    let Some(namespace) = Namespace::make() else { return };
    let mut server = namespace.start(&[CARRIER, "load", "serve", "--listen", "tcp:9000", "--threads", "1"]);
    assert_eq!(server.json(), json!({"ready": true}));
    // One thread, and a client that says nothing holds it: everyone else waits in the backlog.
    let held = bash(
        &namespace,
        &format!(
            "exec 3<>/dev/tcp/127.0.0.1/9000; echo '{}' | {CARRIER} probe",
            json!({"id": 1, "type": "grpc", "host": "127.0.0.1", "port": 9000, "timeoutMs": 300})
        ),
    );
    assert!(held.contains("no answer within 300 ms"), "{held}");
}

#[test]
fn term_ends_it_with_success_also_while_a_stream_is_open() {
    let Some(namespace) = Namespace::make() else { return };
    let mut echo = echo(&namespace);
    let mut client = namespace.start(&[
        "timeout",
        "120",
        "bash",
        "-c",
        "exec 3<>/dev/tcp/127.0.0.1/8080; echo x >&3; head -1 <&3; cat <&3; echo end",
    ]);
    assert_eq!(client.line(), "web-1: x\n");
    echo.signal("TERM");
    assert_eq!(client.line(), "end\n");
    assert_eq!(echo.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let Some(namespace) = Namespace::make() else { return };
    let _echo = echo(&namespace);
    let output = namespace.command(&[CARRIER, "echo", "--listen", "tcp:8080"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on tcp:8080; is the port taken?"));
}

/// Where the kernel has SCTP it answers as TCP does; where it has none, both ends say so.
#[test]
fn sctp_is_served_or_named_as_missing() {
    let Some(namespace) = Namespace::make() else { return };
    let question =
        json!({"id": 1, "type": "sctp", "host": "127.0.0.1", "port": 3868, "data": "GET / HTTP/1.0\r\n\r\n"});
    let ask = || namespace.carrier(&["probe"], &format!("{question}\n"));
    let mut command = namespace.command(&[CARRIER, "echo", "--listen", "sctp:3868"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut echo = command.env("POD_NAME", "web-1").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(echo.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        let output = echo.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot listen on sctp:3868: this kernel has no SCTP"), "{said}");
        let answer = ask();
        assert_eq!(answer["ok"], json!(false));
        assert!(answer["detail"].as_str().unwrap().contains("this kernel has no SCTP"), "{answer}");
        return;
    }
    assert_eq!(line, "web-1 listens on sctp:3868\n");
    let answer = ask();
    echo.kill().unwrap();
    echo.wait().unwrap();
    assert!(answer["detail"].as_str().unwrap().contains("local: 127.0.0.1:3868\n"), "{answer}");
}
