//! fairlead-carrier: what must not be JavaScript. `main` is a table of contents: one line a command.

use cli::{Failure, Outcome};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", overview());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    if matches!(name.as_str(), "--version" | "-V") {
        println!("fairlead-carrier {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("fairlead-carrier: no command {name:?}; see: fairlead-carrier --help");
        return ExitCode::from(2);
    };
    if rest.iter().take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h") {
        print!("{}", command.help);
        return ExitCode::SUCCESS;
    }
    match (command.run)(rest) {
        Ok(code) => code,
        Err(Failure::Usage(message)) => {
            eprintln!("fairlead-carrier {name}: {message}; see: fairlead-carrier {name} --help");
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("fairlead-carrier {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut text = String::from("usage: fairlead-carrier COMMAND [FLAGS] [-- CMD ARGS...]\n\n");
    for command in COMMANDS {
        let first = command.help.lines().next().unwrap_or_default();
        text += &format!("  {:<10} {}\n", command.name, first);
    }
    text + "\nfairlead-carrier COMMAND --help shows flags and examples.\n"
}

const COMMANDS: &[Command] = &[
    Command { name: "init", help: init::INIT_HELP, run: init::init },
    Command { name: "container", help: init::CONTAINER_HELP, run: init::container },
    Command { name: "enter", help: init::ENTER_HELP, run: init::enter },
    Command { name: "echo", help: echo::HELP, run: echo::run },
    Command { name: "probe", help: probe::HELP, run: probe::run },
    Command { name: "monitor", help: monitor::HELP, run: monitor::run },
    Command { name: "conntrack", help: conntrack::HELP, run: conntrack::run },
    Command { name: "load", help: load::HELP, run: load::run },
    Command { name: "nft", help: nft::HELP, run: nft::run },
    Command { name: "listen", help: relay::LISTEN_HELP, run: relay::listen },
    Command { name: "dns", help: DNS_HELP, run: |arguments| supervisor::run(&dns::Dns, arguments) },
    Command { name: "proxy", help: PROXY_HELP, run: |arguments| supervisor::run(&proxy::Proxy, arguments) },
    Command { name: "relay", help: relay::RELAY_HELP, run: relay::relay },
];

const DNS_HELP: &str = "\
Answers DNS queries from the tables that a controller sends.

usage: fairlead-carrier dns --socket PATH [--state DIR] [--http ADDRESS:PORT]... [--threads N] [--readers PATH]
                            [--node-local PATH] [--drain SECONDS]

  --socket PATH        where the controller connects (Unix socket; one at a time, the newest)
  --state DIR          keeps the tables, so that a restart answers without a controller; without it they are in memory
  --http ADDRESS:PORT  /health, /ready and /metrics there, too, whatever the Corefile says
  --node-local PATH    an agent of this node (fairlead agent --node-local-dns) connects there: it gives this host the addresses
                       that are bound, which need not be there yet, and sends their packets here while they are served
  --threads N          threads that answer (default: one a core)
  --drain SECONDS      how long connections may take to end once it is told to end, or another one started with the same
                       --socket has taken over (else as long as tables say)
  --readers PATH       where others (policies by domain name) read answers before clients get them (Unix socket)

One process holds sockets and tables, another one answers, and is started again when it dies. SIGTERM ends both after the
lameduck time of the Corefile; a second one at once.

example:
  fairlead-carrier dns --socket /run/fairlead/dns.sock --state /var/lib/fairlead/dns
";

const PROXY_HELP: &str = "\
Takes HTTP requests to backends, as the tables say that a controller sends.

usage: fairlead-carrier proxy --socket PATH [--state DIR] [--http ADDRESS:PORT]... [--threads N] [--drain SECONDS]

  --socket PATH        where the controller connects (Unix socket; one at a time, the newest)
  --state DIR          keeps routes, so that a restart serves without a controller; certificates and keys never get there
  --http ADDRESS:PORT  /health, /ready and /metrics there
  --threads N          threads that serve (default: one a core)
  --drain SECONDS      how long connections may take to end once it is told to end, or another one started with the same
                       --socket has taken over (else as long as tables say)

One process holds sockets and tables, another one serves, and is started again when it dies. SIGTERM ends both once the
connections have ended, or the time of their listeners is over; a second one at once.

example:
  fairlead-carrier proxy --socket /run/fairlead/proxy.sock --state /var/lib/fairlead/proxy --http 0.0.0.0:10254
";
