//! `nft`: transactions one after the other on stdin, a JSON line for each on stdout. `nft -f -` waits for a grace period of
//! the kernel (some 16 ms) when it closes its socket; this keeps the socket, so a change is committed in about 1 ms.

use cli::{Failure, Outcome};
use serde::Serialize;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use sys::nftables::Nftables;

pub const HELP: &str = "\
Runs nftables transactions from standard input, one after the other.

usage: fairlead-carrier nft

Each transaction is its length in bytes on a line of its own, then that many bytes of nft commands (as for `nft -f`).
Each is answered by one JSON line: {\"ok\":true} or {\"ok\":false,\"error\":\"nft's own text\"}. Ends with standard input.

example:
  printf '12\\nadd table t\\n' | fairlead-carrier nft
";

#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub fn run(_: &[String]) -> Outcome {
    let mut nft = Nftables::open().map_err(Failure::Failed)?;
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    while let Some(text) = read_frame(&mut input).map_err(|error| Failure::Failed(error.to_string()))? {
        let result = nft.run(&text);
        let answer = Answer { ok: result.is_ok(), error: result.as_ref().err().map(String::as_str) };
        let line = serde_json::to_string(&answer).map_err(|error| Failure::Failed(error.to_string()))?;
        if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
            break; // nobody reads any more
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_frame(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if input.by_ref().take(LENGTH_LINE_MAX).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message.to_string());
    let length: usize = line.trim().parse().map_err(|_| invalid("expected a length in bytes on a line of its own"))?;
    if length > FRAME_MAX_BYTES {
        return Err(invalid("a transaction is larger than 64 MiB"));
    }
    let mut text = vec![0; length];
    input.read_exact(&mut text)?;
    String::from_utf8(text).map(Some).map_err(|_| invalid("a transaction is not UTF-8"))
}

const LENGTH_LINE_MAX: u64 = 32;
const FRAME_MAX_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::read_frame;

    #[test]
    fn reads_frames_one_after_the_other() {
        let mut input: &[u8] = b"3\nabc0\n5\nhello";
        assert_eq!(read_frame(&mut input).unwrap().as_deref(), Some("abc"));
        assert_eq!(read_frame(&mut input).unwrap().as_deref(), Some(""));
        assert_eq!(read_frame(&mut input).unwrap().as_deref(), Some("hello"));
        assert_eq!(read_frame(&mut input).unwrap(), None);
    }

    #[test]
    fn refuses_what_is_no_frame() {
        for text in ["abc\n", "-1\n", "99999999999\n", "4\nabc"] {
            assert!(read_frame(&mut text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
