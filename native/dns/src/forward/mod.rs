//! The forward step: other servers are asked. What is here decides whom; `exchange` asks one.

mod connection;
mod dial;
mod exchange;
pub mod figures;
mod pool;
mod response;
pub mod stored;
mod upstream;

use crate::known::Wanted;
use crate::name::{Name, names, not_absolute, within};
use crate::packet;
use crate::record::OWNER;
use crate::reply::{Head, Reply, Transport, UDP_SIZE};
use dial::{ClientTls, client_tls};
use exchange::{Ask, Failure};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stored::Stored;
use supervisor::Problem;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use upstream::Upstream;
use wire::corefile::{self, Policy, UpstreamTransport};

pub struct Forward {
    from: Name,
    except: Vec<Name>,
    upstreams: Vec<Arc<Upstream>>,
    policy: Policy,
    tls: Option<Arc<ClientTls>>,
    read_timeout: Duration,
    attempts_max: usize,
    max_concurrent: usize,
    concurrent: AtomicUsize,
    failover: Vec<u16>,
    next: Vec<u16>,
    next_on_nodata: bool,
    fail_fast: bool,
    turn: AtomicUsize,
}

/// What became of asking.
pub enum Told {
    /// And who said so.
    Answer(Stored, SocketAddr),
    /// Too much is being asked already.
    Busy(String),
    /// And why.
    Nothing(String),
}

impl Forward {
    pub fn new(step: &corefile::Forward) -> Result<Forward, Problem> {
        let (tls, mut upstreams) = (Arc::new(client_tls(&step.tls)), Vec::new());
        for upstream in &step.upstreams {
            upstreams.push(Arc::new(Upstream::new(upstream, step, &tls)?));
        }
        if upstreams.is_empty() {
            return Err(Problem::new("forward has no upstream", "name one"));
        }
        let attempts = step.max_connect_attempts.map_or(upstreams.len() * 2, |count| count as usize);
        Ok(Forward {
            from: Name::parse(&step.from).map_err(not_absolute)?,
            except: names(&step.except)?,
            upstreams,
            policy: step.policy,
            tls: step.upstreams.iter().any(|upstream| upstream.transport == UpstreamTransport::Tls).then_some(tls),
            read_timeout: Duration::from_millis(step.read_timeout_ms.into()),
            // Never fewer than two: a lost datagram is not a failed query.
            attempts_max: if attempts == 0 { ATTEMPTS_MAX } else { attempts.clamp(2, ATTEMPTS_MAX) },
            max_concurrent: step.max_concurrent.filter(|most| *most > 0).map_or(CONCURRENT_MAX, |most| most as usize),
            concurrent: AtomicUsize::new(0),
            failover: step.failover.clone(),
            next: step.next.clone(),
            next_on_nodata: step.next_on_nodata,
            fail_fast: step.fail_fast,
            turn: AtomicUsize::new(0),
        })
    }

    /// Reads the files of TLS, if there is an upstream for them.
    pub fn load(&self) -> Result<(), Problem> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.load())
    }

    pub fn matches(&self, name: &[u8]) -> bool {
        within(name, self.from.wire()) && !self.except.iter().any(|zone| within(name, zone.wire()))
    }

    /// Who is asked, and whether it is down.
    pub fn upstreams(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        self.upstreams.iter().map(|upstream| (upstream.dial.address, upstream.is_down()))
    }

    /// Whether the Corefile has the next step asked after such an answer.
    pub fn passes(&self, stored: &Stored) -> bool {
        self.next.contains(&stored.code) || (self.next_on_nodata && stored.code == packet::NO_ERROR && stored.denies())
    }

    /// Asks until an upstream answers or the time is over: the next one after a while, without giving up on the one
    /// before, and at once when one fails.
    pub async fn ask(&self, wanted: &Wanted, dnssec_ok: bool, checking_disabled: bool) -> Told {
        let _one = Concurrent(&self.concurrent);
        if self.concurrent.fetch_add(1, Ordering::Relaxed) >= self.max_concurrent {
            figures::REJECTED.fetch_add(1, Ordering::Relaxed);
            return Told::Busy(format!("concurrent queries exceeded maximum {}", self.max_concurrent));
        }
        let order = self.order();
        if order.is_empty() {
            return Told::Nothing("no healthy proxies".to_string());
        }
        let (begun, mut tries) = (Instant::now(), JoinSet::new());
        let (end, mut next, mut asked) = (begun + BUDGET, begun, 0);
        let (mut fallback, mut why) = (None, "i/o timeout".to_string());
        loop {
            let may_ask = asked < self.attempts_max;
            if !may_ask && tries.is_empty() {
                return fallback.map_or(Told::Nothing(why), |(stored, from)| Told::Answer(stored, from));
            }
            tokio::select! {
                biased;
                () = sleep_until(end) => return fallback.map_or(Told::Nothing(why), |(stored, from)| Told::Answer(stored, from)),
                Some(tried) = tries.join_next(), if !tries.is_empty() => match tried {
                    Ok((Ok(stored), from)) if self.is_answer(&stored) => return Told::Answer(stored, from),
                    Ok((Ok(stored), from)) => {
                        fallback = Some((stored, from));
                        next = Instant::now();
                    }
                    Ok((Err(Failure { reason, .. }), _)) => (next, why) = (Instant::now(), reason),
                    Err(_) => next = Instant::now(),
                },
                () = sleep_until(next), if may_ask => {
                    let upstream = order[asked % order.len()].clone();
                    let mut ask = Ask::new(&wanted.name, wanted.kind, dnssec_ok, checking_disabled);
                    ask.tell(&wanted.options);
                    let (from, patience) = (upstream.dial.address, self.read_timeout);
                    tries.spawn_local(async move { (upstream.ask(ask, patience).await, from) });
                    asked += 1;
                    next = Instant::now() + HEDGE;
                }
            }
        }
    }

    /// SERVFAIL is a reason to ask elsewhere, and so is what the Corefile says.
    fn is_answer(&self, stored: &Stored) -> bool {
        let elsewhere = stored.code == packet::SERVER_FAILURE || self.failover.contains(&stored.code);
        self.upstreams.len() == 1 || !elsewhere
    }

    /// The upstreams to ask, in turn. If all are down, one of them all the same: the checks may be what is broken.
    fn order(&self) -> Vec<Arc<Upstream>> {
        let count = self.upstreams.len();
        let first = match self.policy {
            Policy::Sequential => 0,
            Policy::RoundRobin => self.turn.fetch_add(1, Ordering::Relaxed) % count,
            Policy::Random => random() as usize % count,
        };
        let all = (0..count).map(|at| &self.upstreams[(first + at) % count]);
        let up: Vec<_> = all.filter(|upstream| !upstream.is_down()).cloned().collect();
        if up.is_empty() {
            figures::ALL_DOWN.fetch_add(1, Ordering::Relaxed);
        }
        if up.is_empty() && !self.fail_fast { vec![self.upstreams[random() as usize % count].clone()] } else { up }
    }
}

/// For tests: reads a message as an upstream's answer to a question for a.org, A, with id 0, and writes it into one of ours.
/// Returns the octets, if it is an answer.
pub fn forged(message: &[u8]) -> Option<Vec<u8>> {
    const ASKED: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x01a\x03org\0\0\x01\0\x01";
    let stored = response::read(message, ASKED, ASKED.len() - packet::HEADER_BYTES).ok()?;
    let query = packet::parse(ASKED).ok()?;
    let mut room = vec![0; usize::from(u16::MAX)];
    let transport = if stored.counts[0] % 2 == 0 { Transport::Udp } else { Transport::Tcp };
    let mut reply = Reply::new(&mut room, &query, transport, UDP_SIZE);
    reply.turn = message.len();
    stored.put(&mut reply, OWNER, Some(30));
    let length = reply.finish(&query, Head { code: stored.code, ..Head::default() });
    room.truncate(length);
    Some(room)
}

/// For native/fuzz: what `others` (a header without id, and what is behind the question) is as the answer to a question.
pub fn stated(name: &[u8], kind: u16, others: &[u8]) -> Option<Stored> {
    let (head, records) = others.split_at_checked(packet::HEADER_BYTES - 2)?;
    let question = [name, &kind.to_be_bytes(), &packet::IN.to_be_bytes()].concat();
    let asked = [&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question[..]].concat();
    response::read(&[&[0, 0], head, &question, records].concat(), &asked, question.len()).ok()
}

struct Concurrent<'a>(&'a AtomicUsize);

impl Drop for Concurrent<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nobody outside can tell the next one: ChaCha or the like behind getrandom(2), 256 at a time.
pub fn random() -> u32 {
    thread_local! {
        static POOL: Cell<([u32; 64], usize)> = const { Cell::new(([0; 64], 64)) };
    }
    POOL.with(|cell| {
        let (mut pool, mut at) = cell.get();
        if at == pool.len() {
            let mut octets = [0; 256];
            sys::random::fill(&mut octets);
            pool.iter_mut().zip(octets.chunks_exact(4)).for_each(|(number, from)| {
                *number = u32::from_ne_bytes([from[0], from[1], from[2], from[3]]);
            });
            at = 0;
        }
        cell.set((pool, at + 1));
        pool[at]
    })
}

/// glibc gives up after 5 s.
const BUDGET: Duration = Duration::from_secs(4);
/// An upstream that has not answered by then is not the only one asked.
const HEDGE: Duration = Duration::from_millis(600);
const ATTEMPTS_MAX: usize = 8;
const CONCURRENT_MAX: usize = 4096;
