use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::Result;

/// How [`label_distribution_smoothing`] counts and weighs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelDistributionSmoothing {
    /// Equal bins between the smallest and the largest target, at least 1. Default: 100.
    pub bins: usize,
    /// Width of the Gaussian kernel in bins, odd, at least 1. Default: 5.
    pub kernel: usize,
    /// σ of the kernel in bins, positive. Default: 2.
    pub sigma: f64,
    /// Weights are (smoothed density)^−power; in `[0, 1]`. Default: 0.5, the paper's
    /// square-root inverse; 1 is the inverse.
    pub power: f64,
}

impl Default for LabelDistributionSmoothing {
    fn default() -> Self {
        Self { bins: 100, kernel: 5, sigma: 2.0, power: 0.5 }
    }
}

/// Weights for regression on skewed targets by label-distribution smoothing, LDS (Yang
/// et al., ICML 2021).
///
/// The histogram of the targets is smoothed by a Gaussian kernel, since neighbouring
/// values inform each other, and each target weighs `density^−power`, scaled to mean 1.
/// Use the weights with [`SampleWeightedConfig`](crate::SampleWeightedConfig).
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a target that is not finite or a
/// parameter outside its range.
///
/// ```
/// use counterweight_losses::{LabelDistributionSmoothing, label_distribution_smoothing};
///
/// let mut targets = vec![0.1; 90];
/// targets.extend([0.9; 10]);
/// let weights = label_distribution_smoothing(&targets, &LabelDistributionSmoothing::default())?;
/// assert!((weights[99] / weights[0] - 3.0).abs() < 1e-9);
/// assert!((weights.iter().sum::<f64>() - 100.0).abs() < 1e-9);
/// # Ok::<(), counterweight_losses::Error>(())
/// ```
pub fn label_distribution_smoothing(
    targets: &[f64],
    config: &LabelDistributionSmoothing,
) -> Result<Vec<f64>> {
    let LabelDistributionSmoothing { bins, kernel, sigma, power } = *config;
    ensure("bins", bins as f64, bins >= 1, "[1, inf)")?;
    ensure("kernel", kernel as f64, kernel % 2 == 1, "odd numbers from 1")?;
    ensure("sigma", sigma, sigma > 0.0 && sigma.is_finite(), "(0, inf)")?;
    ensure("power", power, (0.0..=1.0).contains(&power), "[0, 1]")?;
    for &t in targets {
        ensure("target", t, t.is_finite(), "(-inf, inf)")?;
    }
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let least = targets.iter().copied().fold(f64::INFINITY, f64::min);
    let most = targets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halved first: the range of two huge numbers may overflow.
    let range = most / 2.0 - least / 2.0;
    let bin = |t: f64| {
        if range == 0.0 {
            return 0;
        }
        let place = (t / 2.0 - least / 2.0) / range * bins as f64;
        (place as usize).min(bins - 1)
    };
    let mut counts = vec![0.0; bins];
    for &t in targets {
        counts[bin(t)] += 1.0;
    }
    let half = kernel / 2;
    let density: Vec<f64> = (0..bins)
        .map(|b| {
            (b.saturating_sub(half)..=(b + half).min(bins - 1))
                .map(|k| {
                    let steps = k.abs_diff(b) as f64 / sigma;
                    counts[k] * (-0.5 * steps * steps).exp()
                })
                .sum()
        })
        .collect();
    let raw: Vec<f64> = targets.iter().map(|&t| density[bin(t)].powf(-power)).collect();
    let scale = raw.len() as f64 / raw.iter().sum::<f64>();
    Ok(raw.into_iter().map(|w| w * scale).collect())
}
