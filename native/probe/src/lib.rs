//! Probes as the kubelet makes them, asked and answered in JSON lines.

mod grpc;
mod http;
mod request;
mod sctp;

use cli::{Outcome, failed};
use request::{Answer, Kind, Question};
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

pub fn run(arguments: &[String]) -> Outcome {
    cli::parse(arguments, &[], &[])?;
    sys::limits::raise_open_files().map_err(failed("cannot raise the limit of open files"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    runtime.block_on(answer_all(lines_of_stdin()))
}

/// Reading standard input blocks, so a thread does it. Bounded: who asks too fast is held back by the pipe.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            match (&mut input).take(LINE_MAX_BYTES).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => {
                    if sender.blocking_send(line).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}

async fn answer_all(mut lines: mpsc::Receiver<String>) -> Outcome {
    let places = Arc::new(Semaphore::new(CONCURRENT_MAX));
    while let Some(line) = lines.recv().await {
        let question: Question = match serde_json::from_str(&line) {
            Ok(question) => question,
            Err(error) => {
                print(&Answer::unreadable(&line, &error))?;
                continue;
            }
        };
        let place = places.clone().acquire_owned().await.map_err(failed("probe"))?;
        tokio::spawn(async move {
            let answer = answer(&question).await;
            drop(place);
            if print(&answer).is_err() {
                std::process::exit(0); // Nobody reads the answers any more.
            }
        });
    }
    let _ = places.acquire_many(CONCURRENT_MAX as u32).await;
    Ok(ExitCode::SUCCESS)
}

async fn answer(question: &Question) -> Answer {
    let patience = Duration::from_millis(question.timeout_ms.clamp(1, TIMEOUT_MAX_MS));
    let result = match tokio::time::timeout(patience, ask(question)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    };
    let (ok, detail) = match result {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    Answer { id: question.id.clone(), ok, detail }
}

async fn ask(question: &Question) -> Result<String, String> {
    match question.kind {
        Kind::Tcp => connect(question).await.map(|_| "connected".to_string()),
        Kind::Sctp => sctp::ask(question).await,
        Kind::Http => http::ask(question).await,
        Kind::Grpc => grpc::ask(question).await,
    }
}

pub(crate) async fn connect(question: &Question) -> Result<TcpStream, String> {
    let place = (question.host.trim_matches(['[', ']']), question.port);
    TcpStream::connect(place).await.map_err(|error| format!("cannot connect: {error}"))
}

fn print(answer: &Answer) -> Result<(), cli::Failure> {
    let mut line = serde_json::to_vec(answer).map_err(failed("cannot write an answer"))?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line).and_then(|()| output.flush()).map_err(failed("cannot write an answer"))
}

const CONCURRENT_MAX: usize = 128;
const LINE_MAX_BYTES: u64 = 64 * 1024;
const TIMEOUT_MAX_MS: u64 = 600_000;

pub const HELP: &str = "\
HTTP, gRPC, TCP and SCTP probes, asked in JSON lines on standard input, answered on standard output

usage: fairlead-carrier probe

question: {\"id\": any, \"type\": \"http\"|\"tcp\"|\"sctp\"|\"grpc\", \"host\": \"10.1.1.2\", \"port\": 8080, \"timeoutMs\": 1000,
           \"path\": \"/healthz\", \"scheme\": \"http\", \"headers\": {\"Host\": \"x\"} or [{\"name\": .., \"value\": ..}],
           \"service\": \"name asked of a gRPC health server\",
           \"from\": \"source address of SCTP\", \"data\": \"what SCTP sends\"}
answer:   {\"id\": as asked, \"ok\": true, \"detail\": \"200 OK\"}

HTTP succeeds on 200-399 and follows no redirect; scheme https is not supported yet and fails. SCTP is of the one-to-one
style; with data, all that comes back until the server ends is the answer's detail (64 KiB at most). Answers come in the order
in which they are known. At most 128 run at once. Ends when standard input ends and all is answered.

example:
  echo '{\"id\":1,\"type\":\"tcp\",\"host\":\"127.0.0.1\",\"port\":8080,\"timeoutMs\":1000}' | fairlead-carrier probe
";
