//! Traffic for tests and benches, to the addresses given and no others.

mod canned;
mod connect;
mod dns;
mod exchange;
mod fixed;
mod hold;
mod latency;
mod packets;
mod places;
mod report;
mod serve;
mod sink;
mod steady;
mod stop;
mod stream;

use cli::{Flags, Outcome, failed, usage};

pub fn run(arguments: &[String]) -> Outcome {
    let Some((what, rest)) = arguments.split_first() else { return Err(usage(KINDS)) };
    sys::limits::raise_open_files().map_err(failed("cannot raise the limit of open files"))?;
    let parsed = |values: &[&str], switches: &[&str]| -> Result<Flags, cli::Failure> {
        let flags = cli::parse(rest, values, switches)?;
        match flags.rest.first() {
            Some(word) => Err(usage(format!("unexpected {word:?}"))),
            None => Ok(flags),
        }
    };
    match what.as_str() {
        "connect" => connect::run(&parsed(connect::VALUES, connect::SWITCHES)?),
        "dns" => dns::run(&parsed(dns::VALUES, dns::SWITCHES)?),
        "canned" => canned::run(&parsed(canned::VALUES, &[])?),
        "serve" => serve::run(&parsed(serve::VALUES, serve::SWITCHES)?),
        "hold" => hold::run(&parsed(hold::VALUES, &["udp"])?),
        "steady" => steady::run(&parsed(steady::VALUES, steady::SWITCHES)?),
        "stream" => stream::run(&parsed(stream::VALUES, &[])?),
        "packets" => packets::run(&parsed(packets::VALUES, &[])?),
        _ => Err(usage(KINDS)),
    }
}

const KINDS: &str = "say connect, hold, steady, stream, packets, dns, canned or serve";

pub const HELP: &str = "\
Traffic for tests and benches, to the addresses given and no others

usage: fairlead-carrier load serve   --listen tcp:PORT|udp:PORT... [--threads N] [--sink]
       fairlead-carrier load connect --to PLACE... [--seconds S | --count N] [--threads N] [--rate R] [--random]
                                     [--from IP]... [--hold] [--no-exchange] [--udp [--source-port P]]
       fairlead-carrier load hold    --to PLACE... --count N [--interval-ms N] [--from IP]... [--udp]
       fairlead-carrier load steady  --to PLACE... --rate R [--from IP]... [--no-exchange] [--udp [--source-port P]]
       fairlead-carrier load stream  --to PLACE [--from IP] [--seconds S] [--bytes N]
       fairlead-carrier load packets --to PLACE [--from IP] [--seconds S] [--count N] [--size BYTES]
       fairlead-carrier load dns     --to IP:PORT --names FILE [--type N] [--seconds S] [--outstanding N] [--threads N]
                                     [--rate R | --tcp]
       fairlead-carrier load canned  --listen udp:IP:PORT

PLACE is IP:PORT, [IPv6]:PORT, several with commas between, or @FILE with one a line. --from (repeatable) is the source.
An exchange is: connect, send a byte, read it back, close with RST (no TIME_WAIT is left). --no-exchange: connect only.
--timeout-ms (default 2000) bounds each exchange.

serve gives bytes back; it prints {\"ready\":true} when it listens. With --sink it takes them, for stream and packets.
connect makes exchanges as fast as it can or at --rate a second, with --threads (default 8) at once, for --seconds (default 5)
  or --count of them. With --hold it leaves the connections open until standard input ends. Prints, on one line:
  connections, failed (by error), failedTotal, seconds, cps, p50Us, p99Us, maxUs, userSeconds, systemSeconds, cpuSeconds
hold opens --count connections that each exchange a byte every --interval-ms (default 50). It prints {\"ready\":true,..} when
  all are open and, when standard input ends or on SIGTERM: connections, exchanged, broken, causes, longestMs.
steady begins --rate exchanges a second, evenly, until standard input ends or SIGTERM. It prints {\"ready\":true} after the
  first success and at the end what connect prints, and longestGapMs: the longest time without a success.
stream fills one TCP connection to a sink for --seconds (default 5) or --bytes of it. Prints, of what arrived there:
  bytes, seconds, gbitPerSecond, userSeconds, systemSeconds, cpuSeconds
packets sends datagrams of --size bytes (default 22: frames of 64) of one flow to a sink, as fast as it can. Prints:
  sent, arrived, failed, seconds, pps (of those that arrived), userSeconds, systemSeconds, cpuSeconds
dns asks for the names in FILE (a name on each line, or a name and the number of a type), one after the other, --outstanding
  (default 64) at a time over UDP, for --seconds (default 5). --tcp: pipelined, over 8 connections a thread. --rate: as many a
  second, evenly; their times count from when they were due, and it keeps a core busy.
  Prints: answers, codes (by response code), empty (no record), lost, seconds, qps, p50Us, p99Us, maxUs, cpuSeconds.
canned answers every query with the same address: the least that a DNS server with these system calls can cost.
--udp: a datagram and its answer instead, a new source port each; --source-port sends all from one socket.

examples:
  fairlead-carrier load serve --listen tcp:9000 --listen udp:9000
  fairlead-carrier load connect --to 10.96.0.1:80,10.96.0.2:80 --threads 8 --seconds 5
  fairlead-carrier load connect --to @/tmp/places --count 10000
";
