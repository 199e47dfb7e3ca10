//! A map that is never changed: a new one is made of it, which shares all shards but those that differ.

use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

type Shard<V> = HashMap<Box<str>, Arc<V>, FixedState>;

pub struct Sharded<V> {
    shards: Box<[Arc<Shard<V>>]>,
}

impl<V> Sharded<V> {
    pub fn get(&self, key: &str) -> Option<&Arc<V>> {
        self.shards[shard(key)].get(key)
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<V>> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// None takes a key away.
    pub fn with(&self, changes: impl IntoIterator<Item = (String, Option<Arc<V>>)>) -> Sharded<V> {
        let mut shards = self.shards.clone();
        for (key, value) in changes {
            // A shard is copied when it is first touched; afterwards it is ours alone.
            let shard = Arc::make_mut(&mut shards[shard(&key)]);
            match value {
                Some(value) => drop(shard.insert(key.into(), value)),
                None => drop(shard.remove(&*key)),
            }
        }
        Sharded { shards }
    }
}

impl<V> Clone for Sharded<V> {
    fn clone(&self) -> Sharded<V> {
        Sharded { shards: self.shards.clone() }
    }
}

impl<V> Default for Sharded<V> {
    fn default() -> Sharded<V> {
        Sharded { shards: (0..SHARDS).map(|_| Arc::default()).collect() }
    }
}

fn shard(key: &str) -> usize {
    (FixedState::with_seed(SEED).hash_one(key) >> 32) as usize % SHARDS
}

const SHARDS: usize = 64;
/// Not that of the maps within: a shard would have keys of like hashes only.
const SEED: u64 = 0x5eed;
