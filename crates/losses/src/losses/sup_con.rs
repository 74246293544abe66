use burn::tensor::{Device, Int, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// Far below every similarity over a temperature, and finite.
const MASKED: f64 = -1e5;

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
        let ids = targets.classes();
        let (similar, partners) = similarities(logits, &ids, self.temperature);
        let n = partners.clone().sum_dim(1).clamp_min(1.0);
        Softmax::default().cross_entropy(similar, &Targets::Soft(partners / n), None)
    }
}

/// `e_i · e_j / T` with the diagonal far below everything, and 1 where two different rows
/// are of one class: both `[batch, batch]`.
pub(super) fn similarities(
    embeddings: Tensor<2>,
    ids: &Tensor<1, Int>,
    temperature: f64,
) -> (Tensor<2>, Tensor<2>) {
    let e = normalized(embeddings);
    let batch = e.dims()[0];
    let other = off_diagonal(batch, &e);
    let i = ids.clone().unsqueeze_dim::<2>(1).expand([batch, batch]);
    let j = ids.clone().unsqueeze_dim::<2>(0).expand([batch, batch]);
    let partners = i.equal(j).float().cast(e.dtype()) * other.clone();
    let similar = e.clone().matmul(e.transpose()) / temperature;
    let similar = similar.mask_fill(other.equal_elem(0.0), MASKED);
    (similar, partners)
}

/// 1 off the diagonal.
pub(super) fn off_diagonal(batch: usize, like: &Tensor<2>) -> Tensor<2> {
    let eye = Tensor::<2, Int>::eye(batch, &like.device().without_autodiff());
    eye.to_device(&like.device()).float().cast(like.dtype()).neg() + 1.0
}

/// Rows of length 1; a zero row stays 0.
pub(crate) fn normalized(x: Tensor<2>) -> Tensor<2> {
    // The largest entry first: squares of huge entries would overflow.
    let top = x.clone().detach().abs().max_dim(1).clamp_min(1e-30);
    let x = x / top;
    let norm = (x.clone().square().sum_dim(1) + 1e-24).sqrt();
    x / norm
}
