//! Memory for large results, in huge pages where Linux has them: a fresh 50 MB result costs 12,000
//! page faults of 4 kB, which take longer than copying its rows.

use std::mem::MaybeUninit;

use crate::threads;

/// `vec![zero; len]`, of a value that is zero in every bit, such as `0.0`.
///
/// ```
/// assert_eq!(counterweight_core::pages::zeros(3, 0.0_f64), [0.0; 3]);
/// ```
pub fn zeros<T: Clone>(len: usize, zero: T) -> Vec<T> {
    // Such a vector comes from the system untouched, so that there is still time to ask.
    let mut memory = vec![zero; len];
    advise(&mut memory);
    memory
}

/// `Vec::with_capacity`.
pub fn with_capacity<T>(len: usize) -> Vec<T> {
    let mut memory = Vec::with_capacity(len);
    advise(memory.spare_capacity_mut());
    memory
}

/// `len` values, `chunk` at a time by `f(number of the chunk, chunk)`, which finds defaults, such as
/// 0: each chunk is cleared when it is its turn, so that it is in the cache and not written twice to
/// memory. By rayon's threads if `parallel`.
///
/// ```
/// let squares = counterweight_core::pages::filled(5, 2, false, |i, chunk: &mut [usize]| {
///     chunk.iter_mut().enumerate().for_each(|(j, v)| *v += (2 * i + j).pow(2));
/// });
/// assert_eq!(squares, [0, 1, 4, 9, 16]);
/// ```
///
/// # Panics
/// When `chunk` is 0 and `len` is not.
#[expect(unsafe_code, reason = "small results of kernels take half the time with it")]
pub fn filled<T: Copy + Default + Send>(
    len: usize,
    chunk: usize,
    parallel: bool,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    by_chunk(len, chunk, parallel, |i, place| {
        for value in place.iter_mut() {
            // A constant, of which the compiler makes the C library's clearing.
            value.write(T::default());
        }
        // SAFETY: all of the chunk was written just now.
        f(i, unsafe { place.assume_init_mut() });
    })
}

/// A copy of `values`, changed `chunk` at a time by `f(number of the chunk, chunk)`: each chunk is
/// copied when it is its turn, as [`filled`] clears it.
///
/// ```
/// let doubled = counterweight_core::pages::changed(&[1, 2, 3], 2, false, |_, chunk| {
///     chunk.iter_mut().for_each(|v| *v *= 2);
/// });
/// assert_eq!(doubled, [2, 4, 6]);
/// ```
///
/// # Panics
/// When `chunk` is 0 and there are values.
pub fn changed<T: Copy + Send + Sync>(
    values: &[T],
    chunk: usize,
    parallel: bool,
    f: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    by_chunk(values.len(), chunk, parallel, |i, place| {
        let from = &values[i * chunk..][..place.len()];
        f(i, place.write_copy_of_slice(from));
    })
}

/// `write` must write all of the chunk that it is given.
#[expect(unsafe_code, reason = "small results of kernels take half the time with it")]
fn by_chunk<T: Send>(
    len: usize,
    chunk: usize,
    parallel: bool,
    write: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    let mut memory = with_capacity(len);
    if len > 0 {
        let place = &mut memory.spare_capacity_mut()[..len];
        let chunks = place.chunks_mut(chunk).enumerate();
        if parallel {
            threads::share(chunks, |(i, place)| write(i, place));
        } else {
            chunks.for_each(|(i, place)| write(i, place));
        }
        // SAFETY: the chunks are the first `len` values, and `write` wrote every one.
        unsafe { memory.set_len(len) };
    }
    memory
}

/// Lets the allocator of the GNU C library keep what is freed, up to some 64 MB, and take blocks of
/// up to 32 MB from it. A step of training frees all its tensors at once: by default their memory
/// goes back to the system, and comes again page by page with the next step, which took a quarter of
/// the time of small networks. Does nothing with other allocators.
///
/// Both sizes grow by themselves with the largest block that a process has freed, so that this is
/// one such block that nobody writes to.
pub fn keep_freed() {
    /// The largest block that counts is one of 32 MB, with what the allocator adds to it.
    const LARGEST: usize = (32 << 20) - (1 << 16);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST)));
}

/// Asks for huge pages; where that fails the memory is as it was.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "resampling large tables takes a third less time with it")]
fn advise<T>(memory: &mut [T]) {
    const HUGE: usize = 1 << 21;
    let (start, bytes) = (memory.as_mut_ptr().addr(), size_of_val(memory));
    let first = start.next_multiple_of(HUGE) - start;
    let whole = bytes.saturating_sub(first) / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: `first + whole <= bytes`, so that the range is within the slice, and the advice
        // changes which pages back it but not what it holds.
        unsafe {
            let range = memory.as_mut_ptr().byte_add(first);
            libc::madvise(range.cast(), whole, libc::MADV_HUGEPAGE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn advise<T>(_memory: &mut [T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_any_length_is_zero_and_can_be_written() {
        for len in [0, 1, 511, (1 << 18) - 1, 1 << 18, 3 << 18, (5 << 18) + 17] {
            let mut memory = zeros(len, 0.0_f64);
            assert_eq!(memory.len(), len);
            assert!(memory.iter().all(|v| *v == 0.0));
            memory.iter_mut().enumerate().for_each(|(i, v)| *v = i as f64);
            assert!(memory.iter().enumerate().all(|(i, v)| *v == i as f64));
        }
        for (len, chunk) in [(0, 0), (0, 3), (1, 7), (10_000, 1), (10_001, 100), (700_000, 4096)] {
            for parallel in [false, true] {
                let found = filled(len, chunk, parallel, |i, values: &mut [u32]| {
                    for (j, value) in values.iter_mut().enumerate() {
                        assert_eq!(*value, 0);
                        *value = (i * chunk + j) as u32;
                    }
                });
                assert!(found.iter().enumerate().all(|(i, v)| *v == i as u32));
                assert_eq!(found.len(), len);
                let next = changed(&found, chunk, parallel, |i, values| {
                    assert_eq!(values.first(), Some(&((i * chunk) as u32)));
                    values.iter_mut().for_each(|v| *v += 1);
                });
                assert!(next.iter().zip(&found).all(|(a, b)| *a == b + 1));
                assert_eq!(next.len(), len);
            }
        }
        assert_eq!(zeros(5, ()).len(), 5);
        let mut memory = with_capacity(3 << 18);
        memory.extend((0..3 << 18).map(f64::from));
        assert!(memory.iter().enumerate().all(|(i, v)| *v == i as f64));
        assert_eq!(zeros(3, 7_u8), [7; 3], "any value is allowed");
    }
}
