//! Queries that take asking others, on the event loop: what the chain cannot say is fetched, once for all who ask for it
//! meanwhile, and then the chain is run again with what was learnt.

use crate::answer::{Asker, Outcome, State, answer_knowing, failed, wanted};
use crate::cache::{Hit, Key};
use crate::forward::stored::Stored;
use crate::forward::{Forward, Told};
use crate::known::{Fetched, Known, Wanted};
use crate::later::{Later, Miss, Reach};
use crate::lookup::Lookup;
use crate::name::within;
use crate::packet::{self, Query};
use crate::step::Chain;
use arc_swap::ArcSwap;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_local;
use tokio::time::timeout;

pub struct Resolver {
    state: Arc<ArcSwap<State>>,
    room: RefCell<Vec<u8>>,
    /// By forward step and key: who waits for what is being fetched.
    flights: RefCell<HashMap<Flight, Vec<oneshot::Sender<Fetched>>>>,
    pub under_way: Arc<Semaphore>,
}

type Flight = (usize, Box<[u8]>);

impl Resolver {
    pub fn new(state: Arc<ArcSwap<State>>) -> Rc<Resolver> {
        let room = RefCell::new(vec![0; usize::from(u16::MAX)]);
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        Rc::new(Resolver { state, room, flights: RefCell::default(), under_way })
    }

    pub async fn answer(self: Rc<Resolver>, miss: Miss) {
        let Miss { packet, place, asker, reach } = miss;
        let Ok(query) = packet::parse(&packet) else { return };
        let state = self.state.load_full();
        let Some(listener) = state.listener(&place) else { return };
        let served = listener.zones.iter().find(|(zone, _)| within(query.name.wire(), zone.wire()));
        let Some((_, served)) = served else { return };
        let refresh = matches!(reach, Reach::Nobody);
        let mut known = Known::default();
        let learning = self.learn(&state, &served.chain, &query, (&asker, listener.place.address), refresh, &mut known);
        // What is known when the time is over is what there is: without it the answer is SERVFAIL.
        match served.chain.patience {
            Some(patience) => drop(timeout(patience.saturating_sub(asker.came.elapsed()), learning).await),
            None => learning.await,
        }
        if refresh {
            return;
        }
        let (answer, sighting) = {
            let mut room = self.room.borrow_mut();
            let outcome = answer_knowing(&state.tables, listener, &packet, asker, &mut room, Some(&known));
            let mut sighting = None;
            let length = match outcome {
                Outcome::Answer(length) | Outcome::Renew(length) => length,
                Outcome::Hold(length, seen) => {
                    sighting = Some(seen);
                    length
                }
                Outcome::Later => failed(&packet, asker.transport, &mut room),
                Outcome::Nothing => 0,
            };
            (room[..length].to_vec(), sighting)
        };
        let reach = match sighting {
            Some(sighting) => match state.tables.observers.watch.hold(sighting, &answer, reach) {
                Ok(()) => return,
                Err(reach) => reach,
            },
            None => reach,
        };
        if !answer.is_empty() {
            reach.answer(&answer).await;
        }
    }

    /// What the chain wants to know of this question: of its name, and of those that it is an alias of.
    async fn learn(
        self: &Rc<Resolver>,
        state: &State,
        chain: &Arc<Chain>,
        query: &Query<'_>,
        (asker, server): (&Asker, SocketAddr),
        refresh: bool,
        known: &mut Known,
    ) {
        for _ in 0..FETCHES_MAX {
            let tables = &state.tables;
            let lookup = Lookup { tables, chain, query, known: Some(known), asker, server, options: &[], trace: None };
            let Some(wanted) = wanted(&lookup, &mut self.room.borrow_mut()) else { break };
            let Some(forward) = chain.forward(wanted.step) else { break };
            let fetched = self.fetch(chain, forward, &wanted, query, refresh).await;
            known.0.push((wanted, fetched));
        }
    }

    async fn fetch(
        self: &Rc<Resolver>,
        chain: &Arc<Chain>,
        forward: &Arc<Forward>,
        wanted: &Wanted,
        query: &Query<'_>,
        refresh: bool,
    ) -> Fetched {
        let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
        let mut key = Key::new(&wanted.name, wanted.kind, dnssec_ok, query.checking_disabled);
        key.tell(&wanted.options);
        let cache = chain.cache.as_ref().filter(|cache| cache.holds(&wanted.name));
        let hit = if refresh { None } else { cache.and_then(|cache| cache.get(&key, Instant::now(), true)) };
        let of =
            |stored: &Stored, ttl| Fetched::Answer { stored: Arc::new(stored.clone()), ttl: Some(ttl), upstream: None };
        let (stale, patience) = match hit {
            Some(Hit::Fresh { kept, ttl, .. }) => return of(&kept.stored, ttl),
            Some(Hit::Stale { kept, ttl, patience }) => (Some(of(&kept.stored, ttl)), patience),
            None => (None, None),
        };
        let fetching = self.fly(chain, forward, key, wanted, query.checking_disabled);
        let fetched = match patience {
            Some(patience) => timeout(patience, fetching).await.unwrap_or(Fetched::Nothing),
            None => fetching.await,
        };
        match (fetched, stale) {
            (Fetched::Answer { stored, .. }, Some(stale)) if stored.code == packet::SERVER_FAILURE => stale,
            (answer @ Fetched::Answer { .. }, _) => answer,
            (_, Some(stale)) => stale,
            (other, None) => other,
        }
    }

    /// Waits for a fetch under way, or begins one, which goes on even if nobody waits any more.
    async fn fly(
        self: &Rc<Resolver>,
        chain: &Arc<Chain>,
        forward: &Arc<Forward>,
        key: Key,
        wanted: &Wanted,
        checking_disabled: bool,
    ) -> Fetched {
        let (sender, receiver) = oneshot::channel();
        let flight: Flight = (Arc::as_ptr(forward) as usize, key.octets().into());
        let first = {
            let mut flights = self.flights.borrow_mut();
            let waiting = flights.entry(flight.clone()).or_default();
            waiting.push(sender);
            waiting.len() == 1
        };
        if first {
            let (resolver, chain, forward, wanted) = (self.clone(), chain.clone(), forward.clone(), wanted.clone());
            spawn_local(async move {
                let told = forward.ask(&wanted, key.dnssec_ok(), checking_disabled).await;
                let failed = match &told {
                    Told::Answer(..) => None,
                    Told::Busy(why) => Some((packet::REFUSED, why)),
                    Told::Nothing(why) => Some((packet::SERVER_FAILURE, why)),
                };
                if let (Some((code, why)), Some(errors)) = (failed, &chain.errors) {
                    errors.tell(code, &wanted.name, wanted.kind, why);
                }
                let cache = chain.cache.as_ref().filter(|cache| cache.holds(&wanted.name));
                let fetched = match told {
                    Told::Answer(stored, upstream) => {
                        let ttl = cache.and_then(|cache| cache.keep(&key, &stored, Instant::now()));
                        Fetched::Answer { stored: Arc::new(stored), ttl, upstream: Some(upstream) }
                    }
                    Told::Busy(_) => Fetched::Refused,
                    Told::Nothing(_) => {
                        let failure = Stored::empty(packet::SERVER_FAILURE);
                        cache.and_then(|cache| cache.keep(&key, &failure, Instant::now()));
                        Fetched::Nothing
                    }
                };
                let waiting = resolver.flights.borrow_mut().remove(&flight).unwrap_or_default();
                waiting.into_iter().for_each(|sender| drop(sender.send(fetched.clone())));
            });
        }
        receiver.await.unwrap_or(Fetched::Nothing)
    }
}

/// Asks for a name anew, for nobody.
pub fn refresh(later: &Later, packet: &[u8], place: &supervisor::Place, asker: Asker) {
    let _ = later.ask(packet, place, asker, Reach::Nobody, &mut []);
}

/// Of one question: the name, what it is an alias of, and what layers make of it.
const FETCHES_MAX: usize = 12;
/// Queries at a time; more wait in the queue.
pub const UNDER_WAY_MAX: usize = 8192;
