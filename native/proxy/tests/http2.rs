//! HTTP/2 on either side, with what gRPC needs of it.

mod common;

use common::*;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Given piece by piece.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn frames(data: &[&str], trailers: &[(&'static str, &str)]) -> Frames {
    let mut frames: VecDeque<_> =
        data.iter().map(|text| Frame::data(Bytes::copy_from_slice(text.as_bytes()))).collect();
    if !trailers.is_empty() {
        let fields = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        frames.push_back(Frame::trailers(fields.collect::<HeaderMap>()));
    }
    Frames(frames)
}

async fn read(mut body: Incoming) -> (String, HeaderMap) {
    let (mut text, mut trailers) = (String::new(), HeaderMap::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.unwrap().into_data() {
            Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap()),
        }
    }
    (text, trailers)
}

#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move { drop(task.await) });
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new()
        .block_on(&runtime, async { tokio::time::timeout(PATIENCE, work).await.expect("in time") })
}

/// Says what it got, with a trailer as gRPC has it.
fn backend() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(|request: Request<Incoming>| async {
                    let (head, body) = request.into_parts();
                    let te = head.headers.get("te").map(|value| value.to_str().unwrap().to_string());
                    let (text, trailers) = read(body).await;
                    let said = format!("{} {} te={te:?} {text} {:?}", head.method, head.uri, trailers.get("x-sum"));
                    let mut response =
                        Response::new(frames(&[&said], &[("grpc-status", "0"), ("grpc-message", "fine")]));
                    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
                    Ok::<_, Infallible>(response)
                });
                let serving = server::Builder::new(Local).serve_connection(TokioIo::new(stream), service);
                tokio::task::spawn_local(async { drop(serving.await) });
            }
        });
    });
    address
}

async fn connect(address: SocketAddr) -> client::SendRequest<Frames> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = client::Builder::new(Local).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(async { drop(connection.await) });
    sender
}

fn grpc(path: &str) -> hyper::http::request::Builder {
    Request::post(format!("http://a{path}")).header("te", "trailers").header("content-type", "application/grpc")
}

#[test]
fn grpc_has_its_trailers() {
    let mut rows = to(backend());
    rows[1].1 = set(rows[1].1.clone(), "/protocol", "http2");
    let proxy = Server::start(&rows);
    run(async {
        let mut sender = connect(proxy.address).await;
        for _ in 0..3 {
            let request = grpc("/pkg.Service/Call?x").body(frames(&["one ", "two"], &[("x-sum", "7")])).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let (text, trailers) = read(response.into_body()).await;
            assert_eq!(text, "POST http://a/pkg.Service/Call?x te=Some(\"trailers\") one two Some(\"7\")");
            assert!(trailers["grpc-status"] == "0" && trailers["grpc-message"] == "fine", "{trailers:?}");
        }
    });
    // HTTP/1.1 clients reach the same backend.
    let reply = proxy.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(reply.body, "POST http://a/x te=None hi None");
}

#[test]
fn many_streams_of_one_connection_reach_http1_backends() {
    let backend = Backend::answering(|got| ok(&format!("{} {}", got.line, got.header("host").unwrap())));
    let proxy = Server::start(&to(backend.address));
    run(async {
        let sender = connect(proxy.address).await;
        let mut streams = tokio::task::JoinSet::new();
        for number in 0..300 {
            let mut sender = sender.clone();
            streams.spawn_local(async move {
                let request = Request::get(format!("http://a:81/{number}")).body(frames(&[], &[])).unwrap();
                let response = sender.send_request(request).await.unwrap();
                let head = (response.status(), response.headers().get("connection").cloned());
                (number, head, read(response.into_body()).await.0)
            });
        }
        while let Some(done) = streams.join_next().await {
            let (number, head, text) = done.unwrap();
            assert_eq!((head, text), ((StatusCode::OK, None), format!("GET /{number} HTTP/1.1 a:81")));
        }
    });
    assert!(backend.count() == 300);
}

#[test]
fn bounds_hold_for_each_request() {
    let backend = Backend::plain();
    let row = [("headerFieldsMax", 10), ("headMaxBytes", 2000)];
    let row = row.iter().fold(http(), |row, (name, value)| set(row, &format!("/{name}"), *value));
    let mut rows = to(backend.address);
    rows[0].1 = set(rows[0].1.clone(), "/action/forward/bodyMaxBytes", 10);
    let proxy = Server::with(&listener(json!({ "http": row })), &rows);
    let status = |request: Request<Frames>| {
        run(async {
            connect(proxy.address).await.send_request(request).await.map(|response| response.status().as_u16())
        })
    };
    let get = || Request::get("http://a/");
    assert_eq!(status(get().body(frames(&[], &[])).unwrap()).unwrap(), 200);
    let many = (0..11).fold(get(), |request, number| request.header(format!("x-{number}"), "y"));
    assert_eq!(status(many.body(frames(&[], &[])).unwrap()).unwrap(), 431);
    assert_eq!(status(get().header("x", "y".repeat(3000)).body(frames(&[], &[])).unwrap()).unwrap(), 431);
    assert_eq!(status(Request::post("http://a/").body(frames(&["0123456789", "a"], &[])).unwrap()).unwrap(), 413);
    assert_eq!(status(get().header("host", "b").body(frames(&[], &[])).unwrap()).unwrap(), 400);
}
