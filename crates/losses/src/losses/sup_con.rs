use burn::tensor::{Bool, Device, Int, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::{contrast, pairwise_cosines};

use crate::loss::MASKED;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Supervised contrastive loss (Khosla et al., NeurIPS 2020, L_out).
    ///
    /// Takes embeddings `[batch, features]` (normalised here) and class ids. With
    /// `s_ij = e_i · e_j / T`:
    /// `loss_i = −mean over p ≠ i of the same class of log( e^{s_ip} / Σ_{k≠i} e^{s_ik} )`.
    /// Concatenate the views of a batch as rows. A row without a partner costs 0 and stays in
    /// the mean. The authors' code multiplies by T / 0.07.
    SupConConfig {
        /// T > 0. Default: 0.1.
        temperature / with_temperature: f64 = 0.1, positive;
    }
}

impl SupConConfig {
    /// Checks the temperature.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<SupCon> {
        self.check()?;
        Ok(SupCon { temperature: self.temperature })
    }
}

/// See [`SupConConfig`].
#[derive(Debug, Clone)]
pub struct SupCon {
    temperature: f64,
}

impl Loss for SupCon {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        contrast(pairwise_cosines(logits), targets.classes(), self.temperature.recip())
    }
}

/// All pairs of rows of embeddings.
pub(super) struct Rows {
    /// `e_i · e_j`, with the diagonal far below, `[batch, batch]`.
    pub(super) cosines: Tensor<2>,
    /// 1 where two different rows are of one class.
    pub(super) partners: Tensor<2>,
    /// Whether i = j.
    pub(super) diagonal: Tensor<2, Bool>,
}

impl Rows {
    pub(super) fn new(embeddings: Tensor<2>, ids: &Tensor<1, Int>) -> Self {
        let batch = embeddings.dims()[0];
        let all = |x: &Tensor<1, Int>| {
            let i = x.clone().unsqueeze_dim::<2>(1).expand([batch, batch]);
            let j = x.clone().unsqueeze_dim::<2>(0).expand([batch, batch]);
            i.equal(j)
        };
        let diagonal = all(&Tensor::arange(0..batch as i64, &embeddings.device()));
        let partners = all(ids).float().cast(embeddings.dtype()).mask_fill(diagonal.clone(), 0.0);
        let cosines = pairwise_cosines(embeddings).mask_fill(diagonal.clone(), MASKED);
        Self { cosines, partners, diagonal }
    }
}
