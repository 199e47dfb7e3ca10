//! Who is who he says, by a table of users. Slow hashes are tried by threads of their own, so that nobody else waits; who was
//! right once is known again by a keyed hash of what he said.

use super::password::Hash;
use crate::table::Problem;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;
use wire::proxy;

pub struct Users {
    hashes: HashMap<String, Arc<Hash>>,
    /// Tried for names that there are not, so that the time it takes does not say so.
    decoy: Arc<Hash>,
    key: Key,
    known: Mutex<HashSet<[u8; 32]>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    Good,
    Bad,
    /// Too many wait to be tried.
    Busy,
}

struct Job {
    hash: Arc<Hash>,
    password: Vec<u8>,
    answer: oneshot::Sender<bool>,
}

impl Users {
    /// Lines that cannot be used are passed over while there are others. Of two lines with one name the first counts.
    pub fn new(row: &proxy::Users) -> Result<Users, Problem> {
        let mut hashes = HashMap::new();
        let mut problem = Problem::new("there is no line of a user", "write lines of htpasswd");
        for line in &row.lines {
            let Some((name, rest)) = line.split_once(':') else { continue };
            // htpasswd has a comment after another colon.
            match Hash::parse(rest.split(':').next().unwrap_or_default()) {
                Ok(hash) => drop(hashes.entry(name.to_string()).or_insert_with(|| Arc::new(hash))),
                Err(refused) => problem = refused,
            }
        }
        let decoy = hashes.values().find(|hash| hash.is_slow()).or_else(|| hashes.values().next()).cloned();
        let decoy = decoy.ok_or(problem)?;
        let key = Key::generate(HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new());
        let key = key.map_err(|_| Problem::new("there is no chance to be had", "try again"))?;
        Ok(Users { hashes, decoy, key, known: Mutex::default() })
    }

    /// `said`: `NAME:PASSWORD`.
    pub async fn ask(&self, said: &[u8]) -> Word {
        let Some(colon) = said.iter().position(|octet| *octet == b':') else { return Word::Bad };
        let (name, password) = (&said[..colon], &said[colon + 1..]);
        let found = std::str::from_utf8(name).ok().and_then(|name| self.hashes.get(name));
        let hash = found.unwrap_or(&self.decoy);
        if !hash.is_slow() {
            return word(hash.fits(password) && found.is_some());
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(sign(&self.key, said).as_ref());
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&tag) {
            return Word::Good;
        }
        let (answer, answered) = oneshot::channel();
        let job = Job { hash: hash.clone(), password: password.to_vec(), answer };
        if TRIERS.try_send(job).is_err() {
            return Word::Busy;
        }
        let fits = answered.await.unwrap_or(false) && found.is_some();
        if fits {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(tag);
        }
        word(fits)
    }
}

fn word(good: bool) -> Word {
    if good { Word::Good } else { Word::Bad }
}

/// A half of the processors at most: requests are served meanwhile.
static TRIERS: LazyLock<SyncSender<Job>> = LazyLock::new(|| {
    let (jobs, received) = sync_channel(JOBS_MAX);
    let received = Arc::new(Mutex::new(received));
    let count = thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2).min(4);
    for number in 0..count {
        let received = received.clone();
        // Without a thread, whoever asks is told that there are too many.
        let _ = thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&received));
    }
    jobs
});

fn work(received: &Mutex<Receiver<Job>>) {
    loop {
        let job = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { hash, password, answer }) = job else { return };
        // Nobody waits for one whose client has gone.
        if !answer.is_closed() {
            let _ = answer.send(hash.fits(&password));
        }
    }
}

const JOBS_MAX: usize = 256;
const KNOWN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn users(lines: &[&str]) -> Result<Users, Problem> {
        Users::new(&proxy::Users { lines: lines.iter().map(|line| line.to_string()).collect() })
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_is_right_is_known() {
        let users = users(&[
            "ann:$2b$04$MefFeAT84JacqEBkFUZ8dOvgctl/g63fvNuonKZHUnkFoqde6Z6tS:a comment",
            "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "old:abJnggxhB/yWI",
            "ann:{PLAIN}other",
        ])
        .unwrap();
        for (said, wanted) in [
            ("ann:secret", Word::Good),
            ("ann:secret", Word::Good),
            ("ann:other", Word::Bad),
            ("ann:", Word::Bad),
            ("bob:secret", Word::Good),
            ("bob:x", Word::Bad),
            ("eve:secret", Word::Bad),
            ("old:secret", Word::Bad),
            ("ann", Word::Bad),
            (":", Word::Bad),
        ] {
            assert_eq!(users.ask(said.as_bytes()).await, wanted, "{said}");
        }
        assert_eq!(users.known.lock().unwrap().len(), 1, "only one who was right, and slow to try, is kept");
    }

    #[test]
    fn lines_that_cannot_be_used_alone_are_refused() {
        assert!(users(&["old:abJnggxhB/yWI"]).is_err());
        assert!(users(&[]).is_err());
    }
}
