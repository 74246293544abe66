//! Work shared by rayon's threads.

use counterweight_core::threads;

/// Numbers that are not worth another thread: a nanosecond or less is spent on one, and some 20 µs
/// on waking.
const LITTLE: usize = 1 << 17;

/// `f` of every task, in parallel unless `numbers`, which all tasks compute together, are few: a
/// small batch is done before rayon's threads are awake.
pub(crate) fn share<T>(
    numbers: usize,
    tasks: impl DoubleEndedIterator<Item = T> + ExactSizeIterator + Send,
    f: impl Fn(T) + Sync,
) {
    if many(numbers, tasks.len()) {
        threads::share(tasks, f);
    } else {
        tasks.for_each(f);
    }
}

/// Whether so many numbers are worth more than one thread.
pub(crate) fn many(numbers: usize, tasks: usize) -> bool {
    numbers >= LITTLE && tasks >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_whether_there_is_much_to_do_or_little() {
        for numbers in [0, LITTLE] {
            for n in [0, 1, 2, 1000] {
                let mut done = vec![0; n];
                share(numbers, done.iter_mut(), |d| *d += 1);
                assert_eq!(done, vec![1; n]);
            }
        }
    }
}
