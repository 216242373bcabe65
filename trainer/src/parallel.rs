//! Rows on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::files::progress;

/// What `work` returns for each row, in the order of the rows.
///
/// # Errors
///
/// The error of the first row that has one. Rows behind it may be skipped.
pub(crate) fn on_all_cores<T: Sync, R: Send>(
    rows: &[T],
    what: &'static str,
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let bar = progress(rows.len(), what);
    let first_failure = AtomicUsize::new(usize::MAX);
    let results: Vec<Option<anyhow::Result<R>>> = rows
        .par_iter()
        .enumerate()
        // Some rows take much longer than others.
        .with_max_len(1)
        .map(|(i, row)| {
            if i > first_failure.load(Ordering::Relaxed) {
                return None;
            }
            let result = work(row);
            if result.is_err() {
                first_failure.fetch_min(i, Ordering::Relaxed);
            }
            bar.inc(1);
            Some(result)
        })
        .collect();
    bar.finish_and_clear();
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use anyhow::{bail, ensure};

    use super::*;

    /// `on_all_cores` with two threads, whatever the machine has.
    fn on_two_threads<R: Send>(
        rows: &[usize],
        work: impl Fn(&usize) -> anyhow::Result<R> + Sync + Send,
    ) -> anyhow::Result<Vec<R>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        pool.unwrap().install(|| on_all_cores(rows, "rows", work))
    }

    #[test]
    fn results_are_in_the_order_of_the_rows() {
        for n in [0, 1, 2, 1000] {
            let rows: Vec<usize> = (0..n).collect();
            let doubled = on_two_threads(&rows, |row| Ok(2 * row)).unwrap();
            assert_eq!(doubled, rows.iter().map(|row| 2 * row).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_error_by_position_is_returned() {
        for failing in [&[0][..], &[99], &[98, 99], &[3, 50, 51], &[0, 99]] {
            let rows: Vec<usize> = (0..100).collect();
            let result = on_two_threads(&rows, |row| {
                ensure!(!failing.contains(row), "row {row}");
                Ok(())
            });
            assert_eq!(
                result.unwrap_err().to_string(),
                format!("row {}", failing[0])
            );
        }
    }

    #[test]
    fn no_row_waits_for_a_slow_one() {
        for slow in [0, 20, 39] {
            let rows: Vec<usize> = (0..40).collect();
            let finished = AtomicUsize::new(0);
            let start = Instant::now();
            let result = on_two_threads(&rows, |row| {
                // The slow row ends when all others have: waiting for it would be a deadlock.
                while *row == slow && finished.load(Ordering::Relaxed) < rows.len() - 1 {
                    if start.elapsed() > Duration::from_secs(60) {
                        bail!("rows wait for row {row}");
                    }
                    std::thread::yield_now();
                }
                finished.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            assert!(result.is_ok(), "{result:?}");
        }
    }
}
