//! Connection tracking: deletes exactly what is stale, counts what is there.

mod count;
mod entry;
mod frontends;
mod stale;

use cli::{Outcome, usage};
use std::process::ExitCode;

pub fn run(arguments: &[String]) -> Outcome {
    let flags = cli::parse(arguments, &[], &[])?;
    match flags.rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stale"] => {
            let frontends = frontends::read(std::io::stdin().lock())?;
            println!("{}", serde_json::json!({ "families": stale::delete(&frontends)? }));
        }
        ["count"] => {
            let (count, max) = count::count()?;
            println!("{{\"count\":{count},\"max\":{max}}}");
        }
        _ => return Err(usage("say stale or count")),
    }
    Ok(ExitCode::SUCCESS)
}

pub const HELP: &str = "\
Connection tracking: delete stale entries, count entries

usage: fairlead-carrier conntrack stale < FRONTENDS
       fairlead-carrier conntrack count

stale reads one JSON line for each frontend in question:
  {\"ip\": \"10.96.0.10\", \"protocol\": \"udp\", \"port\": 53, \"endpoints\": [\"10.1.1.2:53\", \"10.1.2.9:53\"]}
  {\"ip\": \"fd00::a\", \"protocol\": \"udp\", \"port\": 53, \"endpoints\": [\"[fd00:1::2]:53\"]}
and deletes the entries that were made to such a frontend and are not answered by one of its endpoints, those that were
never translated included; without endpoints, all of that frontend. No other entry is touched. If a line cannot be read,
nothing is deleted. Connection tracking is listed once for each address family asked about; the kernel leaves out other
protocols if it can. Prints
  {\"families\": [{\"family\": \"IPv4\", \"scanned\": entries looked at, \"deleted\": entries deleted, \"seconds\": time taken}]}

count prints {\"count\": entries of this network namespace, \"max\": how many the table holds}.

Needs NET_ADMIN in the network namespace it looks at.
";
