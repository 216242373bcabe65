//! A limit on the time for which a device may be silent.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Seconds for which a graphics processor may be silent before it counts as stuck.
pub const DEVICE_SECONDS: u32 = 15;

/// Awaits `work`; `None` once one of the awaits inside it has lasted `seconds`.
///
/// The limit is on each await, not on the whole: slow work that goes on has all the time that it needs.
#[cfg(target_arch = "wasm32")]
pub async fn unless_stuck<T>(seconds: u32, work: impl Future<Output = T>) -> Option<T> {
    unless_silent(seconds, work, || {
        gloo_timers::future::TimeoutFuture::new(1000)
    })
    .await
}

/// Awaits `work`; `None` once `max_ticks` have passed since it was last woken.
///
/// Ticks are counted, not time: neither a computation that blocks the thread nor a machine that sleeps counts as silence of the device.
pub async fn unless_silent<T, Tick: Future<Output = ()>>(
    max_ticks: u32,
    work: impl Future<Output = T>,
    new_tick: impl Fn() -> Tick,
) -> Option<T> {
    let mut work = pin!(work);
    let mut tick = Box::pin(new_tick());
    let mut n_ticks = 0;
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if tick.as_mut().poll(context).is_pending() {
            // It was the work that was woken.
            n_ticks = 0;
            return Poll::Pending;
        }
        n_ticks += 1;
        if n_ticks >= max_ticks {
            return Poll::Ready(None);
        }
        tick = Box::pin(new_tick());
        // Only a polled timer wakes this task.
        if tick.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::{Context, Waker};

    use super::*;

    /// Polls work that is silent for the given numbers of ticks, one await after the other.
    fn run(max_ticks: u32, silences: &[u32]) -> Option<&'static str> {
        let now = Cell::new(0);
        let woken = Cell::new(false);
        let work = async {
            for silence in silences {
                let end = now.get() + silence;
                poll_fn(|_| {
                    if now.get() >= end {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
            "done"
        };
        let new_tick = || {
            let end = now.get() + 1;
            let (now, woken) = (&now, &woken);
            poll_fn(move |_| {
                if now.get() >= end && !woken.get() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        };
        let mut guarded = pin!(unless_silent(max_ticks, work, new_tick));
        let mut context = Context::from_waker(Waker::noop());
        for second in 0..1000 {
            now.set(second);
            // A finished await wakes the task by itself, in the middle of a tick.
            let mut ends = silences.iter().scan(0, |end, silence| {
                *end += silence;
                Some(*end)
            });
            woken.set(ends.any(|end| end == second));
            if let Poll::Ready(result) = guarded.as_mut().poll(&mut context) {
                return result;
            }
        }
        panic!("neither done nor stopped after 1000 ticks");
    }

    #[test]
    fn every_await_has_the_whole_limit() {
        assert_eq!(run(15, &[]), Some("done"));
        assert_eq!(run(15, &[14]), Some("done"));
        assert_eq!(run(15, &[14, 14, 14, 14, 14, 14]), Some("done"));
        assert_eq!(run(3, &[2, 1, 2, 2]), Some("done"));
    }

    #[test]
    fn work_that_is_silent_for_longer_is_given_up() {
        assert_eq!(run(15, &[400]), None);
        assert_eq!(run(15, &[1, 14, 17]), None);
        assert_eq!(run(2, &[1, 1, 4]), None);
    }
}
