//! Medians of paired figures, and how sure they are.

/// The middle one; not a number for an empty sample.
pub(crate) fn median(mut sample: Vec<f64>) -> f64 {
    sample.sort_unstable_by(f64::total_cmp);
    let middle = sample.len() / 2;
    match sample.get(middle) {
        None => f64::NAN,
        Some(&upper) if sample.len() % 2 == 1 => upper,
        Some(&upper) => f64::midpoint(sample[middle - 1], upper),
    }
}

/// The interval that holds the median with 95% confidence, whatever the distribution: two order
/// statistics (the normal approximation of the sign test).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
pub(crate) fn median_interval(mut sample: Vec<f64>) -> (f64, f64) {
    sample.sort_unstable_by(f64::total_cmp);
    let count = sample.len() as f64;
    let reach = 0.98 * count.sqrt();
    let lower = (count / 2.0 - reach).floor().max(0.0) as usize;
    let upper = (count / 2.0 + reach).ceil() as usize;
    match (sample.get(lower), sample.last()) {
        (Some(&low), Some(&last)) => (low, sample.get(upper).copied().unwrap_or(last)),
        _ => (f64::NAN, f64::NAN),
    }
}

/// Applies a function to the figures of the same round.
pub(crate) fn paired(a: &[f64], b: &[f64], combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| combine(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn interval_narrows_with_the_sample() {
        let sample = |count: u32| (1..=count).map(f64::from).collect::<Vec<_>>();
        let (low, high) = median_interval(sample(101));
        assert!(low > 38.0 && low < 51.0 && high > 51.0 && high < 64.0);
        assert_eq!(median_interval(sample(3)), (1.0, 3.0));
    }
}
