//! Moments as people read them.

use crate::support::time;

/// Dates that other calendars agree on.
#[test]
fn moments_read_as_dates() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (86_399, "1970-01-01T23:59:59Z"),
        (68_169_599, "1972-02-28T23:59:59Z"),
        (68_169_600, "1972-02-29T00:00:00Z"),
        (68_256_000, "1972-03-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (978_307_199, "2000-12-31T23:59:59Z"),
        (1_234_567_890, "2009-02-13T23:31:30Z"),
        (1_767_225_600, "2026-01-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(time(seconds).to_rfc3339(), text);
    }
}

/// A calendar that counts day by day.
#[test]
fn every_day_follows_the_one_before() {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..366 * 500 {
        let text = time(days * 86_400 + 3_661).to_rfc3339();
        assert_eq!(text, format!("{year:04}-{month:02}-{day:02}T01:01:01Z"));
        let last = match month {
            2 => 28 + u64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > last {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
}
