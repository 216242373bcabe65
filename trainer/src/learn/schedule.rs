//! Which rows a step looks at, and how fast it learns.

use rand::seq::SliceRandom as _;

use super::rng;

/// The rows of a step, `batch` of `n`: every epoch in an order of its own.
///
/// # Arguments
///
/// - what: part of the seed.
pub(crate) fn rows(seed: u64, what: &str, n: usize, batch: usize, step: usize) -> Vec<usize> {
    let batch = batch.min(n);
    let steps_per_epoch = n / batch;
    let mut order: Vec<usize> = (0..n).collect();
    let epoch = (step - 1) / steps_per_epoch;
    order.shuffle(&mut rng(seed, what, epoch));
    let start = (step - 1) % steps_per_epoch * batch;
    order[start..start + batch].to_vec()
}

/// The share of the highest learning rate: it rises over the share `warm_up` of the steps, then falls; it would be 0 after the last step.
pub(crate) fn warmed(step: usize, steps: usize, warm_up: f64) -> f64 {
    let rising = (steps as f64 * warm_up).ceil().max(1.0);
    let falling = steps as f64 - rising + 1.0;
    if step as f64 <= rising {
        step as f64 / rising
    } else {
        1.0 - (step as f64 - rising) / falling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_every_row_once() {
        let epoch = |first: usize| -> Vec<usize> {
            let steps = first..first + 3;
            steps.flat_map(|step| rows(7, "rows", 9, 3, step)).collect()
        };
        let (first, second) = (epoch(1), epoch(4));
        assert_ne!(first, second);
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rates: Vec<f64> = (1..=5).map(|step| warmed(step, 5, 0.4)).collect();
        assert_eq!(rates, [0.5, 1.0, 0.75, 0.5, 0.25]);
    }
}
