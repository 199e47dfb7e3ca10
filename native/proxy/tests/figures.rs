//! What is counted, under ingress-nginx's names.

mod common;

use common::*;
use serde_json::json;
use wire::protocol::Question;

#[test]
fn requests_are_counted_by_route_method_and_status() {
    let backend = Backend::answering(|got| match got.line.contains("/no") {
        true => Some("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".into()),
        false => ok("hello"),
    });
    let mut rows = to(backend.address);
    rows[0].1["labels"] = json!({ "namespace": "shop", "ingress": "w\"eb", "service": "front", "path": "/" });
    let mut server = Server::start(&rows);
    for _ in 0..3 {
        assert_eq!(server.get("a", "/").status, 200);
    }
    assert_eq!(server.get("a", "/no").status, 404);
    assert_eq!(server.ask("INVENTED / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").status, 200);
    assert_eq!(server.get("elsewhere", "/").status, 404);
    let labels = r#"host="a",path="/",namespace="shop",ingress="w\"eb",service="front",canary="""#;
    let wanted = [
        format!("requests{{{labels},method=\"GET\",status=\"200\"}} 3"),
        format!("requests{{{labels},method=\"GET\",status=\"404\"}} 1"),
        format!("requests{{{labels},method=\"OTHER\",status=\"200\"}} 1"),
        r#"requests{host="_",path="",namespace="",ingress="",service="",canary="",method="GET",status="404"} 1"#
            .to_string(),
        format!("request_duration_seconds_count{{{labels},method=\"GET\",status=\"200\"}} 3"),
        format!("request_duration_seconds_bucket{{{labels},method=\"GET\",status=\"200\",le=\"+Inf\"}} 3"),
        format!("response_duration_seconds_count{{{labels},method=\"GET\",status=\"200\"}} 3"),
        format!("bytes_sent_sum{{{labels},method=\"GET\",status=\"200\"}} 15"),
        format!("request_size_sum{{{labels},method=\"OTHER\",status=\"200\"}} 3"),
        "nginx_process_connections_total{state=\"accepted\"} 6".to_string(),
        "nginx_process_requests_total{} 6".to_string(),
    ];
    // A request is counted when its response is over, which its client may know before.
    let mut text = String::new();
    eventually("all are counted", || {
        text = server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().to_string();
        wanted.iter().all(|line| text.contains(&format!("nginx_ingress_controller_{line}\n")))
    });
    // A route that is replaced goes on counting, one that is gone is not told of.
    server.change(&[("route", set(rows[0].1.clone(), "/rank", 2))], &[]);
    assert!(server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains(&wanted[0]));
    server.change(&[], &["route"]);
    eventually("its series are gone", || {
        !server.worker.ask(&Question::Metrics).unwrap().as_str().unwrap().contains("shop")
    });
}
