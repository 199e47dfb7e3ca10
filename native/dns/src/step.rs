//! The steps of a server block, compiled: each passes a question on, or answers it.

use crate::acl::Acl;
use crate::asker::Asker;
use crate::autopath::Autopath;
use crate::cache::Cache;
use crate::chaos::{Chaos, whoami};
use crate::circle::Circle;
use crate::dns64::Dns64;
use crate::errors::Errors;
use crate::file::File;
use crate::forward::Forward;
use crate::given::Given;
use crate::hosts::Hosts;
use crate::kubernetes::{Kubernetes, any};
use crate::layer::Layer;
use crate::local::Local;
use crate::log::Log;
use crate::metadata::Metadata;
use crate::packet::{self, Query};
use crate::prefer::Prefer;
use crate::reply::{Reply, pointer};
use crate::rewrite::Rewrite;
use crate::stream::Timeouts;
use crate::tables::Tables;
use crate::template::Template;
use crate::tls_server::{ServerTls, server_tls};
use crate::zone::Place;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use supervisor::Problem;
use wire::corefile;

pub enum Step {
    Acl(Acl),
    Hosts(Hosts),
    Kubernetes(Kubernetes),
    Any,
    Forward(Arc<Forward>),
    Template(Template),
    File(File),
    Local(Local),
    Chaos(Chaos),
    Whoami,
}

impl Step {
    /// The sets it answers from.
    pub fn sets(&self) -> Vec<usize> {
        match self {
            Step::Kubernetes(step) => vec![step.set],
            Step::Hosts(step) => vec![step.set],
            Step::File(step) => step.sets().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it has a say in other classes than IN.
    fn serves_any_class(&self) -> bool {
        matches!(self, Step::Acl(_) | Step::Chaos(_) | Step::Template(_) | Step::Whoami)
    }
}

/// The steps of a server block that answer, and what the others say about how.
#[derive(Default)]
pub struct Chain {
    pub steps: Vec<Step>,
    /// Addresses take turns.
    pub rotate: bool,
    /// The largest UDP answer.
    pub bufsize: u16,
    /// Whether queries are counted.
    pub counted: bool,
    /// Whether other servers are asked.
    pub recursive: bool,
    pub cache: Option<Cache>,
    pub circle: Option<Circle>,
    pub log: Option<Log>,
    pub metadata: Option<Metadata>,
    /// What changes questions and answers of the steps behind it; in front of all that changes nothing.
    pub layers: Vec<Layer>,
    /// Of the server, for who asks for it (RFC 5001).
    pub identifier: Option<Vec<u8>>,
    pub header: Option<corefile::Header>,
    /// Answers have no authority and additional records that they do not need.
    pub minimal: bool,
    /// How long a query may take.
    pub patience: Option<Duration>,
    pub errors: Option<Errors>,
    pub timeouts: Option<Timeouts>,
    pub tls: Option<Arc<ServerTls>>,
}

impl Chain {
    /// `set` gives the number of a set by its name.
    pub fn new(steps: &[corefile::Step], mut set: impl FnMut(&str) -> usize) -> Result<Chain, Problem> {
        let mut chain = Chain { bufsize: crate::reply::UDP_SIZE, ..Chain::default() };
        for step in steps {
            match step {
                corefile::Step::Kubernetes(step) => {
                    chain.steps.push(Step::Kubernetes(Kubernetes::new(step, set(&step.set))?));
                }
                corefile::Step::Hosts(step) => chain.steps.push(Step::Hosts(Hosts::new(step, set(&step.set))?)),
                corefile::Step::File(step) => chain.steps.push(Step::File(File::new(step, &mut set)?)),
                corefile::Step::Template(step) => chain.steps.push(Step::Template(Template::new(step)?)),
                corefile::Step::Acl(step) => chain.steps.push(Step::Acl(Acl::new(step)?)),
                corefile::Step::Any(_) => chain.steps.push(Step::Any),
                corefile::Step::Loadbalance(step) => {
                    chain.rotate = true;
                    if !step.prefer.is_empty() {
                        chain.wrap(Layer::Prefer(Prefer::new(&step.prefer)?));
                    }
                }
                corefile::Step::Cache(step) => chain.cache = Some(Cache::new(step)?),
                corefile::Step::Log(step) => chain.log = Some(Log::new(step)?),
                corefile::Step::Rewrite(step) => chain.wrap(Layer::Rewrite(Rewrite::new(step)?)),
                corefile::Step::Dns64(step) => chain.wrap(Layer::Dns64(Dns64::new(step)?)),
                corefile::Step::Autopath(step) => chain.wrap(Layer::Autopath(Autopath::new(step, &mut set)?)),
                corefile::Step::Loop(step) => chain.circle = Some(Circle::new(&step.zone)?),
                corefile::Step::Forward(step) => {
                    chain.recursive = true;
                    chain.steps.push(Step::Forward(Arc::new(Forward::new(step)?)));
                }
                corefile::Step::Timeouts(step) => chain.timeouts = Some(Timeouts::new(step)),
                corefile::Step::Tls(step) => chain.tls = Some(Arc::new(server_tls(step))),
                corefile::Step::Bufsize(step) => chain.bufsize = step.size,
                corefile::Step::Prometheus(_) => chain.counted = true,
                // What these ask for is done by others: the supervisor, the controller.
                corefile::Step::Health(_) | corefile::Step::Ready(_) => {}
                corefile::Step::Errors(step) => chain.errors = Some(Errors::new(step)?),
                corefile::Step::Metadata(step) => chain.metadata = Some(Metadata::new(step, &mut set)?),
                corefile::Step::Local(step) => chain.steps.push(Step::Local(Local::new(step)?)),
                corefile::Step::Chaos(step) => chain.steps.push(Step::Chaos(Chaos::new(step))),
                corefile::Step::Whoami(_) => chain.steps.push(Step::Whoami),
                corefile::Step::Nsid(step) => chain.identifier = Some(step.data.clone().into()),
                corefile::Step::Header(step) => chain.header = Some(step.clone()),
                corefile::Step::Minimal(_) => chain.minimal = true,
                corefile::Step::Cancel(step) => chain.patience = Some(Duration::from_millis(step.timeout_ms.into())),
            }
        }
        Ok(chain)
    }

    /// Reads the files that its steps name.
    pub fn load(&self) -> Result<(), Problem> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.load())?;
        let mut forwards = (0..self.steps.len()).filter_map(|step| self.forward(step));
        forwards.try_for_each(|forward| forward.load())
    }

    /// Puts a layer around the steps that are still to come.
    fn wrap(&mut self, layer: Layer) {
        let from = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Steps(_, to) => Some(*to),
            _ => None,
        });
        let (from, to) = (from.unwrap_or(0), self.steps.len());
        if from < to {
            self.layers.push(Layer::Steps(from, to));
        }
        self.layers.push(layer);
    }

    /// Whether a layer has a say in a question.
    pub fn is_layered(&self, tables: &Tables, query: &Query, asker: &Asker) -> bool {
        let name = query.name.wire();
        self.layers.iter().any(|layer| layer.concerns(tables, name, query.kind, query.class, asker))
    }

    pub fn forward(&self, step: usize) -> Option<&Arc<Forward>> {
        match self.steps.get(step) {
            Some(Step::Forward(forward)) => Some(forward),
            _ => None,
        }
    }

    /// What the first of these steps that does not pass says, and its index into `metrics::PLUGINS`.
    pub fn run(
        &self,
        steps: Range<usize>,
        tables: &Tables,
        asked: Place,
        kind: u16,
        asker: &Asker,
        reply: &mut Reply,
    ) -> (Given, usize) {
        for (index, step) in self.steps.iter().enumerate().take(steps.end).skip(steps.start) {
            if reply.class != packet::IN && !step.serves_any_class() {
                continue;
            }
            let (given, plugin) = match step {
                Step::Acl(acl) => (acl.answer(asked.name, kind, asker.ip(), reply), 10),
                Step::Local(local) => (local.answer(asked, kind, reply), 11),
                Step::Chaos(chaos) => (chaos.answer(asked, kind, reply), 8),
                Step::Whoami => (whoami(asked, asker, reply), 9),
                Step::Template(step) => (step.answer(asked, kind, asker.ip(), reply), 6),
                Step::Hosts(step) => (step.answer(tables, asked, kind, reply), 4),
                Step::Kubernetes(step) => (step.answer(tables, asked, kind, reply), 1),
                Step::File(file) => (file.answer(tables, asked, kind, reply), crate::metrics::FILE),
                Step::Any if kind == packet::ANY => {
                    any(reply, pointer(asked.offset).unwrap_or(crate::record::OWNER));
                    (Given::Done(packet::NO_ERROR), 7)
                }
                Step::Any => (Given::Pass, 0),
                Step::Forward(forward) if forward.matches(asked.name) => (Given::Upstream(index), 2),
                Step::Forward(_) => (Given::Pass, 0),
            };
            if given != Given::Pass {
                return (given, plugin);
            }
        }
        (Given::Pass, 0)
    }

    /// When all steps pass: SERVFAIL as CoreDNS has it, and REFUSED where there is no step.
    pub fn code_of_nobody(&self, class: u16) -> u16 {
        if self.steps.is_empty() || class != packet::IN { packet::REFUSED } else { packet::SERVER_FAILURE }
    }
}
