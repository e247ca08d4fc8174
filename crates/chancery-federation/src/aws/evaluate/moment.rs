//! Dates in conditions: ISO 8601 as the W3C profiles it, or seconds since 1970.

use chancery_core::UnixTime;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(super) fn parse(text: &str) -> Option<i128> {
    const SECOND: i128 = 1_000_000_000;

    if !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Four digits are a year; as seconds they would be in 1970.
        return (text.len() > 4)
            .then(|| text.parse::<i128>().ok())
            .flatten()
            .map(|seconds| seconds * SECOND);
    }
    let mut rest = Rest(text.as_bytes());
    let year = rest.digits(4)?;
    rest.expect(b'-')?;
    let month = rest.digits(2).filter(|month| (1..=12).contains(month))?;
    rest.expect(b'-')?;
    let day = rest.digits(2)?;
    if day < 1 || day > days_of(year, month) {
        return None;
    }
    let midnight = i128::from(days_since_1970(year, month, day)) * 86_400;
    if rest.0.is_empty() {
        return Some(midnight * SECOND);
    }
    rest.expect(b'T')?;
    let hour = rest.digits(2).filter(|hour| *hour < 24)?;
    rest.expect(b':')?;
    let minute = rest.digits(2).filter(|minute| *minute < 60)?;
    let (mut second, mut nanoseconds) = (0, 0);
    if rest.expect(b':').is_some() {
        second = rest.digits(2).filter(|second| *second < 60)?;
        if rest.expect(b'.').is_some() {
            nanoseconds = rest.fraction()?;
        }
    }
    let offset = rest.offset()?;
    let seconds = i128::from(hour * 3600 + (minute - offset) * 60 + second);
    Some((midnight + seconds) * SECOND + nanoseconds)
}

/// Writes a moment as `aws:CurrentTime` has it, such as `2026-11-20T09:30:00Z`.
pub(in crate::aws) fn format(time: UnixTime) -> String {
    let (days, seconds) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // A year that begins in March ends with the leap day, so the lengths of months follow a rule.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, carry) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    let year = era * 400 + year_of_era + carry;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }

    /// One to nine digits, in nanoseconds.
    fn fraction(&mut self) -> Option<i128> {
        let count = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 || count > 9 {
            return None;
        }
        let mut number = i128::from(self.digits(count)?);
        for _ in count..9 {
            number *= 10;
        }
        Some(number)
    }

    /// `Z` or `+hh:mm`, to the end, in minutes.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.0.split_first()? {
            (b'Z', []) => return Some(0),
            (b'+', rest) => {
                self.0 = rest;
                1
            }
            (b'-', rest) => {
                self.0 = rest;
                -1
            }
            _ => return None,
        };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        self.expect(b':')?;
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        self.0.is_empty().then_some(sign * (hours * 60 + minutes))
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    before * 365 + leap_days + months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments() {
        // Values of GNU date.
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2026-11-20", 1_795_132_800),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2024-03-01T00:00:00Z", 1_709_251_200),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("2026-11-20T01:30:00+01:30", 1_795_132_800),
            ("2026-11-19T19:00-05:00", 1_795_132_800),
            ("1795132800", 1_795_132_800),
        ] {
            assert_eq!(parse(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00.25Z"), Some(250_000_000));
    }

    #[test]
    fn writes_what_it_reads() {
        // Every other day of 400 years, after which the calendar repeats itself, and a second of each.
        for day in (0..146_097).step_by(2) {
            let seconds = day * 86_400 + (day * 7919) % 86_400;
            let text = format(UnixTime::from_secs(seconds).unwrap());
            assert_eq!(
                parse(&text),
                Some(i128::from(seconds) * 1_000_000_000),
                "{text}"
            );
        }
        assert_eq!(format(UnixTime::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-00-01",
            "2026-01-00",
            "2026-11-20T",
            "2026-11-20T24:00:00Z",
            "2026-11-20T00:00:60Z",
            "2026-11-20T00:00:00",
            "2026-11-20T00:00:00.Z",
            "2026-11-20T00:00:00Zx",
            "2026-11-20 00:00:00Z",
            "-1",
            "1795132800.5",
            "2026-11-20T00:00:00+0100",
            "９９99-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
