//! The worker: takes tables into force and serves sockets.

use crate::answer::{Listener, Served, State};
use crate::cache_metrics;
use crate::enabled;
use crate::explain::explain;
use crate::forward::figures;
use crate::kind::{places, server};
use crate::later::Later;
use crate::metrics::{Counters, render};
use crate::name::names;
use crate::notes::{self, Notes};
use crate::offline::answer_offline;
use crate::serving::{Order, Serving};
use crate::sets::Sets;
use crate::step::{Chain, Step};
use crate::stream::Timeouts;
use crate::table::Set;
use crate::tables::Observers;
use crate::tls;
use crate::udp;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use supervisor::{Change, Changes, Committed, Place, Problem, Sockets, Worker};
use wire::protocol::{Question, RefusedRow, Tallied, Tally};
use wire::servers::{ServerRow, TABLE as SERVERS};

pub struct DnsWorker {
    state: Arc<ArcSwap<State>>,
    sets: Sets,
    /// By key.
    blocks: BTreeMap<String, Block>,
    /// Of whoever sent them.
    servers_epoch: String,
    /// They go on counting when a server block is replaced. By server and zone.
    counters: BTreeMap<(String, String), Arc<Counters>>,
    datagrams: Vec<(Place, udp::Server)>,
    lanes: usize,
    later: Later,
    serving: Serving,
}

struct Block {
    row: ServerRow,
    chain: Arc<Chain>,
    /// Numbers of those that its steps name.
    sets: Vec<usize>,
}

impl DnsWorker {
    pub fn start() -> Result<DnsWorker, String> {
        let state = Arc::new(ArcSwap::default());
        let (later, misses) = Later::queue();
        let serving = Serving::start(state.clone(), later.clone(), misses)?;
        Ok(DnsWorker {
            state,
            sets: Sets::default(),
            blocks: BTreeMap::new(),
            servers_epoch: String::new(),
            counters: BTreeMap::new(),
            datagrams: Vec::new(),
            lanes: 1,
            later,
            serving,
        })
    }

    /// For native/fuzz: see `offline`.
    pub fn answer(
        &self,
        packet: &[u8],
        peer: SocketAddr,
        stream: bool,
        others: &[u8],
        room: &mut [u8],
    ) -> Option<usize> {
        answer_offline(&self.state.load(), packet, peer, stream, others, room)
    }

    fn observers(&self) -> Arc<Observers> {
        self.state.load().tables.observers.clone()
    }

    fn commit_names(&mut self, changes: Changes) -> Result<Committed, String> {
        let mut tables = self.state.load().tables.clone();
        let others = changes.epoch() != self.servers_epoch;
        let kept = self.blocks.values().filter(|_| others).flat_map(|block| block.sets.iter().copied()).collect();
        tables.sets = self.sets.commit(&tables.sets, changes, &kept)?;
        tables.synced = true;
        tables.serial = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        let rows = tables.sets.iter().map(|set| set.rows).sum();
        let listeners = self.state.load().listeners.clone();
        self.state.store(Arc::new(State { tables, listeners }));
        Ok(Committed { refused: Vec::new(), rows })
    }

    fn commit_servers(&mut self, mut changes: Changes) -> Result<Committed, String> {
        let mut blocks = BTreeMap::new();
        if !changes.whole() {
            blocks = std::mem::take(&mut self.blocks);
        }
        let (mut refused, mut fresh) = (Vec::new(), Vec::new());
        while let Some(change) = changes.next().map_err(|error| format!("cannot read changes: {error}"))? {
            let (Change::Put(key, _) | Change::Drop(key)) = change;
            let key = key.to_string();
            blocks.remove(&key);
            let Change::Put(_, row) = change else { continue };
            match block(row, &mut self.sets) {
                Ok(block) => {
                    fresh.extend(block.chain.circle.is_some().then(|| key.clone()));
                    blocks.insert(key, block);
                }
                Err(Problem { reason, remedy }) => refused.push(RefusedRow { key, reason, remedy }),
            }
        }
        self.blocks = blocks;
        self.servers_epoch = changes.epoch().to_string();
        let mut tables = self.state.load().tables.clone();
        tables.sets = self.sets.follow(tables.sets, changes.epoch());
        let listeners = Arc::new(self.listeners());
        self.state.store(Arc::new(State { tables, listeners }));
        for block in fresh.iter().filter_map(|key| self.blocks.get(key)) {
            if let Some(place) = places(&block.row).next() {
                self.serving.order(Order::Watch(place, Arc::downgrade(&block.chain)));
            }
        }
        Ok(Committed { refused, rows: self.blocks.len() })
    }

    fn listeners(&mut self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for block in self.blocks.values() {
            for place in places(&block.row) {
                let server = server(&place);
                let at = listeners.iter().position(|listener| listener.place == place).unwrap_or_else(|| {
                    listeners.push(Listener {
                        place,
                        zones: Vec::new(),
                        timeouts: Timeouts::default(),
                        tls: Vec::new(),
                    });
                    listeners.len() - 1
                });
                listeners[at].tls.extend(block.chain.tls.clone());
                if let Some(timeouts) = block.chain.timeouts.filter(|_| listeners[at].timeouts == Timeouts::default()) {
                    listeners[at].timeouts = timeouts;
                }
                for zone in names(&block.row.zones).unwrap_or_default() {
                    let label = (server.clone(), zone.to_string());
                    let fresh = || Arc::new(Counters::new(&label.0, &label.1));
                    let counters = self.counters.entry(label.clone()).or_insert_with(fresh).clone();
                    listeners[at].zones.push((zone, Arc::new(Served { chain: block.chain.clone(), counters })));
                }
            }
        }
        for listener in &mut listeners {
            listener.zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.wire().len()));
        }
        listeners
    }
}

impl Worker for DnsWorker {
    fn commit(&mut self, changes: Changes) -> Result<Committed, String> {
        if changes.table() == SERVERS { self.commit_servers(changes) } else { self.commit_names(changes) }
    }

    fn listen(&mut self, opened: Vec<Sockets>, closed: &[Place]) {
        self.datagrams.retain(|(place, _)| !closed.contains(place));
        closed.iter().for_each(|place| self.serving.order(Order::Close(place.clone())));
        for Sockets { place, udp, tcp } in opened {
            for socket in udp {
                self.lanes += 1;
                let (state, later) = (self.state.clone(), self.later.clone());
                match udp::Server::start(socket, place.clone(), state, later, self.lanes) {
                    Ok(server) => self.datagrams.push((place.clone(), server)),
                    Err(error) => eprintln!("dns: cannot serve {}: {error}", place.address),
                }
            }
            if let Some(listener) = tcp {
                self.serving.order(Order::Accept(place, listener));
            }
        }
    }

    fn unready(&self) -> Vec<String> {
        self.observers().top.prune(Instant::now());
        let state = self.state.load();
        let waits = |step: &Step| match step {
            Step::Kubernetes(step) => !state.tables.synced || state.tables.sets[step.set].rows == 0,
            step => !state.tables.synced && !step.sets().is_empty(),
        };
        let waits = self.blocks.values().any(|block| block.chain.steps.iter().any(waits));
        if waits { vec!["kubernetes".to_string()] } else { Vec::new() }
    }

    fn ask(&mut self, question: &Question) -> Result<Value, String> {
        match question {
            Question::Metrics => {
                let mut text = render(self.counters.values().map(|counters| &**counters));
                enabled::render(&mut text, self.blocks.values().map(|block| &block.row));
                let caches = self.blocks.values().filter_map(|block| {
                    let server = server(&places(&block.row).next()?);
                    let labels = format!("server=\"{server}\",zones=\"{}\"", block.row.zones.join(","));
                    Some((labels, block.chain.cache.as_ref()?))
                });
                cache_metrics::render(&mut text, caches);
                tls::render(&mut text);
                figures::render(&mut text);
                self.observers().watch.render(&mut text);
                Ok(Value::String(text))
            }
            Question::Stats => {
                let state = self.state.load();
                let sets = self.sets.names().filter_map(|(name, number)| Some((name, state.tables.sets.get(number)?)));
                let shown = |set: &Set| json!({ "rows": set.rows, "names": set.names(), "bytes": set.bytes() });
                let sets: serde_json::Map<String, Value> = sets.map(|(name, set)| (name.clone(), shown(set))).collect();
                let chains = self.blocks.values().map(|block| &block.chain);
                let forwards = chains.flat_map(|chain| (0..chain.steps.len()).filter_map(|step| chain.forward(step)));
                let upstreams: Vec<Value> = forwards
                    .flat_map(|forward| forward.upstreams())
                    .collect::<BTreeMap<_, _>>()
                    .into_iter()
                    .map(|(address, down)| json!({ "address": address, "down": down }))
                    .collect();
                Ok(json!({
                    "sets": sets,
                    "servers": self.blocks.len(),
                    "synced": state.tables.synced,
                    "upstreams": upstreams,
                    "readers": state.tables.observers.watch.readers(),
                }))
            }
            Question::Explain(asked) => explain(&self.state.load(), asked),
            Question::Tally(Tally { seconds }) => self.observers().top.begin(*seconds, Instant::now()).map(Value::from),
            Question::Tallied(Tallied { id }) => self.observers().top.end(*id, Instant::now()),
        }
    }

    fn welcome_readers(&mut self, listener: UnixListener, notes: File) -> Result<(), String> {
        let (watch, notes) = (self.observers().watch.clone(), Notes::new(notes));
        if let Some(queue) = watch.queue() {
            // Those that the last worker had come again, but not before this one answers.
            watch.want(notes::patterns(notes.read().iter().flatten()));
            self.serving.order(Order::Read(watch, listener, notes, queue));
        }
        Ok(())
    }

    /// What came before is answered; connections end when their clients end them, or when the time is over.
    fn drain(&mut self, within: Duration) {
        // Datagrams that nobody has read wait in the sockets, for another who has them.
        let threads: Vec<_> = self.datagrams.drain(..).map(|(_, server)| server.end()).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        self.serving.end(within);
    }
}

fn block(row: &[u8], all: &mut Sets) -> Result<Block, Problem> {
    let row: ServerRow = serde_json::from_slice(row)
        .map_err(|error| Problem::new(format!("the row cannot be read: {error}"), "send it again"))?;
    let mut sets = Vec::new();
    let named = |set: &str| {
        sets.push(all.number(set));
        sets[sets.len() - 1]
    };
    let chain = Arc::new(Chain::new(&row.steps, named)?);
    // They were in order when the row was taken. If they no longer are, it is served as far as that goes: they are looked
    // at again whenever they are needed.
    if let Err(Problem { reason, remedy }) = chain.load() {
        eprintln!("dns: {reason}: {remedy}");
    }
    Ok(Block { row, chain, sets })
}
