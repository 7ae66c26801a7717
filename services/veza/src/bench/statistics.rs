//! Quantiles of measured times.

use std::time::Duration;

/// Measured times, milliseconds.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<f64>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1_000.0);
    }

    pub(super) fn extend(&mut self, milliseconds: impl IntoIterator<Item = f64>) {
        self.0.extend(milliseconds);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which the share `q` of all times lies; 0 without any.
    pub(super) fn quantile(&mut self, q: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let index = (self.0.len() as f64 * q).ceil() as usize;
        self.0.get(index.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let mut times = Times::default();
        times.extend((1..=100).map(f64::from));
        assert_eq!(
            (times.quantile(0.5), times.quantile(0.99), times.quantile(1.0)),
            (50.0, 99.0, 100.0)
        );
    }
}
