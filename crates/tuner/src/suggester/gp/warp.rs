//! Losses made less skewed before they are modelled.

/// Yeo and Johnson's (2000) power transform of standardised losses, with the λ of largest
/// likelihood under a normal distribution, between 1 (no change) and −2: long tails of bad
/// losses are drawn in, so that the model spends itself on the differences among the good
/// ones; the good side is left as it is.
pub(super) fn unskewed(standard: &[f64]) -> Vec<f64> {
    let slopes: f64 = standard.iter().map(|y| y.signum() * y.abs().ln_1p()).sum();
    let likelihood = |lambda: f64| {
        let n = standard.len() as f64;
        let warped: Vec<f64> = standard.iter().map(|&y| power(y, lambda)).collect();
        let mean = warped.iter().sum::<f64>() / n;
        let variance = warped.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        -0.5 * n * variance.max(f64::MIN_POSITIVE).ln() + (lambda - 1.0) * slopes
    };
    // Unimodal in λ: golden section.
    let (mut low, mut high) = (-2.0, 1.0);
    let share = 0.5 * (5f64.sqrt() - 1.0);
    for _ in 0..20 {
        let (a, b) = (high - share * (high - low), low + share * (high - low));
        if likelihood(a) > likelihood(b) { high = b } else { low = a }
    }
    let lambda = 0.5 * (low + high);
    standard.iter().map(|&y| power(y, lambda)).collect()
}

fn power(y: f64, lambda: f64) -> f64 {
    if y < 0.0 {
        let p = 2.0 - lambda;
        return if p.abs() < 1e-9 { -(-y).ln_1p() } else { -((1.0 - y).powf(p) - 1.0) / p };
    }
    if lambda.abs() < 1e-9 { y.ln_1p() } else { ((1.0 + y).powf(lambda) - 1.0) / lambda }
}
