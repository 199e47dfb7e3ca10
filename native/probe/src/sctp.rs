use crate::request::Question;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Connects; with `data`, sends it and reads what comes back to its end.
pub async fn ask(question: &Question) -> Result<String, String> {
    let stream = connect(question).await.map_err(|error| format!("cannot connect: {error}"))?;
    match &question.data {
        None => Ok("connected".into()),
        Some(data) => converse(stream, data).await.map_err(|error| format!("the connection broke off: {error}")),
    }
}

async fn connect(question: &Question) -> std::io::Result<TcpStream> {
    let to = (question.host.trim_matches(['[', ']']), question.port);
    let to = tokio::net::lookup_host(to).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
    TcpSocket::from_std_stream(sys::sctp::client(to, question.from)?).connect(to).await
}

async fn converse(mut stream: TcpStream, data: &str) -> std::io::Result<String> {
    stream.write_all(data.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const ANSWER_MAX_BYTES: u64 = 64 * 1024;
