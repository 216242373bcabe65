//! Rows on all cores.

use std::num::NonZero;

use crate::files::progress;

/// What `work` says of each row, in their order; the first error ends it.
///
/// # Errors
///
/// Those of `work`.
pub(crate) fn on_all_cores<T: Sync, R: Send>(
    rows: &[T],
    what: &'static str,
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let bar = progress(rows.len(), what);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = rows.len().div_ceil(threads).max(1);
    let of_rows = |rows: &[T]| -> anyhow::Result<Vec<R>> {
        let row = |row| {
            bar.inc(1);
            work(row)
        };
        rows.iter().map(row).collect()
    };
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = rows
            .chunks(share)
            .map(|rows| scope.spawn(|| of_rows(rows)))
            .collect();
        workers
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    bar.finish_and_clear();
    Ok(parts.into_iter().flatten().collect())
}
