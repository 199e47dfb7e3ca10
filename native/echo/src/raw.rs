use crate::identity::Identity;
use crate::replay::Replay;
use crate::tcp::{Ends, Stop};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Gives each line back behind the pod's name, until the client ends, is idle too long, or we stop.
pub async fn serve(mut stream: Replay, ends: Ends, identity: &Identity, greet: bool, mut stop: Stop) {
    let work = async {
        if greet {
            stream.write_all(format!("{}\n", identity.greeting(ends.peer)).as_bytes()).await?;
        }
        echo_lines(&mut stream, &identity.pod).await
    };
    tokio::select! {
        _ = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let _ = stream.shutdown().await;
}

async fn echo_lines(stream: &mut Replay, name: &str) -> io::Result<()> {
    let mut pending: Vec<u8> = Vec::new();
    loop {
        let ended = match timeout(IDLE, stream.read_buf(&mut pending)).await {
            Ok(count) => count? == 0,
            Err(_) => return Ok(()),
        };
        let answer = lines(&mut pending, name, ended);
        if !answer.is_empty() {
            timeout(IDLE, stream.write_all(&answer)).await??;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Takes the complete lines out of `pending`; a line that never ends is answered in pieces of `LINE_MAX_BYTES`.
fn lines(pending: &mut Vec<u8>, name: &str, ended: bool) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut start = 0;
    while start < pending.len() {
        let rest = &pending[start..];
        let length = match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if ended || rest.len() >= LINE_MAX_BYTES => rest.len(),
            None => break,
        };
        answer.extend_from_slice(name.as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(&rest[..length]);
        if !rest[..length].ends_with(b"\n") {
            answer.push(b'\n');
        }
        start += length;
    }
    pending.drain(..start);
    answer
}

const IDLE: Duration = Duration::from_secs(60);
const LINE_MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_lines_are_answered() {
        let mut pending = b"one\ntwo\nthr".to_vec();
        assert_eq!(lines(&mut pending, "p", false), b"p: one\np: two\n");
        assert_eq!(pending, b"thr");
        assert_eq!(lines(&mut pending, "p", true), b"p: thr\n");
        assert!(pending.is_empty());
    }

    #[test]
    fn an_endless_line_is_bounded() {
        let mut pending = vec![b'x'; LINE_MAX_BYTES];
        assert_eq!(lines(&mut pending, "p", false).len(), LINE_MAX_BYTES + 4);
        assert!(pending.is_empty());
    }
}
