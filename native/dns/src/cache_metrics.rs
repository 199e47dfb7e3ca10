//! What caches hold and do, under CoreDNS's names.

use crate::cache::{Cache, Counts};
use crate::metrics::{head, line};
use std::sync::atomic::Ordering;

/// Of caches, by the server and zones they belong to.
pub fn render<'a>(text: &mut String, caches: impl Iterator<Item = (String, &'a Cache)> + Clone) {
    type Value = fn(&Cache, usize) -> u64;
    let by_type: [(&str, &str, &str, Value); 3] = [
        ("coredns_cache_entries", "gauge", "The number of elements in the cache.", |cache, share| {
            cache.entries()[share] as u64
        }),
        ("coredns_cache_hits_total", "counter", "The count of cache hits.", |cache, share| {
            cache.counts.hits[share].load(Ordering::Relaxed)
        }),
        ("coredns_cache_evictions_total", "counter", "The count of cache evictions.", |cache, share| {
            cache.counts.evictions[share].load(Ordering::Relaxed)
        }),
    ];
    for (name, kind, help, value) in by_type {
        head(text, name, kind, help);
        for (labels, cache) in caches.clone() {
            for (share, share_name) in ["success", "denial"].iter().enumerate() {
                line(text, name, &format!("{labels},type=\"{share_name}\",view=\"\""), value(cache, share));
            }
        }
    }
    type Count = fn(&Counts) -> u64;
    let each: [(&str, &str, Count); 5] = [
        ("coredns_cache_requests_total", "The count of cache requests.", |counts| counts.requests()),
        ("coredns_cache_misses_total", "The count of cache misses.", |counts| counts.misses.load(Ordering::Relaxed)),
        ("coredns_cache_prefetch_total", "The number of times the cache has prefetched a cached item.", |counts| {
            counts.prefetched.load(Ordering::Relaxed)
        }),
        // An answer to another question is not taken for one, and the right one waited for: none gets as far as here.
        (
            "coredns_cache_drops_total",
            "The number responses that are not cached, because the reply is malformed.",
            |_| 0,
        ),
        ("coredns_cache_served_stale_total", "The number of requests served from stale cache entries.", |counts| {
            counts.stale.load(Ordering::Relaxed)
        }),
    ];
    for (name, help, value) in each {
        head(text, name, "counter", help);
        for (labels, cache) in caches.clone() {
            line(text, name, &format!("{labels},view=\"\""), value(&cache.counts));
        }
    }
}
