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

/// Matérn 5/2 of a squared scaled distance `r²`, and its derivative with respect to `r²`:
/// `k = (1 + √5 r + 5/3 r²) e^(−√5 r)`, `dk/dr² = −5/6 (1 + √5 r) e^(−√5 r)`.
#[inline(always)]
pub(super) fn matern(r2: f64) -> (f64, f64) {
    let s = (5.0 * r2).sqrt();
    let decay = (-s).exp();
    let k = (1.0 + s + 5.0 / 3.0 * r2) * decay;
    (k, -5.0 / 6.0 * (1.0 + s) * decay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivative_is_that_of_the_kernel() {
        for r2 in [0.01, 0.3, 2.0, 9.0] {
            let h = 1e-6;
            let numeric = (matern(r2 + h).0 - matern(r2 - h).0) / (2.0 * h);
            assert!((numeric - matern(r2).1).abs() < 1e-7);
        }
    }
}
