//! Work shared by rayon's threads.

use rayon::prelude::*;

/// Numbers that are not worth another thread: a nanosecond or less is spent on one, and some 20 µs
/// on waking.
const LITTLE: usize = 1 << 17;

/// `f` of every task, in parallel unless `numbers`, which all tasks compute together, are few: a
/// small batch is done before rayon's threads are awake.
pub(crate) fn share<T: Send>(
    numbers: usize,
    tasks: impl ExactSizeIterator<Item = T>,
    f: impl Fn(T) + Send + Sync,
) {
    if many(numbers, tasks.len()) {
        tasks.collect::<Vec<_>>().into_par_iter().for_each(f);
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
    fn every_task_is_done_once_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for n in [0, 1, 2, 3, 1000] {
                let mut done = vec![0; n];
                share(n, done.iter_mut(), |d| *d += 1);
                share(n * LITTLE, done.iter_mut(), |d| *d += 2);
                pool.install(|| share(n * LITTLE, done.iter_mut(), |d| *d += 4));
                assert_eq!(done, vec![7; n]);
            }
        }
    }
}
