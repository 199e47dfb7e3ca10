//! Table `names` in force: the zone sets, by the numbers that steps know them by.

use crate::name::Name;
use crate::table::{Set, SetBuilder};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use supervisor::{Change, Changes};

#[derive(Default)]
pub struct Sets {
    numbers: HashMap<String, usize>,
    /// Sets of another controller, which its servers still ask for: they go when the servers of this one come.
    outlived: HashSet<usize>,
    /// Of whoever sent the names.
    epoch: String,
}

impl Sets {
    /// The number of a set; it gets one when it is first named.
    pub fn number(&mut self, name: &str) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(name.to_string()).or_insert(next)
    }

    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    pub fn names(&self) -> impl Iterator<Item = (&String, usize)> {
        self.numbers.iter().map(|(name, number)| (name, *number))
    }

    /// What follows from the sets of before. `kept`: sets that servers of another controller ask for. A whole table says
    /// nothing of those, as its controller follows another Corefile: until its servers come, too, they stay as they are.
    pub fn commit(
        &mut self,
        before: &[Arc<Set>],
        mut changes: Changes,
        kept: &HashSet<usize>,
    ) -> Result<Vec<Arc<Set>>, String> {
        // There are few sets, and rows of one come one after the other.
        let mut builders: Vec<(usize, SetBuilder)> = Vec::new();
        while let Some(change) = changes.next().map_err(|error| format!("cannot read changes: {error}"))? {
            let (Change::Put(key, _) | Change::Drop(key)) = change;
            // A row whose key was refused is dropped, too; it was never held.
            let Some((set, name)) = key.split_once(' ') else { continue };
            let number = self.number(set);
            let at = builders.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
                builders.push((number, SetBuilder::default()));
                builders.len() - 1
            });
            let (_, builder) = &mut builders[at];
            match change {
                Change::Put(_, entry) => builder.put(entry),
                Change::Drop(_) => Name::parse(name).iter().for_each(|name| builder.drop(name.wire())),
            }
        }
        let mut sets = before.to_vec();
        sets.resize_with(sets.len().max(self.count()), Arc::default);
        if changes.whole() {
            self.epoch = changes.epoch().to_string();
            self.outlived = kept.iter().copied().filter(|number| sets[*number].rows > 0).collect();
            for (number, set) in sets.iter_mut().enumerate() {
                if !self.outlived.contains(&number) {
                    *set = Arc::default();
                }
            }
        }
        for (number, builder) in builders {
            if self.outlived.remove(&number) {
                sets[number] = Arc::default();
            }
            sets[number] = Arc::new(builder.build(&sets[number]));
        }
        Ok(sets)
    }

    /// `sets` once the servers of a controller are in force: if it is the one that sent the names, nobody asks for others.
    pub fn follow(&mut self, mut sets: Vec<Arc<Set>>, servers: &str) -> Vec<Arc<Set>> {
        sets.resize_with(self.count(), Arc::default);
        if servers == self.epoch {
            self.outlived.drain().for_each(|number| sets[number] = Arc::default());
        }
        sets
    }
}
