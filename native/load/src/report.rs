use crate::latency::Latency;
use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// How many of each kind of failure: `{"ECONNREFUSED": 3}`.
#[derive(Default, Clone)]
pub struct Failures(BTreeMap<String, u64>);

impl Failures {
    pub fn add(&mut self, error: &io::Error) {
        *self.0.entry(name(error)).or_default() += 1;
    }

    pub fn merge(&mut self, other: Failures) {
        other.0.into_iter().for_each(|(name, count)| *self.0.entry(name).or_default() += count);
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn by_name(&self) -> Value {
        json!(self.0)
    }
}

/// What happened to exchanges.
#[derive(Clone)]
pub struct Tally {
    pub latency: Latency,
    pub failures: Failures,
}

impl Tally {
    pub fn new() -> Tally {
        Tally { latency: Latency::new(), failures: Failures::default() }
    }

    pub fn add(&mut self, result: io::Result<Duration>) {
        match result {
            Ok(duration) => self.latency.add(duration),
            Err(error) => self.failures.add(&error),
        }
    }

    pub fn merge(&mut self, other: Tally) {
        self.latency.merge(&other.latency);
        self.failures.merge(other.failures);
    }

    /// One line of JSON's worth.
    pub fn report(&self, elapsed: Duration) -> Map<String, Value> {
        let Value::Object(mut report) = json!({
            "connections": self.latency.count(),
            "failed": self.failures.by_name(),
            "failedTotal": self.failures.total(),
            "seconds": rounded(elapsed.as_secs_f64()),
            "cps": (self.latency.count() as f64 / elapsed.as_secs_f64()).round(),
            "p50Us": self.latency.quantile_us(0.5),
            "p99Us": self.latency.quantile_us(0.99),
            "maxUs": self.latency.max_us(),
        }) else {
            unreachable!("an object was written above")
        };
        report.extend(cost());
        report
    }
}

/// The error's name in C, `ETIMEDOUT` for a socket's own time-out, `EOF` for an end too early.
fn name(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, _) => "ETIMEDOUT".into(),
        (io::ErrorKind::UnexpectedEof, _) => "EOF".into(),
        (_, Some(EINPROGRESS)) => "ETIMEDOUT".into(),
        (_, Some(code)) => format!("{:?}", Errno::from_raw(code)),
        (_, None) => error.to_string(),
    }
}

/// What this process has cost so far, for its report.
pub fn cost() -> impl Iterator<Item = (String, Value)> {
    let (user, system) = cpu_seconds();
    [("userSeconds", user), ("systemSeconds", system), ("cpuSeconds", user + system)]
        .into_iter()
        .map(|(name, seconds)| (name.to_string(), json!(rounded(seconds))))
}

/// User and system time of this process so far.
pub fn cpu_seconds() -> (f64, f64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return (0.0, 0.0) };
    let seconds = |microseconds: i64| microseconds as f64 / 1e6;
    (seconds(usage.user_time().num_microseconds()), seconds(usage.system_time().num_microseconds()))
}

pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What connect says when SO_SNDTIMEO is over.
const EINPROGRESS: i32 = Errno::EINPROGRESS as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_names_of_c() {
        let mut failures = Failures::default();
        for code in [111, 111, 115, 11, 113] {
            failures.add(&io::Error::from_raw_os_error(code));
        }
        failures.add(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!(failures.by_name(), json!({"ECONNREFUSED": 2, "EHOSTUNREACH": 1, "EOF": 1, "ETIMEDOUT": 2}));
        assert_eq!(failures.total(), 6);
    }
}
