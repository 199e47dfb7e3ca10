//! An immutable table of names: open addressing over one piece of memory.

use super::entry::Entry;

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
    /// From entries one behind the other, each name once.
    pub fn new(octets: Vec<u8>, hash: impl Fn(&[u8]) -> u64) -> Shard {
        let names = entries(&octets).count();
        let mut slots = vec![Slot::default(); if names == 0 { 0 } else { (names * 4 / 3 + 1).next_power_of_two() }];
        let mut place = 0;
        for entry in entries(&octets) {
            let hash = hash(entry.name());
            let mut at = hash as usize & (slots.len() - 1);
            while slots[at].place != 0 {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = Slot { tag: tag(hash), place: place as u32 + 1 };
            place += entry.octets().len();
        }
        Shard { slots: slots.into(), octets: octets.into(), names }
    }

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

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        entries(&self.octets)
    }

    pub fn bytes(&self) -> usize {
        self.octets.len() + size_of_val(&*self.slots)
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
