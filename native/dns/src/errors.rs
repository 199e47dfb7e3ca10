//! The errors step: why a query failed, a line each, or one for many that are alike. Every fetch is told once, however many
//! wait for it.

use crate::log::print;
use crate::metrics::TYPES;
use crate::name::Shown;
use regex::Regex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use supervisor::Problem;
use tokio::task::spawn_local;
use tokio::time::sleep;
use wire::corefile::{self, LogLevel};

pub struct Errors {
    rules: Vec<Arc<Rule>>,
    /// The second that lines are counted in, and how many there were and how many were not said.
    rate: Mutex<(Instant, u64, u64)>,
}

struct Rule {
    pattern: Regex,
    period: Duration,
    level: LogLevel,
    show_first: bool,
    count: AtomicU64,
    /// A period is under way.
    counting: AtomicBool,
}

impl Errors {
    pub fn new(step: &corefile::Errors) -> Result<Errors, Problem> {
        let rule = |rule: &corefile::Consolidate| {
            let wrong = |error: regex::Error| Problem::new(error.to_string(), "correct the pattern of consolidate");
            Ok(Arc::new(Rule {
                pattern: Regex::new(&rule.pattern).map_err(wrong)?,
                period: Duration::from_millis(rule.period_ms.into()),
                level: rule.level,
                show_first: rule.show_first,
                count: AtomicU64::new(0),
                counting: AtomicBool::new(false),
            }))
        };
        let rules = step.consolidate.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Errors { rules, rate: Mutex::new((Instant::now(), 0, 0)) })
    }

    /// On the event loop. `code`: what the client gets.
    pub fn tell(&self, code: u16, name: &[u8], kind: u16, reason: &str) {
        let rule = self.rules.iter().find(|rule| rule.pattern.is_match(reason));
        let level = match rule {
            None => LogLevel::Error,
            Some(rule) if rule.consolidate() => return,
            Some(rule) => rule.level,
        };
        if self.may_say() {
            say(level, &line(code, name, kind, reason));
        }
    }

    /// Whoever can make queries fail does not get to fill the log.
    fn may_say(&self) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (since, said, unsaid) = &mut *rate;
        if since.elapsed() >= SECOND {
            if *unsaid > 0 {
                say(
                    LogLevel::Warning,
                    &format!("{unsaid} errors were not said: there were more than {LINES_MAX} a second"),
                );
            }
            (*since, *said, *unsaid) = (Instant::now(), 0, 0);
        }
        *said += 1;
        *unsaid += u64::from(*said > LINES_MAX);
        *said <= LINES_MAX
    }
}

impl Rule {
    /// Whether it is counted only.
    fn consolidate(self: &Arc<Rule>) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.counting.swap(true, Ordering::Relaxed) {
            return true;
        }
        let rule = Arc::downgrade(self);
        let period = self.period;
        spawn_local(async move {
            sleep(period).await;
            // If it has gone, it has said what there was.
            rule.upgrade().iter().for_each(|rule| rule.sum_up());
        });
        !self.show_first
    }

    fn sum_up(&self) {
        self.counting.store(false, Ordering::Relaxed);
        if let Some(text) = self.sum() {
            say(self.level, &text);
        }
    }

    fn sum(&self) -> Option<String> {
        let count = self.count.swap(0, Ordering::Relaxed);
        let said = u64::from(self.show_first);
        let text = || format!("{count} errors like '{}' occurred in last {}", self.pattern, shown(self.period));
        (count > said).then(text)
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        self.sum_up();
    }
}

fn line(code: u16, name: &[u8], kind: u16, reason: &str) -> String {
    let known = TYPES.iter().find(|(number, _)| *number == kind && *number != 0);
    let kind = known.map_or_else(|| format!("TYPE{kind}"), |(_, name)| name.to_string());
    format!("{code} {} {kind}: {reason}", Shown(name))
}

fn say(level: LogLevel, text: &str) {
    let level = match level {
        // CoreDNS says these with its debug plugin only.
        LogLevel::Debug => return,
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARNING",
        LogLevel::Error => "ERROR",
    };
    print(format!("[{level}] plugin/errors: {text}"));
}

/// As Go shows durations: `30s`, `5m0s`, `1h0m0s`, `1.5s`.
fn shown(period: Duration) -> String {
    let (whole, ms) = (period.as_secs(), period.subsec_millis());
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    let seconds = (whole % 60) as f64 + f64::from(ms) / 1000.0;
    match (hours, minutes) {
        (0, 0) if whole == 0 => format!("{ms}ms"),
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

const SECOND: Duration = Duration::from_secs(1);
const LINES_MAX: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(show_first: bool) -> Arc<Rule> {
        let consolidate = corefile::Consolidate {
            period_ms: 300_000,
            pattern: ".* i/o timeout$".to_string(),
            level: LogLevel::Warning,
            show_first,
        };
        Errors::new(&corefile::Errors { consolidate: vec![consolidate] }).unwrap().rules[0].clone()
    }

    #[test]
    fn lines_as_coredns_writes_them() {
        let reason = "read udp 10.0.0.1:53->8.8.8.8:53: i/o timeout";
        assert_eq!(line(2, b"\x07example\x03org\0", 1, reason), format!("2 example.org. A: {reason}"));
        assert_eq!(line(5, b"\0", 999, "x"), "5 . TYPE999: x");
        let period = |ms| shown(Duration::from_millis(ms));
        assert_eq!([period(500), period(1500), period(30_000)], ["500ms", "1.5s", "30s"]);
        assert_eq!([period(300_000), period(3_600_000)], ["5m0s", "1h0m0s"]);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn errors_that_are_alike_are_counted() {
        let work = async {
            for (show_first, counted, sum) in [
                (false, vec![true], Some("1 errors like '.* i/o timeout$' occurred in last 5m0s")),
                (false, vec![true, true, true], Some("3 errors like '.* i/o timeout$' occurred in last 5m0s")),
                (true, vec![false], None),
                (true, vec![false, true, true], Some("3 errors like '.* i/o timeout$' occurred in last 5m0s")),
            ] {
                let rule = rule(show_first);
                let each: Vec<bool> = counted.iter().map(|_| rule.consolidate()).collect();
                assert_eq!((each, rule.sum().as_deref()), (counted, sum));
            }
            // A period ends, and another begins.
            let rule = rule(true);
            assert!(!rule.consolidate() && rule.consolidate());
            sleep(Duration::from_secs(301)).await;
            assert_eq!(rule.count.load(Ordering::Relaxed), 0);
            assert!(!rule.consolidate());
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }

    #[test]
    fn there_are_only_so_many_lines_a_second() {
        let errors = Errors::new(&corefile::Errors { consolidate: vec![] }).unwrap();
        *errors.rate.lock().unwrap() = (Instant::now() + Duration::from_secs(3600), 0, 0);
        let said = (0..500).filter(|_| errors.may_say()).count() as u64;
        assert_eq!((said, errors.rate.lock().unwrap().2), (LINES_MAX, 500 - LINES_MAX));
    }
}
