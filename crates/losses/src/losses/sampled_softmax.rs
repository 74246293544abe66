use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::{ClassProfile, rng};
use counterweight_kernels::log_prob;
use rand::RngExt;

use crate::family::Softmax;
use crate::loss::{MASKED, constant, filled, row};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Sampled softmax with log-Q correction (Jean et al., ACL 2015; Bengio and Senécal 2008).
    ///
    /// Over a catalogue of any size only the positive and a few sampled negatives are
    /// scored: `loss = −log softmax(s − log Q)_positive` over them, Q being the chance to
    /// draw a candidate. A negative that is the positive (an accidental hit) is masked.
    ///
    /// [`SampledSoftmax::forward_sampled`] scores queries against a table of items without
    /// building batch × items. As a [`Loss`] it takes scores `[batch, candidates]` whose
    /// first column is the positive, and as [`Targets::Soft`] the candidates' Q. With
    /// [`Targets::Ids`] the candidates are the whole catalogue: nothing is sampled, so
    /// nothing is corrected.
    SampledSoftmaxConfig {
        /// Negatives per batch, at least 1. Default: 1024.
        negatives / with_negatives: usize = 1024, at_least_one;
        /// Q is proportional to count^power; in `[0, 1]`. Default: 0.75 (Mikolov et al. 2013).
        power / with_power: f64 = 0.75, unit;
        /// T > 0. Default: 1.
        temperature / with_temperature: f64 = 1.0, positive;
    }
}

impl SampledSoftmaxConfig {
    /// Checks the parameters and prepares Q from the counts (an item without examples
    /// counts as one).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<SampledSoftmax> {
        self.check()?;
        let raw: Vec<f64> =
            profile.counts().iter().map(|&n| (n.max(1) as f64).powf(self.power)).collect();
        let total: f64 = raw.iter().sum();
        let log_q: Vec<f64> = raw.iter().map(|w| (w / total).ln()).collect();
        let mut below = 0.0;
        let cumulative = (raw.iter())
            .map(|w| {
                below += w / total;
                below
            })
            .collect();
        Ok(SampledSoftmax { config: self.clone(), log_q: constant(&log_q, device), cumulative })
    }
}

/// See [`SampledSoftmaxConfig`].
#[derive(Debug, Clone)]
pub struct SampledSoftmax {
    config: SampledSoftmaxConfig,
    log_q: Tensor<1>,
    cumulative: Vec<f64>,
}

impl SampledSoftmax {
    /// Item ids drawn from Q with replacement; the same seed draws the same.
    pub fn draw(&self, seed: u64) -> Vec<usize> {
        let mut rng = rng(seed);
        let last = self.cumulative.len() - 1;
        (0..self.config.negatives)
            .map(|_| {
                let u: f64 = rng.random();
                self.cumulative.partition_point(|&below| below <= u).min(last)
            })
            .collect()
    }

    /// The loss of queries against their positives and the negatives of one draw, which
    /// the batch shares.
    ///
    /// # Shapes
    /// `queries`: `[batch, features]`, `table`: `[items, features]`, `positives`: `[batch]`;
    /// result `[batch]`. Memory: batch × negatives and (batch + negatives) × features, and
    /// with autodiff the table's gradient.
    pub fn forward_sampled(
        &self,
        queries: Tensor<2>,
        table: Tensor<2>,
        positives: Tensor<1, Int>,
        seed: u64,
    ) -> Tensor<1> {
        let ids: Vec<i32> = self.draw(seed).into_iter().map(|id| id as i32).collect();
        let negatives =
            Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &positives.device());
        let own = (queries.clone() * table.clone().select(0, positives.clone())).sum_dim(1);
        let others = queries.matmul(table.select(0, negatives.clone()).transpose());
        let shape = others.dims();
        let hits = (positives.clone().unsqueeze_dim::<2>(1).expand(shape))
            .equal(negatives.clone().unsqueeze_dim::<2>(0).expand(shape));
        let log_q = row(&self.log_q, &own).squeeze_dim::<1>(0);
        let scale = self.config.temperature.recip();
        let own = own * scale - log_q.clone().select(0, positives).unsqueeze_dim::<2>(1);
        let others = others * scale - log_q.select(0, negatives).unsqueeze_dim::<2>(0);
        first_of(Tensor::cat(vec![own, others.mask_fill(hits, MASKED)], 1))
    }
}

/// `−log softmax(u)` of the first column.
fn first_of(u: Tensor<2>) -> Tensor<1> {
    let first = Tensor::<1, Int>::zeros([u.dims()[0]], &u.device());
    let none = filled(0.0, &u);
    log_prob(u, first, none.clone(), none, 1.0).neg()
}

impl Loss for SampledSoftmax {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let logits = logits / self.config.temperature;
        match targets {
            Targets::Ids(_) => Softmax::default().cross_entropy(logits, targets, None),
            Targets::Soft(_) => {
                let q = targets.dense(&logits).clamp_min(1e-30);
                first_of(logits - q.log())
            }
        }
    }
}
