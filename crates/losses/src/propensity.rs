use counterweight_core::ensure;

use crate::Result;

/// Inverse propensity weights, `1 / max(p, clip)` (clipping: Bottou et al., JMLR 2013).
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a propensity outside `[0, 1]` or a
/// clip outside `(0, 1]`.
///
/// ```
/// let weights = counterweight_losses::inverse_propensities(&[1.0, 0.5, 0.001], 0.01)?;
/// assert_eq!(weights, [1.0, 2.0, 100.0]);
/// # Ok::<(), counterweight_losses::Error>(())
/// ```
pub fn inverse_propensities(propensities: &[f64], clip: f64) -> Result<Vec<f64>> {
    ensure("clip", clip, clip > 0.0 && clip <= 1.0, "(0, 1]")?;
    propensities
        .iter()
        .map(|&p| {
            ensure("propensity", p, (0.0..=1.0).contains(&p), "[0, 1]")?;
            Ok(p.max(clip).recip())
        })
        .collect()
}
