//! When which name is looked up next.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Names, and how often each is looked up at most.
pub type Wanted = BTreeMap<String, Duration>;

#[derive(Default)]
pub struct Schedule {
    names: BTreeMap<String, Plan>,
}

struct Plan {
    every: Duration,
    /// None: it is being looked up.
    at: Option<Instant>,
    failures: u32,
}

impl Schedule {
    /// New names are looked up at once.
    pub fn want(&mut self, wanted: &Wanted, now: Instant) {
        self.names.retain(|name, _| wanted.contains_key(name));
        for (name, every) in wanted {
            let plan = self.names.entry(name.clone()).or_insert(Plan { every: *every, at: Some(now), failures: 0 });
            plan.every = *every;
        }
    }

    pub fn next(&self) -> Option<Instant> {
        self.names.values().filter_map(|plan| plan.at).min()
    }

    /// Up to so many whose time has come; they are being looked up from now on.
    pub fn begin(&mut self, now: Instant, most: usize) -> Vec<String> {
        let due = self.names.iter_mut().filter(|(_, plan)| plan.at.is_some_and(|at| at <= now));
        let begin = |(name, plan): (&String, &mut Plan)| {
            plan.at = None;
            name.clone()
        };
        due.take(most).map(begin).collect()
    }

    /// `valid`: for how long the answer is good; None: there was none. False: nobody wants the name any more.
    pub fn end(&mut self, name: &str, valid: Option<Duration>, now: Instant) -> bool {
        let Some(plan) = self.names.get_mut(name) else { return false };
        let floor = plan.every.max(FLOOR);
        let wait = match valid {
            Some(valid) => {
                plan.failures = 0;
                valid.clamp(floor, CEILING.max(floor))
            }
            None => {
                plan.failures = plan.failures.saturating_add(1);
                let longer = floor.saturating_mul(1 << plan.failures.min(6).saturating_sub(1));
                longer.min(FAILED_CEILING.max(floor))
            }
        };
        plan.at = Some(now + wait);
        true
    }
}

const FLOOR: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(300);
/// Whoever mends a name does not wait for long.
const FAILED_CEILING: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn schedule(names: &[&str], now: Instant) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.want(&names.iter().map(|name| (name.to_string(), seconds(5))).collect(), now);
        schedule
    }

    #[test]
    fn an_answer_is_good_as_long_as_it_says_within_bounds() {
        let now = Instant::now();
        let mut schedule = schedule(&["a"], now);
        for (valid, wait) in [(0, 5), (5, 5), (60, 60), (86_400, 300)] {
            schedule.end("a", Some(seconds(valid)), now);
            assert_eq!(schedule.next(), Some(now + seconds(wait)), "{valid}");
        }
    }

    #[test]
    fn a_failure_is_tried_again_less_and_less_often() {
        let now = Instant::now();
        let mut schedule = schedule(&["a"], now);
        let mut waits = Vec::new();
        for _ in 0..5 {
            schedule.end("a", None, now);
            waits.push(schedule.next().unwrap() - now);
        }
        assert_eq!(waits, [5, 10, 20, 30, 30].map(seconds));
        schedule.end("a", Some(seconds(5)), now);
        schedule.end("a", None, now);
        assert_eq!(schedule.next(), Some(now + seconds(5)), "it was found in between");
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time_and_as_long_as_it_is_wanted() {
        let now = Instant::now();
        let mut schedule = schedule(&["a", "b", "c"], now);
        assert_eq!(schedule.begin(now, 2), ["a", "b"]);
        assert_eq!(schedule.begin(now, 2), ["c"]);
        assert_eq!((schedule.begin(now, 2), schedule.next()), (vec![], None));
        schedule.want(&[("a".to_string(), seconds(5)), ("d".to_string(), seconds(5))].into(), now);
        assert_eq!(schedule.begin(now, 9), ["d"], "a is under way");
        assert!(schedule.end("a", Some(seconds(5)), now) && !schedule.end("b", None, now));
    }
}
