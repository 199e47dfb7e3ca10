use crate::connect;
use crate::request::Question;
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// GET; 200-399 is success, as for the kubelet (pkg/probe/http). The answer's body is not read.
pub async fn ask(question: &Question) -> Result<String, String> {
    match question.scheme.as_deref().unwrap_or("http").to_ascii_lowercase().as_str() {
        "http" => {}
        other => return Err(format!("scheme {other} is not supported: use http, tcp or grpc")),
    }
    let request = request(question)?;
    let stream = TokioIo::new(connect(question).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| format!("no HTTP answer: {error}"));
    connection.abort();
    let status = answer?.status();
    if status.is_success() || status.is_redirection() { Ok(status.to_string()) } else { Err(format!("HTTP {status}")) }
}

fn request(question: &Question) -> Result<Request<Once>, String> {
    let path = question.path.as_deref().unwrap_or("/");
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let uri: Uri = path.parse().map_err(|error| format!("path {path}: {error}"))?;
    let mut request = Request::new(Once::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    let host = if question.host.contains(':') && !question.host.starts_with('[') {
        format!("[{}]:{}", question.host, question.port)
    } else {
        format!("{}:{}", question.host, question.port)
    };
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| format!("host {host}: {error}"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static("kube-probe/fairlead"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in question.headers.iter() {
        let name: HeaderName = name.parse().map_err(|error| format!("header {name}: {error}"))?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|error| format!("header value: {error}"))?);
    }
    Ok(request)
}

/// A body of at most one piece.
pub struct Once(Option<Bytes>);

impl Once {
    pub fn empty() -> Once {
        Once(None)
    }

    pub fn of(data: Vec<u8>) -> Once {
        Once(Some(Bytes::from(data)))
    }
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}
