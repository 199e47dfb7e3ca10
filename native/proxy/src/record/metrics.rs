//! Counts of requests, one set a thread, so that no two of them write to one place.

use super::figures::{LENGTHS, SIZES, TIMES};
use super::labels::Labels;
use super::refusals::Refused;
use hyper::Method;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

#[derive(Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Default)]
pub struct Counts {
    pub series: HashMap<Key, Series, foldhash::fast::FixedState>,
    /// Requests of which there were no labels, or too many.
    pub unlabelled: HashMap<(u8, u16), u64>,
    pub accepted: u64,
    pub active: u64,
    pub requests: u64,
    pub log_lost: u64,
    pub refused: Refused,
    /// Of UDP, now.
    pub flows: u64,
    /// By `Mirrored`.
    pub mirrored: [u64; 3],
}

/// What became of the copy of a request.
#[derive(Clone, Copy)]
pub enum Mirrored {
    Sent,
    Failed,
    /// There were too many, or its body was too long.
    Dropped,
}

/// Labels, method and status.
pub type Key = (u64, u8, u16);

pub struct Series {
    pub labels: Weak<Labels>,
    pub requests: u64,
    pub request_time: Histogram<{ TIMES.len() }>,
    pub response_time: Histogram<{ TIMES.len() }>,
    pub header_time: Histogram<{ TIMES.len() }>,
    pub connect_time: Histogram<{ TIMES.len() }>,
    pub request_size: Histogram<{ LENGTHS.len() }>,
    pub response_size: Histogram<{ LENGTHS.len() }>,
    pub bytes_sent: Histogram<{ SIZES.len() }>,
}

#[derive(Clone, Copy)]
pub struct Histogram<const N: usize> {
    pub buckets: [u64; N],
    pub count: u64,
    pub sum: f64,
}

/// One request, when it is over.
pub struct Done<'a> {
    pub labels: Option<&'a Arc<Labels>>,
    pub method: &'a Method,
    pub status: u16,
    pub took: Duration,
    /// Of the backend: until it was connected, until its response's head, until the end.
    pub connect: Option<Duration>,
    pub header: Option<Duration>,
    pub response: Option<Duration>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl Metrics {
    pub fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub fn count_mirrored(&mut self, result: Mirrored, copies: usize) {
        self.mirrored[result as usize] += copies as u64;
    }

    pub fn add(&mut self, done: &Done<'_>) {
        self.requests += 1;
        let method = METHODS.iter().position(|name| *name == done.method.as_str()).unwrap_or(METHODS.len() - 1) as u8;
        let full = self.series.len() >= SERIES_MAX;
        let key = done.labels.map(|labels| (labels.number, method, done.status));
        let (Some(labels), Some(key)) = (done.labels, key.filter(|key| !full || self.series.contains_key(key))) else {
            *self.unlabelled.entry((method, done.status)).or_default() += 1;
            return;
        };
        let series = self.series.entry(key).or_insert_with(|| Series::new(labels));
        series.requests += 1;
        series.request_time.add(done.took.as_secs_f64(), &TIMES);
        for (histogram, time) in [
            (&mut series.connect_time, done.connect),
            (&mut series.header_time, done.header),
            (&mut series.response_time, done.response),
        ] {
            if let Some(time) = time {
                histogram.add(time.as_secs_f64(), &TIMES);
            }
        }
        series.request_size.add(done.received_bytes as f64, &LENGTHS);
        series.response_size.add(done.sent_bytes as f64, &LENGTHS);
        series.bytes_sent.add(done.sent_bytes as f64, &SIZES);
    }
}

impl Series {
    fn new(labels: &Arc<Labels>) -> Series {
        Series {
            labels: Arc::downgrade(labels),
            requests: 0,
            request_time: Histogram::new(),
            response_time: Histogram::new(),
            header_time: Histogram::new(),
            connect_time: Histogram::new(),
            request_size: Histogram::new(),
            response_size: Histogram::new(),
            bytes_sent: Histogram::new(),
        }
    }

    pub fn merge(&mut self, other: &Series) {
        self.requests += other.requests;
        self.request_time.merge(&other.request_time);
        self.response_time.merge(&other.response_time);
        self.header_time.merge(&other.header_time);
        self.connect_time.merge(&other.connect_time);
        self.request_size.merge(&other.request_size);
        self.response_size.merge(&other.response_size);
        self.bytes_sent.merge(&other.bytes_sent);
    }

    pub fn empty(labels: &Arc<Labels>) -> Series {
        Series::new(labels)
    }
}

impl<const N: usize> Histogram<N> {
    fn new() -> Histogram<N> {
        Histogram { buckets: [0; N], count: 0, sum: 0.0 }
    }

    fn add(&mut self, value: f64, most: &[f64; N]) {
        self.count += 1;
        self.sum += value;
        if let Some(bucket) = most.iter().position(|most| value <= *most) {
            self.buckets[bucket] += 1;
        }
    }

    fn merge(&mut self, other: &Histogram<N>) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(ours, theirs)| *ours += theirs);
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// The last stands for all others: a client invents them.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "OTHER"];
/// Of one thread.
const SERIES_MAX: usize = 50_000;
