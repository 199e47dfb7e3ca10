//! Who had a say in an answer, in order: noted while it is made, when somebody wants to know.

use crate::given::Given;
use crate::layer::Request;
use std::cell::RefCell;

#[derive(Default)]
pub struct Trace(RefCell<Vec<Voice>>);

/// One that had a say, and what it was asked.
#[derive(Debug)]
pub struct Voice {
    /// In wire form.
    pub name: Vec<u8>,
    pub kind: u16,
    pub who: Who,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Who {
    /// It changed the question or the answer, by the name of its plugin.
    Layer(&'static str),
    /// By its index into `metrics::PLUGINS`.
    Step(usize),
    /// Others, by the index of the forward step into the chain; `kept`: what they said before.
    Upstream { step: usize, kept: bool },
    /// All passed it on.
    Nobody,
}

impl Trace {
    pub fn step(&self, name: &[u8], kind: u16, given: Given, plugin: usize) {
        let who = match given {
            Given::Pass => Who::Nobody,
            Given::Upstream(step) => Who::Upstream { step, kept: false },
            _ => Who::Step(plugin),
        };
        self.0.borrow_mut().push(Voice { name: name.to_vec(), kind, who });
    }

    /// The last one said what it had said before.
    pub fn kept(&self) {
        if let Some(Voice { who: Who::Upstream { kept, .. }, .. }) = self.0.borrow_mut().last_mut() {
            *kept = true;
        }
    }

    /// Where the next one comes.
    pub fn mark(&self) -> usize {
        self.0.borrow().len()
    }

    /// A layer, in front of those that it asked.
    pub fn layer(&self, mark: usize, request: &Request, plugin: &'static str) {
        let voice = Voice { name: request.name.clone(), kind: request.kind, who: Who::Layer(plugin) };
        self.0.borrow_mut().insert(mark, voice);
    }

    /// What they said was of no use. Returns them.
    pub fn cut(&self, mark: usize) -> Vec<Voice> {
        self.0.borrow_mut().split_off(mark)
    }

    pub fn join(&self, voices: Vec<Voice>) {
        self.0.borrow_mut().extend(voices);
    }

    pub fn end(self) -> Vec<Voice> {
        self.0.into_inner()
    }
}
