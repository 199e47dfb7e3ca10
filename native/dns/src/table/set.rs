//! The names of one zone set in shards, and how a delta makes the next one: shards that it does not touch are shared.

use super::entry::{Entry, encode_empty, set_below};
use super::shard::{Shard, entries};
use crate::name::parent;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, LazyLock};

type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

pub struct Set {
    shards: Box<[Arc<Shard>]>,
    /// Names that have a row.
    pub rows: usize,
}

impl Set {
    pub fn get(&self, name: &[u8]) -> Option<Entry<'_>> {
        let hash = hash(name);
        self.shards[shard_of(hash)].get(hash, name)
    }

    pub fn names(&self) -> usize {
        self.shards.iter().map(|shard| shard.names).sum()
    }

    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.bytes()).sum()
    }
}

impl Default for Set {
    fn default() -> Set {
        Set { shards: vec![Arc::default(); SHARDS].into(), rows: 0 }
    }
}

/// Collects changes as octets, so that rows of a million names are not held twice.
pub struct SetBuilder {
    /// By shard: entries, in the order they came. One without a row is a drop.
    changes: Box<[Vec<u8>]>,
}

impl Default for SetBuilder {
    fn default() -> SetBuilder {
        SetBuilder { changes: vec![Vec::new(); SHARDS].into() }
    }
}

impl SetBuilder {
    /// An entry as `entry::encode` writes it. A later one of the same name wins.
    pub fn put(&mut self, entry: &[u8]) {
        self.changes[shard_of(hash(Entry::at(entry).name()))].extend(entry);
    }

    pub fn drop(&mut self, name: &[u8]) {
        encode_empty(name, &mut self.changes[shard_of(hash(name))]);
    }

    pub fn build(mut self, old: &Set) -> Set {
        let (mut below, mut rows) = (HashMap::<Box<[u8]>, i32>::default(), old.rows as isize);
        for changes in &mut self.changes {
            *changes = last_of_each(changes);
            for change in entries(changes) {
                let was = old.get(change.name()).is_some_and(Entry::is_row);
                let difference = i32::from(change.is_row()) - i32::from(was);
                if difference == 0 {
                    continue;
                }
                rows += difference as isize;
                let mut name = change.name();
                while let Some(above) = parent(name) {
                    match below.get_mut(above) {
                        Some(count) => *count += difference,
                        None => drop(below.insert(above.into(), difference)),
                    }
                    name = above;
                }
            }
        }
        let mut counts: Vec<Vec<(Box<[u8]>, i32)>> = vec![Vec::new(); SHARDS];
        for (name, count) in below.into_iter().filter(|(_, count)| *count != 0) {
            counts[shard_of(hash(&name))].push((name, count));
        }
        let shards = old.shards.iter().zip(self.changes).zip(counts).map(|((shard, changes), counts)| {
            if changes.is_empty() && counts.is_empty() {
                shard.clone()
            } else {
                rebuild(shard, &changes, counts).into()
            }
        });
        Set { shards: shards.collect(), rows: rows as usize }
    }
}

fn rebuild(old: &Shard, changes: &[u8], counts: Vec<(Box<[u8]>, i32)>) -> Shard {
    let changed: HashMap<&[u8], Entry> = entries(changes).map(|entry| (entry.name(), entry)).collect();
    let mut counts: HashMap<Box<[u8]>, i32> = counts.into_iter().collect();
    let mut octets = Vec::with_capacity(old.bytes() + changes.len());
    for entry in old.entries() {
        let below = entry.below().saturating_add_signed(counts.remove(entry.name()).unwrap_or(0));
        let next = changed.get(entry.name()).copied().unwrap_or(entry);
        add(next, below, &mut octets);
    }
    for entry in entries(changes).filter(|entry| old.get(hash(entry.name()), entry.name()).is_none()) {
        let below = 0u32.saturating_add_signed(counts.remove(entry.name()).unwrap_or(0));
        add(entry, below, &mut octets);
    }
    for (name, count) in counts {
        let mut empty = Vec::new();
        encode_empty(&name, &mut empty);
        add(Entry::at(&empty), 0u32.saturating_add_signed(count), &mut octets);
    }
    octets.shrink_to_fit();
    Shard::new(octets, hash)
}

/// A name with neither a row nor names below is gone.
fn add(entry: Entry, below: u32, octets: &mut Vec<u8>) {
    if entry.is_row() || below > 0 {
        let start = octets.len();
        octets.extend(entry.octets());
        set_below(&mut octets[start..], below);
    }
}

fn last_of_each(changes: &[u8]) -> Vec<u8> {
    let last: HashMap<&[u8], usize> = entries(changes).enumerate().map(|(at, entry)| (entry.name(), at)).collect();
    let mut kept = Vec::with_capacity(changes.len());
    for (_, entry) in entries(changes).enumerate().filter(|(at, entry)| last[entry.name()] == *at) {
        kept.extend(entry.octets());
    }
    kept
}

/// Seeded: nobody outside can choose names that fall into one place.
pub fn hash(name: &[u8]) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(Default::default);
    let mut hasher = SEED.build_hasher();
    hasher.write(name);
    hasher.finish()
}

fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARDS.ilog2())) as usize
}

/// A power of two. A change costs its shard, and each delta a copy of this many pointers.
const SHARDS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::record::Records;
    use crate::table::entry::encode;
    use std::collections::BTreeSet;

    fn row(name: &Name, object: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        encode(name.wire(), false, object, &Records::default(), &mut octets).unwrap();
        octets
    }

    fn change(old: &Set, puts: &[&str], drops: &[&str]) -> Set {
        let mut builder = SetBuilder::default();
        puts.iter().for_each(|name| builder.put(&row(&Name::parse(name).unwrap(), "")));
        drops.iter().for_each(|name| builder.drop(Name::parse(name).unwrap().wire()));
        builder.build(old)
    }

    fn below(set: &Set, name: &str) -> Option<(bool, u32)> {
        set.get(Name::parse(name).unwrap().wire()).map(|entry| (entry.is_row(), entry.below()))
    }

    #[test]
    fn names_between_are_counted() {
        let set = change(&Set::default(), &["a.b.c.", "d.b.c.", "b.c."], &[]);
        assert_eq!(
            (below(&set, "b.c."), below(&set, "c."), below(&set, ".")),
            (Some((true, 2)), Some((false, 3)), Some((false, 3)))
        );
        let set = change(&set, &["a.b.c."], &["b.c.", "nothing.c."]);
        assert_eq!((below(&set, "b.c."), below(&set, "c."), set.rows), (Some((false, 2)), Some((false, 2)), 2));
        let set = change(&set, &[], &["a.b.c.", "d.b.c."]);
        assert_eq!((below(&set, "b.c."), set.names(), set.rows), (None, 0, 0));
    }

    #[test]
    fn a_later_change_of_a_name_wins() {
        let mut builder = SetBuilder::default();
        let name = Name::parse("a.").unwrap();
        ["one", "two"].iter().for_each(|object| builder.put(&row(&name, object)));
        let set = builder.build(&Set::default());
        assert_eq!(set.get(name.wire()).unwrap().object(), Some("two"));
        let mut builder = SetBuilder::default();
        builder.put(&row(&name, "three"));
        builder.drop(name.wire());
        assert_eq!(builder.build(&set).names(), 0);
    }

    /// Whatever happened before, the set is that of the rows there are.
    #[test]
    fn incremental_equals_full() {
        let mut seed = 7u64;
        let mut random = move |bound: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % bound
        };
        let (mut set, mut rows) = (Set::default(), BTreeSet::<String>::new());
        for _ in 0..200 {
            let mut builder = SetBuilder::default();
            for _ in 0..random(20) {
                let name: String = (0..=random(3)).map(|_| format!("{}.", random(4))).collect();
                if random(2) == 0 {
                    builder.drop(Name::parse(&name).unwrap().wire());
                    rows.remove(&name);
                } else {
                    builder.put(&row(&Name::parse(&name).unwrap(), ""));
                    rows.insert(name);
                }
            }
            set = builder.build(&set);
            let full = change(&Set::default(), &rows.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
            assert_eq!((set.rows, set.names()), (rows.len(), full.names()));
            for entry in full.shards.iter().flat_map(|shard| shard.entries()) {
                let held = set.get(entry.name()).unwrap();
                assert_eq!((held.is_row(), held.below()), (entry.is_row(), entry.below()));
            }
        }
    }
}
