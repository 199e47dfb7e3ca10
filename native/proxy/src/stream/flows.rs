//! Flows by who they are of, so many at most: of those that were not used for longest, one makes room (second chance, as pages of
//! memory are replaced).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::rc::Rc;

pub trait Flow {
    /// It was used since it was last looked at.
    fn take_fresh(&self) -> bool;
    fn end(&self);
}

pub struct Flows<K, F> {
    most: usize,
    known: HashMap<K, Rc<F>>,
    /// All of `known`, oldest first, and some that have ended.
    queue: VecDeque<(K, Rc<F>)>,
}

impl<K: Hash + Eq + Copy, F: Flow> Flows<K, F> {
    pub fn new(most: usize) -> Flows<K, F> {
        Flows { most, known: HashMap::new(), queue: VecDeque::new() }
    }

    pub fn get(&self, key: &K) -> Option<Rc<F>> {
        self.known.get(key).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// In place of the one of that key.
    pub fn add(&mut self, key: K, flow: Rc<F>) {
        self.end(&key);
        while self.known.len() >= self.most {
            self.make_room();
        }
        if self.queue.len() >= self.most * 2 {
            let known = &self.known;
            self.queue.retain(|(key, flow)| known.get(key).is_some_and(|held| Rc::ptr_eq(held, flow)));
        }
        self.queue.push_back((key, flow.clone()));
        self.known.insert(key, flow);
    }

    pub fn end(&mut self, key: &K) {
        if let Some(flow) = self.known.remove(key) {
            flow.end();
        }
    }

    pub fn end_all(&mut self) {
        self.queue.clear();
        self.known.drain().for_each(|(_, flow)| flow.end());
    }

    /// It has ended by itself.
    pub fn forget(&mut self, key: &K, flow: &Rc<F>) {
        if self.known.get(key).is_some_and(|held| Rc::ptr_eq(held, flow)) {
            self.known.remove(key);
        }
    }

    /// Ends the first that was not used since it was last looked at.
    fn make_room(&mut self) {
        let Some((key, flow)) = self.queue.pop_front() else { return };
        if !self.known.get(&key).is_some_and(|held| Rc::ptr_eq(held, &flow)) {
            return;
        }
        match flow.take_fresh() {
            true => self.queue.push_back((key, flow)),
            false => self.end(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, Flows};
    use std::cell::Cell;
    use std::rc::Rc;

    struct One {
        fresh: Cell<bool>,
        ended: Cell<bool>,
    }

    impl Flow for One {
        fn take_fresh(&self) -> bool {
            self.fresh.replace(false)
        }

        fn end(&self) {
            self.ended.set(true);
        }
    }

    fn one() -> Rc<One> {
        Rc::new(One { fresh: Cell::new(true), ended: Cell::new(false) })
    }

    fn ended(all: &[Rc<One>]) -> Vec<usize> {
        (0..all.len()).filter(|at| all[*at].ended.get()).collect()
    }

    #[test]
    fn those_that_are_used_stay() {
        let all: Vec<_> = (0..6).map(|_| one()).collect();
        let mut flows = Flows::new(4);
        (0..4).for_each(|at| flows.add(at, all[at].clone()));
        assert!(ended(&all).is_empty());
        flows.add(4, all[4].clone());
        assert_eq!(ended(&all), [0], "all are fresh: the oldest");
        [1, 2, 4].iter().for_each(|at| all[*at].fresh.set(true));
        flows.add(5, all[5].clone());
        assert_eq!(ended(&all), [0, 3], "the only one that was not used");
        assert!(flows.get(&3).is_none() && flows.get(&5).is_some());
    }

    #[test]
    fn there_are_never_more_and_what_has_ended_is_not_held() {
        let mut flows = Flows::new(100);
        let held: Vec<_> = (0..10_000).map(|at| (at, one())).collect();
        for (at, flow) in &held {
            flows.add(*at, flow.clone());
            if at % 3 == 0 {
                flows.forget(at, flow);
            }
            assert!(flows.known.len() <= 100 && flows.queue.len() <= 200);
        }
        let counted = held.iter().filter(|(_, flow)| Rc::strong_count(flow) > 1).count();
        assert!(counted <= 200, "{counted}");
    }

    #[test]
    fn one_in_the_place_of_another_ends_it_and_outlives_what_comes_late() {
        let (old, new) = (one(), one());
        let mut flows = Flows::new(4);
        flows.add(1, old.clone());
        flows.add(1, new.clone());
        assert!(old.ended.get() && !new.ended.get());
        flows.forget(&1, &old);
        assert!(flows.get(&1).is_some_and(|held| Rc::ptr_eq(&held, &new)));
        flows.end_all();
        assert!(new.ended.get() && flows.is_empty());
    }
}
