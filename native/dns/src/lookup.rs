//! One run of a chain's steps for one question.

use crate::asker::Asker;
use crate::cache::{Hit, Key, count};
use crate::circle::Circle;
use crate::given::Given;
use crate::known::{Fetched, Known, Wanted};
use crate::message::Message;
use crate::metadata::Facts;
use crate::packet::{self, HEADER_BYTES, Query};
use crate::reply::{Head, Reply, pointer};
use crate::step::Chain;
use crate::tables::Tables;
use crate::trace::Trace;
use crate::zone::Place;
use std::net::SocketAddr;
use wire::corefile::{Flag, FlagRule};

/// What is asked, by whom, and what there is to answer it from.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    pub tables: &'a Tables,
    pub chain: &'a Chain,
    pub query: &'a Query<'a>,
    /// What others said; `None` when they were not asked yet.
    pub known: Option<&'a Known>,
    pub asker: &'a Asker,
    /// Where it came to.
    pub server: SocketAddr,
    /// Of EDNS, in wire form, for the servers that are asked.
    pub options: &'a [u8],
    /// Somebody wants to know who says what: nothing is asked of others for it, and nothing counted.
    pub trace: Option<&'a Trace>,
}

/// What the header and the counters are to know.
#[derive(Default)]
pub struct Said {
    pub code: u16,
    pub plugin: usize,
    pub authoritative: bool,
    pub authentic: bool,
    pub renew: bool,
    /// There is to be no answer.
    pub dropped: bool,
    /// No step had anything to say.
    pub passed: bool,
    /// The answer ends with an alias of the name at this offset, which others than these steps may change.
    pub alias: Option<usize>,
    /// RA and RD, where they are known already.
    pub flags: Option<(bool, bool)>,
    /// An alias that nobody knows more of is an answer all the same.
    pub lenient: bool,
}

impl<'a> Lookup<'a> {
    /// What `metadata` knows of the query.
    pub fn facts(&self) -> Option<Facts<'a>> {
        let upstream = self.known.and_then(Known::upstream);
        let (tables, asker, name) = (self.tables, self.asker, self.query.name.wire());
        self.chain.metadata.as_ref().map(|metadata| Facts { metadata, tables, name, asker, upstream })
    }

    /// Runs steps for the question, then for what it turns out to be an alias of.
    pub fn say(&self, from: usize, to: usize, reply: &mut Reply) -> Result<Said, Wanted> {
        let (mut name, mut offset, mut step) = (self.query.name.clone(), HEADER_BYTES, from);
        let mut said = Said { authoritative: true, ..Said::default() };
        for _ in 0..crate::kubernetes::ALIASES_MAX {
            let place = Place { name: name.wire(), offset };
            let (given, plugin) = self.chain.run(step..to, self.tables, place, self.query.kind, self.asker, reply);
            if said.plugin == 0 {
                said.plugin = plugin;
            }
            if let Some(trace) = self.trace {
                trace.step(name.wire(), self.query.kind, given, plugin);
            }
            match given {
                Given::Done(code) => return Ok(Said { code, ..said }),
                Given::Pass if said.lenient => return Ok(Said { code: packet::NO_ERROR, ..said }),
                Given::Pass => {
                    let code = self.chain.code_of_nobody(reply.class);
                    return Ok(Said { code, passed: true, ..said });
                }
                Given::Drop => return Ok(Said { dropped: true, ..said }),
                Given::Elsewhere { offset: target } => {
                    said.lenient = plugin == crate::metrics::FILE;
                    if !self.chain.layers.is_empty() {
                        return Ok(Said { alias: Some(target), code: packet::NO_ERROR, ..said });
                    }
                    let wire = &reply.written()[target..];
                    let length = packet::plain_name(wire).unwrap_or(0);
                    name = packet::LowerName::of(&wire[..length]);
                    (offset, step) = (target, 0);
                }
                Given::Upstream(_) if self.chain.circle.as_ref().is_some_and(Circle::is_closed) => break,
                Given::Upstream(index) => {
                    said.authoritative = false;
                    match self.upstream(index, &name, offset, reply)? {
                        Some(told) => {
                            return Ok(Said {
                                code: told.code,
                                authentic: told.authentic,
                                renew: told.renew,
                                plugin: told.plugin.unwrap_or(said.plugin),
                                ..said
                            });
                        }
                        None => {
                            if let Some(trace) = self.trace {
                                trace.cut(trace.mark() - 1);
                            }
                            step = index + 1;
                        }
                    }
                }
            }
        }
        Ok(Said { code: packet::SERVER_FAILURE, ..said })
    }

    /// `None`: the next step is to be asked.
    fn upstream(
        &self,
        step: usize,
        name: &packet::LowerName,
        offset: usize,
        reply: &mut Reply,
    ) -> Result<Option<Told>, Wanted> {
        let owner = pointer(offset).unwrap_or(crate::record::OWNER);
        let wanted =
            || Wanted { step, name: name.wire().to_vec(), kind: self.query.kind, options: self.options.to_vec() };
        let Some(known) = self.known else {
            return self.cached(name, owner, reply).map(Some).ok_or_else(wanted);
        };
        let told = |code, authentic| Ok(Some(Told { code, authentic, ..Told::default() }));
        match known.of(&wanted()) {
            None => Err(wanted()),
            Some(Fetched::Answer { stored, ttl, .. }) => {
                if self.chain.forward(step).is_some_and(|forward| forward.passes(stored)) {
                    return Ok(None);
                }
                stored.put(reply, owner, *ttl);
                told(stored.code, stored.authentic)
            }
            Some(Fetched::Refused) => told(packet::REFUSED, false),
            Some(Fetched::Nothing) => told(packet::SERVER_FAILURE, false),
        }
    }

    /// From the cache, without asking.
    fn cached(&self, name: &packet::LowerName, owner: u16, reply: &mut Reply) -> Option<Told> {
        let cache = self.chain.cache.as_ref().filter(|cache| cache.holds(name.wire()))?;
        let dnssec_ok = self.query.edns.is_some_and(|edns| edns.dnssec_ok);
        let mut key = Key::new(name.wire(), self.query.kind, dnssec_ok, self.query.checking_disabled);
        key.tell(self.options);
        let Some(hit) = cache.get(&key, self.asker.came, self.trace.is_none()) else {
            if self.trace.is_none() {
                count(&cache.counts.misses);
            }
            return None;
        };
        match hit {
            Hit::Fresh { kept, ttl, refresh } => {
                if let Some(trace) = self.trace {
                    trace.kept();
                }
                kept.stored.put(reply, owner, Some(ttl));
                let (code, authentic) = (kept.stored.code, kept.stored.authentic);
                Some(Told { code, authentic, renew: refresh, plugin: Some(CACHE) })
            }
            Hit::Stale { .. } => None,
        }
    }
}

/// What others say.
#[derive(Default)]
struct Told {
    code: u16,
    authentic: bool,
    renew: bool,
    plugin: Option<usize>,
}

/// The steps minimal and header, on a message.
pub fn flagged(chain: &Chain, message: &mut Message) {
    message.authoritative &= matches!(message.code, packet::NO_ERROR | packet::NAME_ERROR);
    if chain.minimal && message.code == packet::NO_ERROR && (message.has_answer() || message.authority.is_empty()) {
        message.authority.clear();
        message.additional.clear();
    }
    if let Some(header) = chain.header.as_ref() {
        for rule in header.query.iter().filter(|rule| rule.flag == Flag::Rd) {
            message.recursion_desired = rule.set;
        }
        for FlagRule { flag, set } in &header.response {
            match flag {
                Flag::Aa => message.authoritative = *set,
                Flag::Ra => message.recursion_available = *set,
                Flag::Rd => message.recursion_desired = *set,
            }
        }
    }
}

/// The header step: RD of the query is what the answer repeats.
pub fn set_flags(header: &wire::corefile::Header, query: &mut Query, head: &mut Head) {
    for rule in &header.query {
        if rule.flag == Flag::Rd {
            query.recursion_desired = rule.set;
        }
    }
    for rule in &header.response {
        match rule.flag {
            Flag::Aa => head.authoritative = rule.set,
            Flag::Ra => head.recursion_available = rule.set,
            Flag::Rd => query.recursion_desired = rule.set,
        }
    }
}

/// Index into `metrics::PLUGINS`.
const CACHE: usize = 3;
