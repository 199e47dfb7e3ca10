//! An immutable table of names: open addressing over one piece of memory.

use super::entry::{Entry, set_below};
use sys::memory::prefetch;

#[derive(Default)]
pub struct Shard {
    /// A power of two of them, at most three quarters used.
    slots: Box<[Slot]>,
    octets: Box<[u8]>,
    pub names: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Of the hash, so that most of what does not match is not looked at.
    tag: u32,
    /// Of the entry, plus one; 0 is free.
    place: u32,
}

impl Shard {
    pub fn get(&self, hash: u64, name: &[u8]) -> Option<Entry<'_>> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.place == 0 {
                return None;
            }
            if slot.tag == tag(hash) {
                let entry = Entry::at(&self.octets[slot.place as usize - 1..]);
                if entry.name() == name {
                    return Some(entry);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The first step of `get`, asked of memory ahead: see `Set::expect`.
    pub fn expect_slot(&self, hash: u64) {
        if let Some(mask) = self.slots.len().checked_sub(1) {
            prefetch(&self.slots[hash as usize & mask]);
        }
    }

    /// The second step: the entry that the first slot names, its records behind it.
    pub fn expect_entry(&self, hash: u64) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let slot = self.slots[hash as usize & mask];
        let Some(place) = slot.place.checked_sub(1).filter(|_| slot.tag == tag(hash)) else { return };
        for line in 0..2 {
            if let Some(octet) = self.octets.get(place as usize + line * CACHE_LINE_BYTES) {
                prefetch(octet);
            }
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        entries(&self.octets)
    }

    pub fn bytes(&self) -> usize {
        self.octets.len() + size_of_val(&*self.slots)
    }
}

/// Collects entries, each name once.
pub struct ShardBuilder {
    octets: Vec<u8>,
    /// Of each entry: the hash of its name, and where it begins.
    places: Vec<(u64, u32)>,
}

impl ShardBuilder {
    pub fn with_capacity(names: usize, bytes: usize) -> ShardBuilder {
        ShardBuilder { octets: Vec::with_capacity(bytes), places: Vec::with_capacity(names) }
    }

    /// A name with neither a row nor names below is left out.
    pub fn add(&mut self, hash: u64, entry: Entry, below: u32) {
        if entry.is_row() || below > 0 {
            let start = self.octets.len();
            self.places.push((hash, start as u32));
            self.octets.extend(entry.octets());
            set_below(&mut self.octets[start..], below);
        }
    }

    pub fn build(mut self) -> Shard {
        let names = self.places.len();
        let mut slots = vec![Slot::default(); if names == 0 { 0 } else { (names * 4 / 3 + 1).next_power_of_two() }];
        for (hash, place) in self.places {
            let mut at = hash as usize & (slots.len() - 1);
            while slots[at].place != 0 {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = Slot { tag: tag(hash), place: place + 1 };
        }
        self.octets.shrink_to_fit();
        Shard { slots: slots.into(), octets: self.octets.into(), names }
    }
}

/// Of entries one behind the other.
pub fn entries(octets: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = Entry::at(Entry::at(rest).octets());
        rest = &rest[entry.octets().len()..];
        Some(entry)
    })
}

fn tag(hash: u64) -> u32 {
    (hash >> 24) as u32
}

const CACHE_LINE_BYTES: usize = 64;
