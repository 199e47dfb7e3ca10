//! Says what changes in the kernel's network, one JSON line a change.

mod link;
mod nft;
mod route;
mod sets;
mod xtables;

use cli::{Failure, Flags, Outcome, failed, usage};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use sys::netlink::{Message, Netlink, messages};

/// Runs until who reads its output is gone.
pub fn run(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &["set", "xtables"], &["nft", "link", "address", "route", "neighbour", "list"])?;
    let sources = sources(&flags)?;
    let mut buffer = vec![0; RECEIVE_BYTES];
    // Events come from now on: what changes while the list is made is told after it.
    let listed = if flags.has("list") { route::addresses(&mut buffer)? } else { Vec::new() };
    let mut text: String = listed.into_iter().map(line).collect();
    let mut ready = event("ready");
    let mut generation = if flags.has("nft") { Some(nft::Generation::open()?) } else { None };
    if let Some(generation) = &generation {
        put(&mut ready, "generation", generation.last);
    }
    let mut extents = if flags.has("xtables") { Some(xtables::Extents::of(flags.all("xtables"))?) } else { None };
    let mut sets = if flags.has("set") { Some(sets::Sets::open(flags.all("set"))?) } else { None };
    let asks = generation.is_some() || extents.is_some() || sets.is_some();
    let pause = if asks { PollTimeout::from(ASK_MS) } else { PollTimeout::NONE };
    text += &line(ready);
    loop {
        if write(&text).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        text.clear();
        let Some(ready) = wait(&sources, pause)? else { return Ok(ExitCode::SUCCESS) };
        if let Some(now) = generation.as_mut().map(nft::Generation::changed).transpose()?.flatten() {
            let mut committed = event("nft-generation");
            put(&mut committed, "id", now);
            text += &line(committed);
        }
        if let Some(extents) = &mut extents {
            extents.changed()?.into_iter().for_each(|event| text += &line(event));
        }
        if let Some(sets) = &mut sets {
            sets.changed()?.into_iter().for_each(|event| text += &line(event));
        }
        for source in ready {
            match source.socket.receive(&mut buffer) {
                Ok(bytes) => {
                    messages(bytes).filter_map(|message| (source.read)(&message)).for_each(|event| text += &line(event))
                }
                Err(Errno::ENOBUFS) => {
                    // What waits in the socket is older than what was lost: a list made now would be undone by it.
                    if flags.has("list") {
                        return Err(Failure::Failed("events were lost: start again for a new list".to_string()));
                    }
                    let mut overrun = event("overrun");
                    put(&mut overrun, "source", source.name);
                    text += &line(overrun);
                }
                Err(error) => return Err(failed("cannot read from netlink")(error)),
            }
        }
    }
}

struct Source {
    name: &'static str,
    socket: Netlink,
    read: fn(&Message) -> Option<Event>,
}

type Event = Map<String, Value>;

fn sources(flags: &Flags) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let chosen = route::GROUPS.iter().filter(|(flag, _)| flags.has(flag));
    let groups = chosen.flat_map(|(_, groups)| groups.iter()).fold(0, |all, number| all | group(*number));
    if groups != 0 {
        let socket = Netlink::route(groups).map_err(failed("cannot listen to links and routes"))?;
        sources.push(Source { name: "route", socket, read: route::read });
    }
    if flags.has("list") && !flags.has("address") {
        return Err(usage("--list is of addresses: give --address, too"));
    }
    if sources.is_empty() && !["nft", "xtables", "set"].iter().any(|flag| flags.has(flag)) {
        return Err(usage(
            "nothing to monitor: give --nft, --xtables, --set, --link, --address, --route or --neighbour",
        ));
    }
    for source in &sources {
        source.socket.set_buffer(BUFFER_BYTES).map_err(failed("cannot set the receive buffer"))?;
    }
    Ok(sources)
}

fn group(number: u32) -> u32 {
    1 << (number - 1)
}

/// The sources that have something to say, none after a while; None when nobody reads our output any more.
fn wait(sources: &[Source], pause: PollTimeout) -> Result<Option<Vec<&Source>>, Failure> {
    let stdout = std::io::stdout();
    let mut polled: Vec<PollFd> =
        sources.iter().map(|source| PollFd::new(source.socket.as_fd(), PollFlags::POLLIN)).collect();
    polled.push(PollFd::new(stdout.as_fd(), PollFlags::empty()));
    loop {
        match poll(&mut polled, pause) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(failed("cannot wait for events")(error)),
        }
    }
    let raised = |fd: &PollFd| fd.any().unwrap_or(true);
    if polled.last().is_some_and(raised) {
        return Ok(None);
    }
    Ok(Some(sources.iter().zip(&polled).filter(|(_, fd)| raised(fd)).map(|(source, _)| source).collect()))
}

pub(crate) fn event(name: &str) -> Event {
    Map::from_iter([("event".to_string(), json!(name))])
}

pub(crate) fn put(event: &mut Event, name: &str, value: impl Into<Value>) {
    event.insert(name.to_string(), value.into());
}

fn line(event: Event) -> String {
    format!("{}\n", Value::Object(event))
}

fn write(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// One datagram of netlink is at most 32 KiB here (NLMSG_GOODSIZE).
const RECEIVE_BYTES: usize = 64 * 1024;
const BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// How often the ruleset's generation, the extent of a table or of a set is asked for: 5 us of work each time.
const ASK_MS: u8 = 100;

pub const HELP: &str = "\
Kernel network changes as JSON lines: nftables, links, addresses, routes, neighbours

usage: fairlead-carrier monitor [--nft] [--xtables TABLE]... [--set NAME]... [--link] [--address] [--route] [--neighbour] [--list]

The first line is {\"event\":\"ready\"}, with --nft also the ruleset's present \"generation\". Then, as they happen:
  {\"event\":\"nft-generation\",\"id\":7}    transactions were committed: as many as the number grew by; asked for each 100 ms
  {\"event\":\"xtables\",\"family\":4,\"table\":\"nat\",\"entries\":9,\"bytes\":1500}    a table of legacy iptables that --xtables names, while it is there; asked likewise
  {\"event\":\"set\",\"name\":\"peers\",\"members\":3}    an ipset that --set names; null: it is not there; asked likewise
  {\"event\":\"link\",\"op\":..,\"index\":2,\"name\":\"eth0\",\"up\":true,\"running\":true,\"mtu\":1500,\"address\":\"02:..\",\"kind\":\"vxlan\"}
  {\"event\":\"address\",\"op\":..,\"index\":2,\"address\":\"10.0.0.1\",\"prefixLength\":24}
  {\"event\":\"route\",\"op\":..,\"destination\":\"10.1.0.0\",\"prefixLength\":16,\"gateway\":\"10.0.0.2\",\"index\":2,\"table\":254,\"protocol\":4}
  {\"event\":\"neighbour\",\"op\":..,\"family\":\"ipv4\"|\"ipv6\"|\"bridge\",\"index\":2,\"address\":\"10.0.0.2\",\"linkAddress\":\"02:..\",\"state\":128}
  {\"event\":\"overrun\",\"source\":\"route\"}    events were lost: look at everything again
With --list, the addresses there are come before \"ready\", as new ones, and an overrun ends it with exit code 1.
Ends when its output is closed.

example:
  fairlead-carrier monitor --nft --link
";
