//! Steps that change what those behind them are asked, or what they answer. They work on messages with whole names; a query
//! that none of them has a say in never comes here.

use crate::asker::Asker;
use crate::autopath::Autopath;
use crate::dns64::Dns64;
use crate::known::Wanted;
use crate::lookup::{Lookup, flagged};
use crate::message::Message;
use crate::name::{NAME_MAX, Name};
use crate::packet::{self, LowerName, Query};
use crate::prefer::Prefer;
use crate::reply::{Reply, Transport, UDP_SIZE};
use crate::rewrite::Rewrite;
use crate::tables::Tables;
use std::cell::{Cell, RefCell};

pub enum Layer {
    Dns64(Dns64),
    Prefer(Prefer),
    Rewrite(Rewrite),
    Autopath(Autopath),
    /// Steps that answer by themselves, from one index into the chain to before another.
    Steps(usize, usize),
}

/// A question on its way down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// In wire form, in the case of the client while it is the client's.
    pub name: Vec<u8>,
    pub kind: u16,
    pub class: u16,
    /// Of EDNS: the client's, and what was made of them.
    pub options: Vec<(u16, Vec<u8>)>,
    /// Those of the options that are for the servers which are asked: what the client sends is not theirs to know.
    pub told: Vec<u16>,
}

impl Request {
    pub fn of(query: &Query) -> Request {
        Request {
            name: query.question[..query.question.len() - 4].to_vec(),
            kind: query.kind,
            class: query.class,
            options: crate::message::options_of(query.options),
            told: Vec::new(),
        }
    }

    pub fn lower(&self) -> Vec<u8> {
        self.name.to_ascii_lowercase()
    }

    pub fn renamed(&self, name: &[u8]) -> Request {
        Request { name: name.to_vec(), ..self.clone() }
    }

    /// The options for the servers which are asked, in wire form.
    fn wire(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for (code, data) in self.options.iter().filter(|(code, _)| self.told.contains(code)) {
            octets.extend(code.to_be_bytes());
            octets.extend((data.len() as u16).to_be_bytes());
            octets.extend(data);
        }
        octets
    }
}

impl Layer {
    pub fn concerns(&self, tables: &Tables, name: &[u8], kind: u16, class: u16, asker: &Asker) -> bool {
        match self {
            Layer::Dns64(dns64) => class == packet::IN && dns64.concerns(kind, asker),
            Layer::Prefer(_) => Prefer::concerns(kind),
            Layer::Rewrite(rewrite) => rewrite.concerns(name, kind, class),
            Layer::Autopath(autopath) => autopath.concerns(tables, name, asker),
            Layer::Steps(..) => false,
        }
    }
}

/// The layers of a chain around one query.
pub struct Layers<'a> {
    pub lookup: Lookup<'a>,
    pub layers: &'a [Layer],
    budget: Cell<usize>,
}

/// `None`: there is to be no answer.
pub type Answered = Result<Option<Message>, Wanted>;

impl<'a> Layers<'a> {
    pub fn new(lookup: Lookup<'a>) -> Layers<'a> {
        Layers { layers: &lookup.chain.layers, lookup, budget: Cell::new(LOOKUPS_MAX) }
    }

    /// Asks as a client would.
    pub fn whole(&self, request: &Request) -> Answered {
        self.below(0, request)
    }

    /// Asks the layers from `at` on, and the steps behind them.
    pub fn below(&self, at: usize, request: &Request) -> Answered {
        let next = at + 1;
        match self.layers.get(at) {
            None => self.steps(request),
            Some(Layer::Dns64(dns64)) => dns64.answer(self, next, request),
            Some(Layer::Prefer(prefer)) => Ok(self.below(next, request)?.map(|message| prefer.order(message))),
            Some(Layer::Rewrite(rewrite)) => rewrite.answer(self, next, request),
            Some(Layer::Autopath(autopath)) => autopath.answer(self, next, request),
            Some(Layer::Steps(from, to)) => match self.run(request, *from, *to)? {
                Some(None) => Ok(None),
                Some(Some((message, _))) => Ok(Some(message)),
                None => self.below(next, request),
            },
        }
    }

    /// The steps that answer, and what they say to what the name is an alias of.
    fn steps(&self, request: &Request) -> Answered {
        let chain = self.lookup.chain;
        let Some(budget) = self.budget.get().checked_sub(1) else {
            return Ok(Some(Message { code: packet::SERVER_FAILURE, ..Message::default() }));
        };
        self.budget.set(budget);
        let from = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Steps(_, to) => Some(*to),
            _ => None,
        });
        let Some(Some((mut message, alias))) = self.run(request, from.unwrap_or(0), chain.steps.len())? else {
            return Ok(None);
        };
        if let Some((target, lenient)) = alias {
            let Some(end) = self.whole(&request.renamed(&target))? else { return Ok(None) };
            let unknown = end.code == packet::REFUSED || (end.code == packet::SERVER_FAILURE && lenient);
            if !(lenient && unknown) {
                message.code = end.code;
                message.answer.extend(end.answer);
                message.authority = end.authority;
                message.additional = end.additional;
                message.authentic &= end.authentic;
            }
            if message.code == packet::SERVER_FAILURE {
                message.answer.clear();
            }
        }
        Ok(Some(message))
    }

    /// `None`: none of the steps had anything to say. Else what they said, with the alias that is still to be looked up.
    fn run(&self, request: &Request, from: usize, to: usize) -> Result<Option<Option<Ran>>, Wanted> {
        let mut question = request.name.clone();
        question.extend([request.kind.to_be_bytes(), request.class.to_be_bytes()].concat());
        let query = Query {
            question: &question,
            name: LowerName::of(&request.name),
            kind: request.kind,
            class: request.class,
            ..self.lookup.query.clone()
        };
        let options = request.wire();
        let lookup = Lookup { query: &query, options: &options, ..self.lookup };
        with_room(|room| {
            let mut reply = Reply::new(room, &query, Transport::Tcp, UDP_SIZE);
            if lookup.chain.rotate {
                reply.turn = lookup.asker.turn;
            }
            let last = to == lookup.chain.steps.len();
            let said = lookup.say(from, to, &mut reply)?;
            if said.passed && !last {
                if let Some(trace) = lookup.trace {
                    trace.cut(trace.mark() - 1);
                }
                return Ok(None);
            }
            if said.dropped {
                return Ok(Some(None));
            }
            let alias = said.alias.map(|offset| {
                let wire = &reply.written()[offset..];
                (wire[..packet::plain_name(wire).unwrap_or(0)].to_vec(), said.lenient)
            });
            if matches!(said.code, packet::SERVER_FAILURE | packet::REFUSED) {
                reply.clear(&query);
            }
            let read = Message::read(&reply, question.len());
            let mut message = read.unwrap_or(Message { code: packet::SERVER_FAILURE, ..Message::default() });
            message.code = said.code;
            message.authentic = said.authentic;
            message.renew = said.renew;
            message.plugin = said.plugin;
            message.authoritative = said.authoritative && reply.authoritative;
            message.recursion_available = lookup.chain.recursive;
            message.recursion_desired = query.recursion_desired;
            if last {
                flagged(lookup.chain, &mut message);
            }
            Ok(Some(Some((message, alias))))
        })
    }
}

/// With the target of an alias that is to be looked up, and whether the alias is an answer without it.
type Ran = (Message, Option<(Vec<u8>, bool)>);

/// Room for a message, kept from one to the next.
fn with_room<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut room = ROOM.take();
    room.resize(usize::from(u16::MAX), 0);
    let done = work(&mut room);
    ROOM.set(room);
    done
}

/// A name of text in presentation form with its final dot.
pub fn named(text: &str) -> Option<Vec<u8>> {
    let name = Name::parse(text).ok()?;
    (name.wire().len() <= NAME_MAX).then(|| name.wire().to_vec())
}

/// Of one query: a bound on what rules that lead to rules can cost.
const LOOKUPS_MAX: usize = 48;
