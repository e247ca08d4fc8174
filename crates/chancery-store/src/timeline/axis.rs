//! Where a moment lies, and which ones are marked.

use chancery_core::UnixTime;

/// The distances between marks that people read easily, in seconds.
#[rustfmt::skip]
const STEPS: [u64; 19] = [
    10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, DAY, 2 * DAY, 7 * DAY, 14 * DAY,
    30 * DAY, 90 * DAY, 180 * DAY, 365 * DAY, 3650 * DAY,
];

const DAY: u64 = 86_400;

/// How many marks there are at most.
const MOST_MARKS: u64 = 10;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A stretch of time on a stretch of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from: UnixTime,
    pub(super) until: UnixTime,
    /// In tenths of a pixel.
    pub(super) left: u64,
    pub(super) width: u64,
}

/// A marked moment with its label: the finer part, and the coarser part where that has changed.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) at: UnixTime,
    pub(super) fine: String,
    pub(super) coarse: Option<String>,
}

impl Axis {
    /// Where a moment is, in tenths of a pixel; at an end where it lies beyond.
    pub(super) fn x(self, moment: UnixTime) -> u64 {
        let from = self.from.as_secs();
        let moment = moment.clamp(self.from, self.until).as_secs() - from;
        // Both factors are small: a stretch is below 2^38 seconds.
        self.left + moment * self.width / (self.until.as_secs() - from).max(1)
    }

    /// Round moments, evenly spaced.
    pub(super) fn marks(self) -> Vec<Mark> {
        let (from, until) = (self.from.as_secs(), self.until.as_secs());
        let least = (until - from) / MOST_MARKS;
        let step = STEPS
            .into_iter()
            .find(|step| least <= *step)
            // Centuries, for who wants them.
            .unwrap_or(least);
        let mut marks = Vec::new();
        let mut last = None;
        let mut second = from.div_ceil(step) * step;
        while second <= until {
            let Some(at) = UnixTime::from_secs(second) else {
                break;
            };
            let (fine, coarse) = label(at, step);
            let is_new = last.as_ref() != Some(&coarse);
            last = Some(coarse.clone());
            marks.push(Mark {
                at,
                fine,
                coarse: is_new.then_some(coarse),
            });
            second += step;
        }
        marks
    }
}

/// Days within years, hours within days, or seconds within days.
fn label(at: UnixTime, step: u64) -> (String, String) {
    let text = at.to_rfc3339();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month - 1).copied().unwrap_or_default();
    let day = part(8..10).trim_start_matches('0');
    let (year, date) = (part(0..4), format!("{day} {month}"));
    if step >= DAY {
        (date, year.to_owned())
    } else {
        let length = if step < 60 { 19 } else { 16 };
        (part(11..length).to_owned(), format!("{date} {year}"))
    }
}
