use super::super::layout::Kind;

/// Squared distance along one coordinate, before scaling; NaN is a parameter that is not
/// there, as far from any value as two categories are.
pub(super) fn squared(kind: Kind, a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::from(a.is_nan() != b.is_nan());
    }
    match kind {
        Kind::Number => (a - b) * (a - b),
        Kind::Category => f64::from(a != b),
    }
}

/// The Matérn kernel, by its smoothness ν.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matern {
    /// ν = 5/2, of functions with two derivatives.
    FiveHalves,
    /// ν = 3/2, of functions with one.
    ThreeHalves,
}

impl Matern {
    /// The kernel of a squared scaled distance `r²`, and its derivative with respect to `r²`:
    /// for ν = 5/2 `k = (1 + √5 r + 5/3 r²) e^(−√5 r)` and `−5/6 (1 + √5 r) e^(−√5 r)`,
    /// for ν = 3/2 `k = (1 + √3 r) e^(−√3 r)` and `−3/2 e^(−√3 r)`.
    #[inline(always)]
    pub(super) fn at(self, r2: f64) -> (f64, f64) {
        match self {
            Self::FiveHalves => {
                let s = (5.0 * r2).sqrt();
                let decay = (-s).exp();
                ((1.0 + s + 5.0 / 3.0 * r2) * decay, -5.0 / 6.0 * (1.0 + s) * decay)
            }
            Self::ThreeHalves => {
                let s = (3.0 * r2).sqrt();
                let decay = (-s).exp();
                ((1.0 + s) * decay, -1.5 * decay)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivative_is_that_of_the_kernel() {
        for kernel in [Matern::FiveHalves, Matern::ThreeHalves] {
            for r2 in [0.01, 0.3, 2.0, 9.0] {
                let h = 1e-6;
                let numeric = (kernel.at(r2 + h).0 - kernel.at(r2 - h).0) / (2.0 * h);
                assert!((numeric - kernel.at(r2).1).abs() < 1e-7, "{kernel:?} at {r2}");
            }
            assert_eq!(kernel.at(0.0).0, 1.0);
        }
    }
}
