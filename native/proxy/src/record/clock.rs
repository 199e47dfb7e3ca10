//! The time of day as logs write it, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Moment {
        Moment(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// `2026-11-21T20:43:00+00:00`.
    pub fn iso8601(self) -> String {
        let (year, month, day) = self.date();
        let (hours, minutes, seconds) = self.time();
        format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}+00:00")
    }

    /// `21/Nov/2026:20:43:00 +0000`.
    pub fn local(self) -> String {
        let (year, month, day) = self.date();
        let (hours, minutes, seconds) = self.time();
        let month = MONTHS[month as usize - 1];
        format!("{day:02}/{month}/{year:04}:{hours:02}:{minutes:02}:{seconds:02} +0000")
    }

    /// Seconds and milliseconds.
    pub fn msec(self) -> String {
        format!("{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }

    /// Howard Hinnant's civil_from_days.
    fn date(self) -> (u64, u64, u64) {
        let days = self.0.as_secs() / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year + era * 400 + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
    }

    fn time(self) -> (u64, u64, u64) {
        let seconds = self.0.as_secs() % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, iso, local) in [
            (0, "1970-01-01T00:00:00+00:00", "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, "2000-02-29T00:00:00+00:00", "29/Feb/2000:00:00:00 +0000"),
            (1_795_293_780, "2026-11-21T20:43:00+00:00", "21/Nov/2026:20:43:00 +0000"),
            (4_107_542_399, "2100-02-28T23:59:59+00:00", "28/Feb/2100:23:59:59 +0000"),
        ] {
            let moment = Moment(Duration::from_secs(seconds));
            assert_eq!((moment.iso8601().as_str(), moment.local().as_str()), (iso, local));
        }
    }
}
