//! Noise made of uniform numbers, on the host.

use pulp::Arch;

use crate::real::Real;

/// Gumbel noise in place of uniform numbers u of `(0, 1)`: `−ln(−ln u)`, with the best instructions
/// of the processor, where the C library's logarithm takes one number at a time.
///
/// ```
/// let mut noise = [0.5, 1.0 / std::f32::consts::E];
/// counterweight_kernels::gumbel(&mut noise);
/// assert!((noise[0] - 0.366_512_92).abs() < 1e-6 && noise[1].abs() < 1e-6);
/// ```
pub fn gumbel(uniform: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for u in uniform.iter_mut() {
                *u = -Real::ln(-Real::ln(*u));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_exact_as_the_type_from_end_to_end() {
        let step = 2f64.powi(-23);
        let at = |i: usize| (i as f64 + 0.5) * step;
        let all: Vec<f64> = (0..1 << 23).step_by(97).chain([(1 << 23) - 1]).map(at).collect();
        let mut noise: Vec<f32> = all.iter().map(|u| *u as f32).collect();
        gumbel(&mut noise);
        for (u, noise) in all.iter().zip(noise) {
            let exact = -(-u.ln()).ln();
            assert!(
                (f64::from(noise) - exact).abs() <= 1e-6 * exact.abs().max(1.0),
                "{u}: {noise}"
            );
        }
    }
}
