use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::ClassProfile;

use super::pairs::{Columns, SingleClass};
use crate::loss::constant;
use crate::macros::loss_config;
use crate::{BatchInfo, Loss, Result, Targets};

loss_config! {
    /// Average precision by SOAP (Qi et al., NeurIPS 2021).
    ///
    /// With `ℓ(i, j) = max(0, m − (s_i − s_j))²`, `u⁺_i` its mean over the batch counting
    /// positives j only and `u_i` over all j: `loss = 1 − mean over positives i of u⁺_i / u_i`, a
    /// surrogate of 1 − AP. With γ < 1 both u are moving averages per training row,
    /// `u ← (1 − γ) u + γ (batch mean)`, as the paper needs for small batches: the batch must
    /// then bring its rows ([`BatchInfo::rows`]), and the averages (one pair per row for the
    /// first column only) belong to the state. The mean over columns with both classes; a
    /// number of the batch.
    SoapConfig {
        /// m > 0. Default: 1.
        margin / with_margin: f64 = 1.0, positive;
        /// γ in `(0, 1]`. Default: 1, this batch alone; the paper uses 0.99 to 0.9.
        gamma / with_gamma: f64 = 1.0, positive_unit;
    }
}

impl SoapConfig {
    /// Checks the parameters and, for γ < 1, makes room for the averages of the profile's
    /// rows.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Soap> {
        self.check()?;
        let rows = if self.gamma < 1.0 { profile.total() as usize } else { 0 };
        let memory = constant(&vec![0.0; 2 * rows], &device.clone().without_autodiff());
        Ok(Soap {
            config: self.clone(),
            memory: memory.reshape([rows, 2]),
            rows: None,
            single: SingleClass::default(),
        })
    }
}

/// See [`SoapConfig`].
#[derive(Debug, Clone)]
pub struct Soap {
    config: SoapConfig,
    /// `u⁺` and `u` per training row; 0 before the row was seen.
    memory: Tensor<2>,
    rows: Option<Vec<usize>>,
    single: SingleClass,
}

impl Soap {
    /// The batches' columns that had one class only.
    pub fn single_class(&self) -> &SingleClass {
        &self.single
    }

    /// The rows of the batch when the averages are in use.
    fn remembered(&self, batch: usize, device: &Device) -> Option<Tensor<1, Int>> {
        let rows = self.rows.as_ref().filter(|rows| {
            let room = self.memory.dims()[0];
            rows.len() == batch && rows.iter().all(|&row| row < room)
        })?;
        let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        Some(Tensor::from_data(TensorData::from(rows.as_slice()), device))
    }

    /// Batch means `[batch, 2]` of ℓ over positives and over all.
    fn means(&self, scores: Tensor<2>, positive: Tensor<2>) -> Tensor<2> {
        let batch = scores.dims()[0] as f64;
        let gap = scores.clone() - scores.transpose();
        let cost = relu(gap.neg() + self.config.margin).square();
        let up = (cost.clone() * positive.transpose()).sum_dim(1);
        Tensor::cat(vec![up, cost.sum_dim(1)], 1) / batch
    }

    /// Old and new averages; rows not seen before start at the batch's mean.
    fn averaged(&self, old: Tensor<2>, now: Tensor<2>) -> Tensor<2> {
        let gamma = self.config.gamma;
        let fresh = old.clone().equal_scalar(0.0);
        (old * (1.0 - gamma) + now.clone() * gamma).mask_where(fresh, now)
    }
}

impl Loss for Soap {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let batch = logits.dims()[0];
        let device = logits.device();
        let rows = if self.config.gamma < 1.0 { self.remembered(batch, &device) } else { None };
        Columns::new(logits, targets).mean(&self.single, |column| {
            let now = self.means(column.scores.clone(), column.positive.clone());
            let at = |x: &Tensor<2>, i: usize| x.clone().slice([0..batch, i..i + 1]);
            let (up, all) = (at(&now, 0), at(&now, 1));
            let quotient = match &rows {
                // ℓ(i, i) = m², so the mean over all is never 0.
                None => up / all,
                Some(rows) => {
                    let memory = self.memory.clone().to_device(&device).cast(now.dtype());
                    let old = memory.select(0, rows.clone());
                    let u = self.averaged(old, now.clone().detach()).detach();
                    let (u_up, u_all) = (at(&u, 0), at(&u, 1));
                    // The value of the averages with the gradient of the batch at them.
                    let slope = up / u_all.clone() - all * u_up.clone() / u_all.clone().square();
                    slope.clone() - slope.detach() + u_up / u_all
                }
            };
            ((quotient.neg() + 1.0) * column.positive.clone()).sum() / column.positives.clone()
        })
    }

    fn begin_batch(&mut self, batch: &BatchInfo<'_>) {
        self.rows = batch.rows.map(<[usize]>::to_vec);
    }

    fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        let batch = logits.dims()[0];
        let device = logits.device();
        if self.config.gamma == 1.0 {
            return;
        }
        let Some(rows) = self.remembered(batch, &device) else { return };
        let t = targets.indicators(&logits).slice([0..batch, 0..1]);
        let positive = t.greater_elem(0.5).float().cast(logits.dtype());
        let now = self.means(logits.slice([0..batch, 0..1]), positive);
        let memory = self.memory.clone().to_device(&device).cast(now.dtype());
        let old = memory.clone().select(0, rows.clone());
        let change = self.averaged(old.clone(), now) - old;
        self.memory = memory.select_assign(0, rows, change, burn::tensor::IndexingUpdateOp::Add);
    }

    fn state(&self) -> Vec<f64> {
        super::read(Some(&self.memory.clone().flatten::<1>(0, 1)))
    }

    fn set_state(&mut self, state: &[f64]) {
        let rows = state.len() / 2;
        self.memory = constant(state, &self.memory.device()).reshape([rows, 2]);
    }
}
