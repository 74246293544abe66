//! The softmax and sigmoid families: what most losses are a few lines on.

use burn::tensor::Tensor;
use counterweight_kernels::{BinaryFocal, binary_focal, log_prob, log_softmax, soft_cross_entropy};

use crate::Targets;
use crate::loss::{MASKED, filled, row};

/// `q = softmax(scale · (z + shift − margin_y e_y))`: adjustments of the logits before a
/// softmax.
#[derive(Debug, Clone)]
pub(crate) struct Softmax {
    pub(crate) shift: Option<Tensor<1>>,
    pub(crate) margin: Option<Tensor<1>>,
    pub(crate) scale: f64,
}

impl Default for Softmax {
    fn default() -> Self {
        Self { shift: None, margin: None, scale: 1.0 }
    }
}

impl Softmax {
    pub(crate) fn shifted(shift: Tensor<1>) -> Self {
        Self { shift: Some(shift), ..Self::default() }
    }

    fn shift(&self, logits: &Tensor<2>) -> Tensor<2> {
        self.shift.as_ref().map_or_else(|| filled(0.0, logits), |shift| row(shift, logits))
    }

    /// `Σ_c t_c w_c f(log q_c)`: for class ids f sees one column, otherwise all classes.
    pub(crate) fn map(
        &self,
        logits: Tensor<2>,
        targets: &Targets,
        weights: Option<&Tensor<1>>,
        f: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<1> {
        let weights = weights.map(|w| row(w, &logits));
        let shift = self.shift(&logits);
        match targets {
            Targets::Ids(ids) => {
                let margin = match &self.margin {
                    Some(margin) => row(margin, &logits),
                    None => filled(0.0, &logits),
                };
                let log_q = log_prob(logits, ids.clone(), shift, margin, self.scale);
                let value = f(log_q.unsqueeze_dim(1)).squeeze_dim(1);
                match weights {
                    Some(weights) => value * targets.weigh(weights),
                    None => value,
                }
            }
            Targets::Soft(_) => {
                let margin = self.margin.as_ref().map(|m| row(m, &logits) * self.scale);
                let mut log_q = log_softmax(logits, shift, self.scale);
                if let Some(margin) = margin {
                    log_q = lowered(log_q, margin);
                }
                let value = f(log_q);
                targets.pick(match weights {
                    Some(weights) => value * weights,
                    None => value,
                })
            }
        }
    }

    /// `−Σ_c t_c w_c log q_c`.
    pub(crate) fn cross_entropy(
        &self,
        logits: Tensor<2>,
        targets: &Targets,
        weights: Option<&Tensor<1>>,
    ) -> Tensor<1> {
        match targets {
            Targets::Soft(_) if self.margin.is_none() => {
                let mut dense = targets.dense(&logits);
                if let Some(weights) = weights {
                    dense = dense * row(weights, &logits);
                }
                let shift = self.shift(&logits);
                soft_cross_entropy(logits, dense, shift, self.scale)
            }
            _ => self.map(logits, targets, weights, Tensor::neg),
        }
    }
}

/// Log probabilities after each class in turn had its logit lowered by its margin:
/// `log q − m − log(1 − q + q e^{−m})`.
fn lowered(log_q: Tensor<2>, margin: Tensor<2>) -> Tensor<2> {
    // 1 − q of a q above a half would cancel: there it is the sum of the others.
    let large = log_q.clone().greater_elem(0.5f64.ln());
    let small = log_q.clone().mask_fill(large.clone(), MASKED);
    let top = small.clone().detach().max_dim(1);
    let others = (small.clone() - top.clone()).exp().sum_dim(1).log() + top;
    let rest = (small.exp().neg() + 1.0).log().mask_where(large, others.expand(log_q.dims()));
    let own = log_q - margin;
    // log(e^rest + e^own), stable for either being the larger.
    let gap = (rest.clone() - own.clone()).abs().neg().exp().log1p();
    own.clone() - (rest.max_pair(own) + gap)
}

/// Binary cross entropies of all columns, each column with weights for positives and
/// negatives, summed per example.
pub(crate) fn sigmoid(
    logits: Tensor<2>,
    targets: &Targets,
    positive: Tensor<2>,
    negative: Tensor<2>,
    terms: BinaryFocal,
) -> Tensor<1> {
    let targets = targets.indicators(&logits);
    binary_focal(logits, targets, positive, negative, terms)
}

/// `−log σ(z)` per entry and `−log(1 − σ(z))`, for weights that differ by example.
pub(crate) fn softplus(z: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::log_sigmoid(z.neg()).neg()
}
