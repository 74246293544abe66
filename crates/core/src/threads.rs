//! Short work shared with rayon's threads.

use std::sync::{Mutex, PoisonError};

/// `f` of every task, by rayon's threads and the calling one, which begins at once instead of
/// waiting until they are awake: some 20 µs, of much that takes 100. The caller takes tasks from the
/// front and the others from the back, so that each thread works on neighbouring ones.
///
/// ```
/// let mut squares = [0, 1, 2, 3, 4];
/// counterweight_core::threads::share(squares.iter_mut(), |v| *v *= *v);
/// assert_eq!(squares, [0, 1, 4, 9, 16]);
/// ```
pub fn share<T>(
    tasks: impl DoubleEndedIterator<Item = T> + ExactSizeIterator + Send,
    f: impl Fn(T) + Sync,
) {
    let helpers = rayon::current_num_threads().min(tasks.len()).saturating_sub(1);
    let tasks = Mutex::new(tasks);
    // Taken out while `f` runs, so that the others can take theirs.
    let next = |back: bool| {
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if back { tasks.next_back() } else { tasks.next() }
    };
    let work = |back| {
        while let Some(task) = next(back) {
            f(task);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| work(true));
        }
        work(false);
    });
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
                share(done.iter_mut(), |d| *d += 1);
                pool.install(|| share(done.iter_mut(), |d| *d += 2));
                pool.install(|| {
                    rayon::join(
                        || share(done.iter_mut(), |d| *d += 4),
                        || share([0; 100].iter_mut(), |d| *d += 1),
                    )
                });
                assert_eq!(done, vec![7; n]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "task 7")]
    fn a_panic_of_a_task_is_the_callers() {
        share(0..100, |i| assert!(i != 7, "task {i}"));
    }
}
