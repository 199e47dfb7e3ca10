use cli::{Failure, Flags, failed, usage};
use std::net::{IpAddr, SocketAddr};

/// Where to, and from where.
pub struct Places {
    to: Vec<SocketAddr>,
    from: Vec<IpAddr>,
    random: bool,
}

impl Places {
    pub fn read(flags: &Flags) -> Result<Places, Failure> {
        let mut to = Vec::new();
        for text in flags.all("to") {
            match text.strip_prefix('@') {
                Some(file) => {
                    let text = std::fs::read_to_string(file).map_err(failed(format!("cannot read {file}")))?;
                    parse(text.split_whitespace(), &mut to)?;
                }
                None => parse(text.split(','), &mut to)?,
            }
        }
        if to.is_empty() {
            return Err(usage("nowhere to go: give --to IP:PORT"));
        }
        let from = flags.all("from").flat_map(|text| text.split(','));
        let from = from.map(|text| text.parse().map_err(|_| usage(format!("--from {text} is no address"))));
        Ok(Places { to, from: from.collect::<Result<_, _>>()?, random: flags.has("random") })
    }

    /// The destination of the exchange with this number, and the source to use, if one was given.
    pub fn pick(&self, number: u64) -> (SocketAddr, Option<SocketAddr>) {
        let to = self.to[(if self.random { scatter(number) } else { number } % self.to.len() as u64) as usize];
        let usable = |from: &&IpAddr| from.is_ipv4() == to.is_ipv4();
        let count = self.from.iter().filter(usable).count() as u64;
        if count == 0 {
            return (to, None);
        }
        let from = self.from.iter().filter(usable).nth((number / self.to.len() as u64 % count) as usize);
        (to, from.map(|address| SocketAddr::new(*address, 0)))
    }

    /// The destination if there is exactly one.
    pub fn only(&self) -> Option<(SocketAddr, Option<SocketAddr>)> {
        (self.to.len() == 1).then(|| self.pick(0))
    }
}

fn parse<'a>(words: impl Iterator<Item = &'a str>, to: &mut Vec<SocketAddr>) -> Result<(), Failure> {
    for word in words.filter(|word| !word.is_empty()) {
        to.push(word.parse().map_err(|_| usage(format!("{word} is not IP:PORT")))?);
    }
    Ok(())
}

/// splitmix64: the same numbers in each run, spread evenly.
fn scatter(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &[&str]) -> Result<Places, Failure> {
        let words: Vec<String> = text.iter().map(|word| word.to_string()).collect();
        Places::read(&cli::parse(&words, &["to", "from"], &["random"]).unwrap())
    }

    #[test]
    fn destinations_take_turns() {
        let places = places(&["--to", "10.0.0.1:1,[::1]:2", "--to=10.0.0.2:3", "--from", "10.9.0.1,10.9.0.2"]).unwrap();
        let picked: Vec<_> = (0..6).map(|number| places.pick(number).0.port()).collect();
        assert_eq!(picked, [1, 2, 3, 1, 2, 3]);
        assert_eq!(places.pick(0).1, Some("10.9.0.1:0".parse().unwrap()));
        assert_eq!(places.pick(1).1, None);
        assert_eq!(places.pick(3).1, Some("10.9.0.2:0".parse().unwrap()));
    }

    #[test]
    fn random_reaches_all() {
        let places = places(&["--to", "10.0.0.1:1,10.0.0.1:2,10.0.0.1:3,10.0.0.1:4", "--random"]).unwrap();
        let mut hits = [0; 4];
        (0..4000).for_each(|number| hits[places.pick(number).0.port() as usize - 1] += 1);
        assert!(hits.iter().all(|count| (800..1200).contains(count)), "{hits:?}");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for wrong in [&["--to", "host:80"][..], &["--to", "10.0.0.1"], &[], &["--to", "1.1.1.1:1", "--from", "x"]] {
            assert!(matches!(places(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
