//! Memory for large results, in huge pages where Linux has them: a fresh 50 MB result costs 12,000
//! page faults of 4 kB, which take longer than copying its rows.

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
        assert_eq!(zeros(5, ()).len(), 5);
        let mut memory = with_capacity(3 << 18);
        memory.extend((0..3 << 18).map(f64::from));
        assert!(memory.iter().enumerate().all(|(i, v)| *v == i as f64));
        assert_eq!(zeros(3, 7_u8), [7; 3], "any value is allowed");
    }
}
