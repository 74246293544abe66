//! Sorting many numbers on all threads.

/// Below this length one thread sorts.
const SMALL: usize = 1 << 15;

/// Sorts downwards; −0 becomes 0, which is the same score. No value may be NaN.
pub(super) fn sort_falling(values: &mut [f64]) {
    // As integers whose order is that of the numbers, compared without branches.
    let mut keys: Vec<u64> = values.iter().map(|&v| key(v)).collect();
    split(&mut keys, rayon::current_num_threads());
    values.iter_mut().zip(keys).for_each(|(v, k)| *v = value(k));
}

/// Halves are sorted apart; the standard stable sort then finds the two runs and merges them.
fn split(keys: &mut [u64], threads: usize) {
    if threads < 2 || keys.len() < SMALL {
        keys.sort_unstable();
        return;
    }
    let (a, b) = keys.split_at_mut(keys.len() / 2);
    rayon::join(|| split(a, threads / 2), || split(b, threads - threads / 2));
    keys.sort();
}

/// Rises as the number falls.
fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    let rising = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    !rising
}

fn value(key: u64) -> f64 {
    let rising = !key;
    f64::from_bits(if rising >> 63 == 1 { rising & !(1 << 63) } else { !rising })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_inputs_fall() {
        for n in [0, 5, 100_000] {
            let mut values: Vec<f64> = (0..n).map(|i| f64::from(i * 7919 % 1009) - 500.5).collect();
            values.extend([f64::INFINITY, -0.0, 0.0, f64::NEG_INFINITY, 1e-310]);
            let mut expected = values.clone();
            expected.sort_by(|a, b| b.partial_cmp(a).unwrap());
            sort_falling(&mut values);
            assert_eq!(values, expected);
        }
    }
}
