//! Elementary functions and loops over rows, written so that the compiler vectorises them:
//! every closure is marked to be inlined, since only what is inlined into the dispatched
//! function may use its instructions.
//!
//! They use fused multiply-add. A processor without it (x86 before 2013) gets the same
//! numbers slowly.

use std::array::from_fn;

use burn::tensor::Element;

/// Values handled at once: a multiple of every vector width in use.
pub(crate) const LANES: usize = 16;

/// A float type with a hand-written fast path on the CPU.
pub(crate) trait Real:
    Element
    + bytemuck::Pod
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + PartialOrd
    + Default
    + Send
    + Sync
{
    const ONE: Self;
    const LOWEST: Self;
    fn of(value: f64) -> Self;
    /// `e^x` for x ≤ 0; at least for f32, 0 below −87.
    fn exp(self) -> Self;
    /// `ln x` for positive normal x.
    fn ln(self) -> Self;
    /// `ln(1 + x)` for x in `[0, 1]`.
    fn ln_1p(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
}

impl Real for f64 {
    const ONE: Self = 1.0;
    const LOWEST: Self = f64::MIN;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const LOWEST: Self = f32::MIN;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    /// `2ⁿ e^r` with `n = round(x / ln 2)` and |r| ≤ ln 2 / 2: a polynomial of degree 6,
    /// fitted there, whose own error is 1e-8.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        // ln 2 in two parts, the first with few bits, so that n · LN2_HIGH is exact.
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        let x = if self > -87.0 { self } else { -87.0 };
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
        let mut p: f32 = 1.393_368_8e-3;
        for c in [8.363_205e-3, 4.166_646_3e-2, 0.166_665_76, 0.5, 1.0, 1.0] {
            p = p.mul_add(r, c);
        }
        let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
        let value = p * power;
        if self < -87.0 { 0.0 } else { value }
    }

    /// Exponent times ln 2 plus the logarithm of a mantissa in `[√½, √2)` by the series
    /// of the inverse hyperbolic tangent.
    #[inline(always)]
    fn ln(self) -> Self {
        const SQRT_HALF: u32 = 0x3f35_04f3;
        let bits = self.to_bits().wrapping_sub(SQRT_HALF);
        let exponent = (bits as i32 >> 23) as f32;
        let mantissa = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF);
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let w = s * s;
        let mut p: f32 = 1.0 / 9.0;
        for c in [1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
            p = p.mul_add(w, c);
        }
        exponent * std::f32::consts::LN_2 + 2.0 * s * p
    }

    /// x times a polynomial of degree 8 fitted to `ln(1 + x) / x` on `[0, 1]`, whose own relative
    /// error is 3e-8: without a division, and exact also for tiny x.
    #[inline(always)]
    fn ln_1p(self) -> Self {
        let mut p: f32 = 5.232_693e-3;
        for c in [
            -2.950_523_8e-2,
            7.822_595e-2,
            -0.136_632_46,
            0.191_060_07,
            -0.248_429_82,
            0.333_190_98,
            -0.499_994_93,
            1.0,
        ] {
            p = p.mul_add(self, c);
        }
        self * p
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        f32::tanh(self)
    }
}

/// Folds `f` over aligned inputs in independent lanes, which the compiler keeps in vectors.
#[inline(always)]
pub(crate) fn fold<T: Real, const N: usize>(
    inputs: [&[T]; N],
    start: T,
    f: impl Fn([T; N]) -> T,
    join: impl Fn(T, T) -> T,
) -> T {
    let n = inputs[0].len();
    let inputs = inputs.map(
        #[inline(always)]
        |input| input[..n].as_chunks::<LANES>(),
    );
    let mut lanes = [start; LANES];
    for i in 0..n / LANES {
        let chunk: [&[T; LANES]; N] = from_fn(
            #[inline(always)]
            |k| &inputs[k].0[i],
        );
        for lane in 0..LANES {
            let value = f(from_fn(
                #[inline(always)]
                |k| chunk[k][lane],
            ));
            lanes[lane] = join(lanes[lane], value);
        }
    }
    let mut total = start;
    for lane in lanes {
        total = join(total, lane);
    }
    for i in 0..n % LANES {
        let value = f(from_fn(
            #[inline(always)]
            |k| inputs[k].1[i],
        ));
        total = join(total, value);
    }
    total
}

/// Σ f over aligned inputs.
#[inline(always)]
pub(crate) fn sum<T: Real, const N: usize>(inputs: [&[T]; N], f: impl Fn([T; N]) -> T) -> T {
    fold(
        inputs,
        T::default(),
        f,
        #[inline(always)]
        |a, b| a + b,
    )
}

/// Writes `f` of aligned inputs.
#[inline(always)]
pub(crate) fn fill<T: Real, const N: usize>(
    out: &mut [T],
    inputs: [&[T]; N],
    f: impl Fn([T; N]) -> T,
) {
    fill_all(
        [out],
        inputs,
        #[inline(always)]
        |x| [f(x)],
    );
}

/// Writes the numbers of `f` of aligned inputs, each to its own output.
#[inline(always)]
pub(crate) fn fill_all<T: Real, const M: usize, const N: usize>(
    outs: [&mut [T]; M],
    inputs: [&[T]; N],
    f: impl Fn([T; N]) -> [T; M],
) {
    let n = outs[0].len();
    let inputs = inputs.map(
        #[inline(always)]
        |input| input[..n].as_chunks::<LANES>(),
    );
    let mut outs = outs.map(
        #[inline(always)]
        |out| out[..n].as_chunks_mut::<LANES>(),
    );
    for i in 0..n / LANES {
        let values = chunk_of(
            from_fn(
                #[inline(always)]
                |k| &inputs[k].0[i],
            ),
            &f,
        );
        for (out, values) in outs.iter_mut().zip(values) {
            out.0[i] = values;
        }
    }
    for i in 0..n % LANES {
        let values = f(from_fn(
            #[inline(always)]
            |k| inputs[k].1[i],
        ));
        for (out, value) in outs.iter_mut().zip(values) {
            out.1[i] = value;
        }
    }
}

/// Replaces each number by `f` of it and of aligned inputs.
#[inline(always)]
pub(crate) fn change<T: Real, const N: usize>(
    out: &mut [T],
    inputs: [&[T]; N],
    f: impl Fn(T, [T; N]) -> T,
) {
    // Without chunks: with them the compiler gathers the same lane of several.
    let n = out.len();
    let inputs = inputs.map(
        #[inline(always)]
        |input| &input[..n],
    );
    for (i, out) in out.iter_mut().enumerate() {
        *out = f(
            *out,
            from_fn(
                #[inline(always)]
                |k| inputs[k][i],
            ),
        );
    }
}

/// `f` of one chunk. All loads come before the stores of the results, or the compiler would
/// have to expect them to overlap.
#[inline(always)]
fn chunk_of<T: Real, const M: usize, const N: usize>(
    chunk: [&[T; LANES]; N],
    f: &impl Fn([T; N]) -> [T; M],
) -> [[T; LANES]; M] {
    let mut values = [[T::default(); LANES]; M];
    for lane in 0..LANES {
        let value = f(from_fn(
            #[inline(always)]
            |k| chunk[k][lane],
        ));
        for k in 0..M {
            values[k][lane] = value[k];
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative error in units of f32's spacing.
    fn close(got: f32, expected: f64) -> bool {
        let scale = expected.abs().max(f64::from(f32::MIN_POSITIVE));
        (f64::from(got) - expected).abs() <= 4.0 * f64::from(f32::EPSILON) * scale
    }

    #[test]
    fn fast_functions_are_as_exact_as_the_type() {
        for i in 0..200_000 {
            let x = -87.0 * f64::from(i) / 200_000.0;
            let x32 = x as f32;
            assert!(close(Real::exp(x32), f64::from(x32).exp()), "exp {x32}");
            let u = (f64::from(i) / 200_000.0) as f32;
            assert!(close(Real::ln_1p(u), f64::from(u).ln_1p()), "ln_1p {u}");
            let v = (1e-6 + f64::from(i) / 20_000.0) as f32;
            let (got, exact) = (Real::ln(v), f64::from(v).ln());
            assert!(close(got, exact) || (f64::from(got) - exact).abs() < 1e-7, "ln {v}: {got}");
        }
        assert_eq!(Real::exp(0f32), 1.0);
        assert_eq!(Real::exp(-1e4f32), 0.0);
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Real::ln_1p(0f32), 0.0);
        let tiny = Real::ln_1p(1.5e-8f32);
        assert!((tiny - 1.5e-8).abs() < 1e-14);
    }

    #[test]
    fn a_fold_sees_every_value_once() {
        for n in [0, 1, 15, 16, 17, 100] {
            let row: Vec<f64> = (0..n).map(|i| i as f64).collect();
            assert_eq!(sum([&row, &row], |[a, b]| a + b), (0..n).sum::<usize>() as f64 * 2.0);
            let mut out = vec![0.0; n];
            fill(&mut out, [&row], |[a]| a + 1.0);
            assert!(out.iter().zip(&row).all(|(o, r)| *o == r + 1.0));
            let mut twice = vec![0.0; n];
            fill_all([&mut out, &mut twice], [&row], |[a]| [a, 2.0 * a]);
            assert_eq!(out, row);
            assert!(twice.iter().zip(&row).all(|(o, r)| *o == 2.0 * r));
        }
    }
}
