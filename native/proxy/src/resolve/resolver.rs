//! The thread that looks names up, and what became of it.

use super::lookup::{Failure, Found, Servers, look_up};
use super::schedule::{Schedule, Wanted};
use crate::record::labels::escaped;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// Takes what a name was found to be.
type Take = Arc<dyn Fn(&str, Vec<IpAddr>) + Send + Sync>;

/// Its thread starts with the first name.
pub struct Resolver {
    take: Take,
    wanted: Option<watch::Sender<Wanted>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// Wanted, and not looked up yet.
    new: BTreeSet<String>,
    /// There was a moment without new ones.
    tried: bool,
    /// Those whose last lookup failed.
    failing: BTreeMap<String, Failure>,
    /// Those that have addresses.
    found: BTreeSet<String>,
    /// By result.
    lookups: BTreeMap<&'static str, u64>,
}

impl Resolver {
    pub fn new(take: impl Fn(&str, Vec<IpAddr>) + Send + Sync + 'static) -> Resolver {
        Resolver { take: Arc::new(take), wanted: None, known: Arc::default() }
    }

    /// From now on these, and no others.
    pub fn want(&mut self, wanted: Wanted) {
        let mut known = lock(&self.known);
        let Known { new, failing, found, .. } = &mut *known;
        new.retain(|name| wanted.contains_key(name));
        failing.retain(|name, _| wanted.contains_key(name));
        found.retain(|name| wanted.contains_key(name));
        new.extend(wanted.keys().filter(|name| !failing.contains_key(*name) && !found.contains(*name)).cloned());
        drop(known);
        if let Some(sender) = &self.wanted {
            sender.send_if_modified(|held| {
                let differs = *held != wanted;
                *held = wanted;
                differs
            });
        } else if !wanted.is_empty() {
            let (sender, receiver) = watch::channel(wanted);
            let (take, known) = (self.take.clone(), self.known.clone());
            match begin(receiver, take, known) {
                Ok(()) => self.wanted = Some(sender),
                Err(error) => eprintln!("proxy: cannot look up names: {error}; requests to them get 503"),
            }
        }
    }

    /// Every name was looked up once, whatever came of it. One that comes later is no reason to take all others away.
    pub fn has_tried(&self) -> bool {
        let mut known = lock(&self.known);
        known.tried |= known.new.is_empty();
        known.tried
    }

    /// Names whose last lookup failed.
    pub fn failing(&self) -> BTreeMap<String, Failure> {
        lock(&self.known).failing.clone()
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        let known = lock(&self.known);
        let mut text = String::new();
        let _ = writeln!(text, "# HELP {LOOKUPS} Lookups of names that backends have, by result");
        let _ = writeln!(text, "# TYPE {LOOKUPS} counter");
        for (result, count) in &known.lookups {
            let _ = writeln!(text, "{LOOKUPS}{{result=\"{result}\"}} {count}");
        }
        let _ = writeln!(text, "# HELP {FAILING} Names whose last lookup failed");
        let _ = writeln!(text, "# TYPE {FAILING} gauge");
        for (name, failure) in known.failing.iter().take(SERIES_MAX) {
            let _ = writeln!(text, "{FAILING}{{name=\"{}\",result=\"{}\"}} 1", escaped(name), failure.word());
        }
        text
    }
}

fn begin(wanted: watch::Receiver<Wanted>, take: Take, known: Arc<Mutex<Known>>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || runtime.block_on(run(wanted, take, known));
    std::thread::Builder::new().name("resolver".to_string()).spawn(work).map(drop)
}

async fn run(mut wanted: watch::Receiver<Wanted>, take: Take, known: Arc<Mutex<Known>>) {
    let (mut schedule, mut servers, mut under_way) = (Schedule::default(), Servers::default(), JoinSet::new());
    schedule.want(&wanted.borrow_and_update(), Instant::now());
    loop {
        let next = schedule.next().filter(|_| under_way.len() < UNDER_WAY_MAX);
        tokio::select! {
            changed = wanted.changed() => match changed {
                Ok(()) => schedule.want(&wanted.borrow_and_update(), Instant::now()),
                Err(_) => return,
            },
            Some(ended) = under_way.join_next() => {
                let Ok((name, found)): Result<(String, Result<Found, Failure>), _> = ended else { continue };
                let valid = found.as_ref().ok().map(|found| found.valid);
                if schedule.end(&name, valid, Instant::now()) {
                    note(&mut lock(&known), &name, found.as_ref().err().copied());
                    if let Ok(found) = found {
                        take(&name, found.addresses);
                    }
                    lock(&known).new.remove(&name);
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {
                for name in schedule.begin(Instant::now(), UNDER_WAY_MAX - under_way.len()) {
                    let resolver = servers.resolver();
                    under_way.spawn(async move {
                        let found = timeout(PATIENCE, look_up(resolver, name.clone())).await;
                        (name, found.unwrap_or(Err(Failure::Timeout)))
                    });
                }
            }
        }
    }
}

/// Says what has changed.
fn note(known: &mut Known, name: &str, failure: Option<Failure>) {
    *known.lookups.entry(failure.map_or("answer", Failure::word)).or_default() += 1;
    let before = known.failing.get(name).copied();
    let Some(failure) = failure else {
        known.found.insert(name.to_string());
        if known.failing.remove(name).is_some() {
            eprintln!("proxy: {name} is found again");
        }
        return;
    };
    let held = known.found.contains(name);
    known.failing.insert(name.to_string(), failure);
    if before != Some(failure) {
        let so = if held { "the last addresses stay in use" } else { "requests to it get 503" };
        eprintln!("proxy: cannot look up {name}: {}; {so}; {}", failure.word(), failure.remedy());
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOKUPS: &str = "fairlead_proxy_lookups_total";
const FAILING: &str = "fairlead_proxy_name_failing";
const SERIES_MAX: usize = 1000;
const UNDER_WAY_MAX: usize = 32;
const PATIENCE: Duration = Duration::from_secs(15);
