//! A worker without a supervisor, for benchmarks: serves the rows of a file on one address until standard input ends.
//! Usage: serve 127.0.0.1:5300 ROWS, where each line of ROWS is `{"table":..,"key":..,"row":{..}}`.

use dns::Dns;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::time::Instant;
use supervisor::{Changes, Kind, Place, Sockets};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, file] = &arguments[..] else { return Err("usage: serve IP:PORT ROWS".into()) };
    let address: SocketAddr = address.parse()?;
    let mut packed: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    let begun = Instant::now();
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let (Some(table), Some(key)) = (line["table"].as_str(), line["key"].as_str()) else {
            return Err("no row".into());
        };
        let mut row = Vec::new();
        Dns.pack(table, key, &line["row"].to_string(), &mut row).map_err(|refusal| refusal.reason)?;
        packed.entry(table.to_string()).or_default().push((key.to_string(), row));
    }
    eprintln!("packed in {:?}", begun.elapsed());
    let mut worker = Dns.worker(1)?;
    for table in Dns.tables() {
        let rows = packed.remove(*table).unwrap_or_default();
        let rows: Vec<(&str, Option<&[u8]>)> = rows.iter().map(|(key, row)| (&key[..], Some(&row[..]))).collect();
        let changes = Changes::of_rows(table, true, &rows);
        let begun = Instant::now();
        let committed = worker.commit(changes)?;
        eprintln!("{table}: {} rows in {:?}; {:?}", committed.rows, begun.elapsed(), committed.refused);
    }
    let udp = sys::datagram::bind(&format!("udp:{address}").parse()?)?;
    let tcp = sys::listener::tcp(&format!("tcp:{address}").parse()?, 1024, false)?;
    let place = Place { transport: "dns".to_string(), address, udp: true, tcp: true };
    worker.listen(vec![Sockets { place, udp: vec![udp], tcp: Some(tcp) }], &[]);
    println!("{}", worker.ask(&wire::protocol::Question::Stats)?);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
