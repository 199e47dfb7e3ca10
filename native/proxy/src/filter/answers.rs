//! What was answered to those who asked for leave, for a while. Of all threads, and no more than so many.

use hyper::header::HeaderMap;
use std::collections::{HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
}

#[derive(Default)]
struct Answers {
    by_key: HashMap<String, (u64, Instant, Answer)>,
    /// The oldest first; of a key that was held again, only the number in `by_key` counts.
    order: VecDeque<(u64, String)>,
    next: u64,
}

pub fn find(key: &str) -> Option<Answer> {
    lock().find(key, Instant::now())
}

pub fn hold(key: String, answer: &Answer, until: Instant) {
    lock().hold(key, answer, until);
}

impl Answers {
    fn find(&mut self, key: &str, now: Instant) -> Option<Answer> {
        let (_, until, answer) = self.by_key.get(key)?;
        if *until > now {
            return Some(answer.clone());
        }
        self.by_key.remove(key);
        None
    }

    fn hold(&mut self, key: String, answer: &Answer, until: Instant) {
        let octets: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if key.len() + octets > ANSWER_MAX_BYTES {
            return;
        }
        self.next += 1;
        self.by_key.insert(key.clone(), (self.next, until, answer.clone()));
        self.order.push_back((self.next, key));
        while self.by_key.len() > ANSWERS_MAX || self.order.len() > 2 * ANSWERS_MAX {
            let Some((number, key)) = self.order.pop_front() else { return };
            if self.by_key.get(&key).is_some_and(|(held, _, _)| *held == number) {
                self.by_key.remove(&key);
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Answers> {
    static HELD: LazyLock<Mutex<Answers>> = LazyLock::new(Mutex::default);
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

const ANSWERS_MAX: usize = 10_000;
const ANSWER_MAX_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_oldest_go_and_none_outlives_its_time() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let later = now + Duration::from_secs(60);
        let answer = Answer { status: 200, headers: HeaderMap::new() };
        for number in 0..=ANSWERS_MAX {
            answers.hold(number.to_string(), &answer, later);
        }
        assert_eq!((answers.by_key.len(), answers.find("0", now).is_none()), (ANSWERS_MAX, true));
        assert!(
            answers.find("1", now).is_some() && answers.find("1", later).is_none() && answers.find("1", now).is_none()
        );
        for _ in 0..=4 * ANSWERS_MAX {
            answers.hold("same".to_string(), &answer, later);
        }
        assert!(answers.order.len() <= 2 * ANSWERS_MAX);
        assert!(answers.find("same", now).is_some());
        answers.hold("x".repeat(ANSWER_MAX_BYTES + 1), &answer, later);
        assert!(answers.find(&"x".repeat(ANSWER_MAX_BYTES + 1), now).is_none());
    }
}
