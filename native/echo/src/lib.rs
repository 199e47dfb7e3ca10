//! Stands in for an application: answers HTTP/1.1, HTTP/2, gRPC health checks, lines over TCP or SCTP, and UDP with who it
//! is.

mod detect;
mod grpc;
mod http;
mod identity;
mod raw;
mod replay;
mod tcp;
mod udp;

use cli::{Failure, Outcome, failed, usage};
use identity::Identity;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use sys::listener::{Listen, Transport};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

pub fn run(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &["listen", "name", "grace-ms", "linger-ms"], &[])?;
    let listens =
        flags.all("listen").map(|text| text.parse().map_err(Failure::Usage)).collect::<Result<Vec<Listen>, _>>()?;
    if listens.is_empty() {
        return Err(usage("nothing to listen on: give --listen tcp:PORT, udp:PORT or sctp:PORT"));
    }
    let identity = Arc::new(Identity::new(flags.all("name"))?);
    let grace = Duration::from_millis(flags.parsed("grace-ms")?.unwrap_or(GRACE_MS));
    let linger = Duration::from_millis(flags.parsed("linger-ms")?.unwrap_or(0));
    sys::limits::raise_open_files().map_err(failed("cannot raise the limit of open files"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("no runtime"))?;
    runtime.block_on(serve(&listens, identity, linger, grace))
}

async fn serve(listens: &[Listen], identity: Arc<Identity>, linger: Duration, grace: Duration) -> Outcome {
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("cannot wait for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("cannot wait for SIGINT"))?;
    let pod = identity.pod.clone();
    let mut doors = Vec::new();
    for listen in listens {
        let cannot = || failed(format!("cannot listen on {listen}; is the port taken?"));
        let identity = identity.clone();
        doors.push(match listen.transport {
            Transport::Tcp => {
                let listener = sys::listener::tcp(listen, BACKLOG, false).map_err(cannot())?;
                tokio::spawn(tcp::accept(listener, identity, places.clone(), stopped.clone()))
            }
            Transport::Sctp => {
                let listener =
                    sys::sctp::listen(listen, BACKLOG).map_err(failed(format!("cannot listen on {listen}")))?;
                tokio::spawn(tcp::accept(listener, identity, places.clone(), stopped.clone()))
            }
            Transport::Udp => tokio::spawn(udp::answer(sys::datagram::bind(listen).map_err(cannot())?, identity)),
        });
    }
    let where_to = listens.iter().map(Listen::to_string).collect::<Vec<_>>().join(" ");
    println!("{pod} listens on {where_to}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::time::sleep(linger).await;
    doors.iter().for_each(|door| door.abort());
    stop.send_replace(true);
    // Every place free again: every connection has finished. What has not when the grace is over is cut.
    let _ = tokio::time::timeout(grace, places.acquire_many(CONNECTIONS_MAX as u32)).await;
    Ok(ExitCode::SUCCESS)
}

const CONNECTIONS_MAX: usize = 4096;
const BACKLOG: i32 = 1024;
const GRACE_MS: u64 = 25_000;

pub const HELP: &str = "\
Stands in for an application: HTTP, gRPC health, TCP and UDP answers that say who it is

usage: fairlead-carrier echo --listen tcp:PORT|udp:PORT|sctp:PORT... [--name KEY=VALUE]... [--linger-ms N] [--grace-ms N]

  --listen WHERE      tcp:8080, udp:53 (every address, IPv4 and IPv6), tcp:10.0.0.1:80, udp:[::1]:53,
                      sctp:3868; repeatable
  --name KEY=VALUE    shown in HTTP answers; repeatable
  --linger-ms N       after SIGTERM, keep accepting that long before finishing (default 0)
  --grace-ms N        after SIGTERM, cut what has not finished by then (default 25000)

POD_NAME, POD_NAMESPACE and NODE_NAME of the environment say who it is (POD_NAME: else the host name).
A TCP port tells by the first bytes what it is asked: HTTP/1.1 and HTTP/2 get a page (JSON with Accept:
application/json), grpc.health.v1.Health/Check and Watch get SERVING, anything else gets each line back behind the
pod's name; who sends nothing for a second is greeted with `POD NODE PEER`. UDP answers `POD NODE PEER: DATA`. SCTP, in
the one-to-one style, answers as TCP does.

examples:
  POD_NAME=web-1 fairlead-carrier echo --listen tcp:8080 --listen udp:53
  curl -s -H 'Accept: application/json' http://127.0.0.1:8080/
";
