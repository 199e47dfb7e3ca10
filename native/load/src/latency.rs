use std::time::Duration;

/// Durations in buckets that are at most 1/32 too coarse: 15 KiB whatever the count.
#[derive(Clone)]
pub struct Latency {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Latency {
    pub fn new() -> Latency {
        Latency { buckets: vec![0; (64 - STEP_BITS as usize + 1) << STEP_BITS], count: 0, max_us: 0 }
    }

    pub fn add(&mut self, duration: Duration) {
        let us = duration.as_micros() as u64;
        self.buckets[bucket(us)] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    pub fn merge(&mut self, other: &Latency) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The smallest figure that `share` (0 to 1) of all durations do not exceed; 0 if there are none.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return highest(index).min(self.max_us);
            }
        }
        0
    }
}

/// Below 32 exact; above, 32 steps for each power of two.
fn bucket(us: u64) -> usize {
    let power = (64 - us.leading_zeros()).saturating_sub(STEP_BITS + 1);
    ((power as usize) << STEP_BITS) + (us >> power) as usize
}

/// The largest value that falls into a bucket.
fn highest(index: usize) -> u64 {
    let power = (index >> STEP_BITS).saturating_sub(1);
    let step = (index - (power << STEP_BITS)) as u64;
    ((step + 1) << power).wrapping_sub(1)
}

const STEP_BITS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_close_and_in_order() {
        let mut last = 0;
        for us in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let index = bucket(us);
            assert!(index >= last, "{us}");
            assert!(
                highest(index) >= us && (highest(index) - us) as f64 <= us as f64 / 32.0,
                "{us} {}",
                highest(index)
            );
            last = index;
        }
    }

    #[test]
    fn quantiles_of_known_values() {
        let mut latency = Latency::new();
        assert_eq!(latency.quantile_us(0.5), 0);
        (1..=1000).for_each(|us| latency.add(Duration::from_micros(us)));
        assert!((500..=516).contains(&latency.quantile_us(0.5)), "{}", latency.quantile_us(0.5));
        assert!((990..=1000).contains(&latency.quantile_us(0.99)));
        assert_eq!((latency.quantile_us(1.0), latency.max_us(), latency.count()), (1000, 1000, 1000));
    }
}
