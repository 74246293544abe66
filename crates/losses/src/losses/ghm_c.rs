use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::softplus;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Gradient-harmonised classification loss, GHM-C (Li et al., AAAI 2019).
    ///
    /// The gradient norms `g = |σ(z) − t|` of all entries of the batch are counted in M
    /// equal bins of `[0, 1]`; with N entries and K bins that are not empty, an entry in a
    /// bin of R counts N / (R K) times its binary cross entropy: easy entries, and outliers
    /// that all look alike, no longer drown the rest. Summed over columns, where the
    /// authors' code divides by N. Weights carry no gradient.
    GhmCConfig {
        /// M ≥ 1. Default: 10.
        bins / with_bins: usize = 10, at_least_one;
        /// Share in `[0, 1)` of the earlier batches in the counts. Default: 0.
        momentum / with_momentum: f64 = 0.0, below_one;
    }
}

impl GhmCConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<GhmC> {
        self.check()?;
        Ok(GhmC { config: self.clone(), seen: None })
    }
}

/// See [`GhmCConfig`].
#[derive(Debug, Clone)]
pub struct GhmC {
    config: GhmCConfig,
    /// Moving averages of the counts, `[bins]`.
    seen: Option<Tensor<1>>,
}

impl GhmC {
    /// Membership `[entries, bins]` and the smoothed counts `[bins]`.
    fn bins(&self, logits: &Tensor<2>, t: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let bins = self.config.bins;
        let gap = (sigmoid(logits.clone().detach()) - t).abs();
        let gap = gap.reshape([-1, 1]);
        // The last bin is closed on the right.
        let place = (gap * bins as f64).floor().clamp(0.0, bins as f64 - 1.0);
        let edges: Vec<f32> = (0..bins).map(|b| b as f32).collect();
        let edges = Tensor::<1>::from_floats(edges.as_slice(), &place.device());
        let edges = edges.cast(place.dtype()).unsqueeze_dim::<2>(0);
        let shape = [place.dims()[0], bins];
        let inside = place.expand(shape).equal(edges.expand(shape)).float().cast(logits.dtype());
        let counts: Tensor<1> = inside.clone().sum_dim(0).squeeze_dim(0);
        let kept = self.config.momentum;
        let counts = match &self.seen {
            Some(seen) if kept > 0.0 => {
                // Only bins that the batch fills move.
                let seen = seen.clone().to_device(&counts.device()).cast(counts.dtype());
                let moved = seen.clone() * kept + counts.clone() * (1.0 - kept);
                seen.mask_where(counts.greater_elem(0.0), moved)
            }
            _ => counts,
        };
        (inside, counts)
    }
}

impl Loss for GhmC {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let t = targets.indicators(&logits);
        let [batch, columns] = logits.dims();
        let (inside, counts) = self.bins(&logits, t.clone());
        let present = inside.clone().sum_dim(0).squeeze_dim::<1>(0).greater_elem(0.0);
        let filled = present.clone().float().cast(logits.dtype()).sum();
        let total = (batch * columns) as f64;
        let share = counts.clamp_min(1e-12).recip() * total / filled;
        let share = share.mask_fill(present.bool_not(), 0.0);
        let weights = (inside * share.unsqueeze_dim::<2>(0)).sum_dim(1);
        let weights = weights.reshape([batch, columns]).detach();
        let cost = t.clone() * softplus(logits.clone().neg()) + (t.neg() + 1.0) * softplus(logits);
        (cost * weights).sum_dim(1).squeeze_dim(1)
    }

    fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        if self.config.momentum > 0.0 {
            let t = targets.indicators(&logits);
            self.seen = Some(self.bins(&logits, t).1.detach());
        }
    }

    fn state(&self) -> Vec<f64> {
        super::read(self.seen.as_ref())
    }

    fn set_state(&mut self, state: &[f64]) {
        self.seen = super::written(state);
    }
}
