//! The names of one zone set in shards, and how a delta makes the next one: shards that it does not touch are shared.

use super::entry::{Entry, encode_empty};
use super::shard::{Shard, ShardBuilder};
use crate::name::{labels, parent};
use crate::packet::LowerName;
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

    /// What `get` will read of these names is asked of memory: a table is larger than any cache, and what is asked for one
    /// after the other is waited for at once.
    pub fn expect(&self, names: impl Iterator<Item = LowerName>) {
        let (mut hashes, mut count) = ([0; EXPECTED_MAX], 0);
        for (to, name) in hashes.iter_mut().zip(names) {
            *to = hash(name.wire());
            self.shards[shard_of(*to)].expect_slot(*to);
            count += 1;
        }
        hashes[..count].iter().for_each(|hash| self.shards[shard_of(*hash)].expect_entry(*hash));
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
    shards: Box<[Batch]>,
}

impl Default for SetBuilder {
    fn default() -> SetBuilder {
        SetBuilder { shards: (0..SHARDS).map(|_| Batch::default()).collect() }
    }
}

impl SetBuilder {
    /// An entry as `entry::encode` writes it. A later one of the same name wins.
    pub fn put(&mut self, entry: &[u8]) {
        let hash = hash(Entry::at(entry).name());
        self.shards[shard_of(hash)].push(hash, |octets| octets.extend(entry));
    }

    pub fn drop(&mut self, name: &[u8]) {
        let hash = hash(name);
        self.shards[shard_of(hash)].push(hash, |octets| encode_empty(name, octets));
    }

    pub fn build(mut self, old: &Set) -> Set {
        self.shards.iter_mut().for_each(Batch::keep_last);
        let (mut below, mut rows) = (Below::default(), old.rows as isize);
        for (batch, shard) in self.shards.iter().zip(&old.shards) {
            for (hash, entry) in batch.entries() {
                let was = shard.get(hash, entry.name()).is_some_and(Entry::is_row);
                let difference = i32::from(entry.is_row()) - i32::from(was);
                rows += difference as isize;
                below.add(entry.name(), difference);
            }
        }
        let counts = below.counts();
        // Each batch is gone before the next shard is made.
        let batches = self.shards.into_vec().into_iter().zip(counts);
        let shards = old.shards.iter().zip(batches).map(|(shard, (batch, counts))| {
            if batch.places.is_empty() && counts.is_empty() {
                shard.clone()
            } else {
                rebuild(shard, &batch, counts).into()
            }
        });
        Set { shards: shards.collect(), rows: rows as usize }
    }
}

/// How many more rows there are below a name, by its hash.
type Count = (u64, Box<[u8]>, i32);

fn rebuild(old: &Shard, batch: &Batch, mut counts: Vec<Count>) -> Shard {
    counts.sort_unstable_by_key(|(hash, ..)| *hash);
    let mut more = |hash: u64, name: &[u8]| -> i32 {
        let start = counts.partition_point(|(other, ..)| *other < hash);
        let same = counts[start..].iter_mut().take_while(|(other, ..)| *other == hash);
        same.filter(|(_, other, _)| **other == *name).map(|(.., count)| std::mem::take(count)).sum()
    };
    let names = old.names + batch.places.len();
    let mut shard = ShardBuilder::with_capacity(names, old.bytes() + batch.octets.len());
    for entry in old.entries() {
        let (hash, name) = (hash(entry.name()), entry.name());
        let next = batch.find(hash, name).unwrap_or(entry);
        shard.add(hash, next, entry.below().saturating_add_signed(more(hash, name)));
    }
    for (hash, entry) in batch.entries().filter(|(hash, entry)| old.get(*hash, entry.name()).is_none()) {
        shard.add(hash, entry, 0u32.saturating_add_signed(more(hash, entry.name())));
    }
    let mut empty = Vec::new();
    for (hash, name, count) in counts.iter().filter(|(.., count)| *count != 0) {
        empty.clear();
        encode_empty(name, &mut empty);
        shard.add(*hash, Entry::at(&empty), 0u32.saturating_add_signed(*count));
    }
    shard.build()
}

/// Changes of one shard.
#[derive(Default)]
struct Batch {
    /// Entries, in the order they came. One without a row is a drop.
    octets: Vec<u8>,
    /// Of each: the hash of its name, and where it begins.
    places: Vec<(u64, u32)>,
    /// Numbers of places plus one, by hash; 0 is free. Made by `keep_last`.
    slots: Vec<u32>,
}

impl Batch {
    fn push(&mut self, hash: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.places.push((hash, self.octets.len() as u32));
        write(&mut self.octets);
    }

    /// Of each name.
    fn keep_last(&mut self) {
        let all = std::mem::take(&mut self.places);
        self.slots = vec![0; if all.is_empty() { 0 } else { (2 * all.len()).next_power_of_two() }];
        for (hash, place) in all {
            let at = self.slot(hash, Entry::at(&self.octets[place as usize..]).name());
            match self.slots[at] {
                0 => {
                    self.places.push((hash, place));
                    self.slots[at] = self.places.len() as u32;
                }
                known => self.places[known as usize - 1].1 = place,
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u64, Entry<'_>)> {
        self.places.iter().map(|(hash, place)| (*hash, Entry::at(&self.octets[*place as usize..])))
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<Entry<'_>> {
        let number = if self.slots.is_empty() { 0 } else { self.slots[self.slot(hash, name)] };
        let (_, place) = self.places.get((number as usize).checked_sub(1)?)?;
        Some(Entry::at(&self.octets[*place as usize..]))
    }

    /// Where a name is, or may be put: there are slots, and some are free.
    fn slot(&self, hash: u64, name: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(number) = (self.slots[at] as usize).checked_sub(1) {
            let (other, place) = self.places[number];
            if other == hash && Entry::at(&self.octets[place as usize..]).name() == name {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }
}

/// How many rows come and go below names, by how many labels those have: what is below a name is below all above it, but
/// each is told by those right below it only.
#[derive(Default)]
struct Below<'a>(Vec<HashMap<&'a [u8], i32>>);

impl<'a> Below<'a> {
    fn add(&mut self, name: &'a [u8], difference: i32) {
        let Some(above) = parent(name).filter(|_| difference != 0) else { return };
        let depth = labels(above).count();
        if self.0.len() <= depth {
            self.0.resize_with(depth + 1, HashMap::default);
        }
        *self.0[depth].entry(above).or_default() += difference;
    }

    /// By shard.
    fn counts(mut self) -> Vec<Vec<Count>> {
        let mut counts = vec![Vec::new(); SHARDS];
        while let Some(level) = self.0.pop() {
            for (name, count) in level.into_iter().filter(|(_, count)| *count != 0) {
                self.add(name, count);
                let hash = hash(name);
                counts[shard_of(hash)].push((hash, name.into(), count));
            }
        }
        counts
    }
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
/// As many names as are looked for together.
const EXPECTED_MAX: usize = 64;

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
