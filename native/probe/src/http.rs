use crate::connect;
use crate::request::Question;
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
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
    verdict(answer?.status())
}

fn verdict(status: StatusCode) -> Result<String, String> {
    if (200..400).contains(&status.as_u16()) { Ok(status.to_string()) } else { Err(format!("HTTP {status}")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_200_to_399() {
        let ok = |code| verdict(StatusCode::from_u16(code).unwrap()).is_ok();
        assert!([200, 204, 302, 399].into_iter().all(ok));
        assert!(![101, 199, 400, 404, 500, 503, 999].into_iter().any(ok));
    }

    #[test]
    fn requests_are_those_of_a_kubelet() {
        let text =
            r#"{"id":1,"type":"http","host":"::1","port":80,"path":"healthz","headers":{"Host":"shop","X-A":"1"}}"#;
        let request = request(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(
            (request.uri().to_string(), &request.headers()[HOST]),
            ("/healthz".into(), &HeaderValue::from_static("shop"))
        );
        assert_eq!(request.headers()["x-a"], "1");
        let text = r#"{"id":1,"type":"http","host":"::1","port":80,"path":"/ x"}"#;
        assert!(super::request(&serde_json::from_str(text).unwrap()).is_err());
    }
}
