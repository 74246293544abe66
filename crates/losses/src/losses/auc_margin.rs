use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::pairs::{Column, Columns, SingleClass};
use crate::loss::constant;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// AUC margin loss, AUC-M (Yuan et al., ICCV 2021).
    ///
    /// With ŷ = σ(z), means over positives E⁺ and negatives E⁻:
    /// `loss = E⁺(ŷ − a)² + E⁻(ŷ − b)² + 2 α (m + E⁻ŷ − E⁺ŷ) − α²`, to be minimised over the
    /// model, a and b and maximised over α ≥ 0. [`Loss::end_batch`] takes that min-max
    /// step (PESG without its regulariser): `a ← a − η ∂a`, `b ← b − η ∂b`,
    /// `α ← max(0, α + η ∂α)`. a, b and α (all starting at 0) are the loss's state. LibAUC's
    /// `AUCMLoss` version v2. The mean over columns with both classes; a number of the
    /// batch; one class only as in [`PairwiseAucConfig`](crate::PairwiseAucConfig).
    AucMarginConfig {
        /// m > 0. Default: 1.
        margin / with_margin: f64 = 1.0, positive;
        /// η > 0. Default: 0.1.
        rate / with_rate: f64 = 0.1, positive;
    }
}

impl AucMarginConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, device: &Device) -> Result<AucMargin> {
        self.check()?;
        let state = constant(&[0.0; 3], &device.clone().without_autodiff());
        Ok(AucMargin { config: self.clone(), state, single: SingleClass::default() })
    }
}

/// See [`AucMarginConfig`].
#[derive(Debug, Clone)]
pub struct AucMargin {
    config: AucMarginConfig,
    /// a, b, α.
    state: Tensor<1>,
    single: SingleClass,
}

impl AucMargin {
    /// The batches' columns that had one class only.
    pub fn single_class(&self) -> &SingleClass {
        &self.single
    }

    fn parts(&self, scores: &Tensor<2>) -> [Tensor<1>; 3] {
        let state = self.state.clone().to_device(&scores.device()).cast(scores.dtype());
        [0, 1, 2].map(|i| state.clone().narrow(0, i, 1))
    }
}

/// `E⁺ŷ` and `E⁻ŷ`.
fn means(column: &Column) -> (Tensor<1>, Tensor<1>) {
    let y = column.scores.clone();
    let mean = |mask: &Tensor<2>, n: &Tensor<1>| (y.clone() * mask.clone()).sum() / n.clone();
    (mean(&column.positive, &column.positives), mean(&column.negative, &column.negatives))
}

impl Loss for AucMargin {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [a, b, alpha] = self.parts(&logits);
        Columns::new(sigmoid(logits), targets).mean(&self.single, |column| {
            let spread = |centre: &Tensor<1>, mask: &Tensor<2>, n: &Tensor<1>| {
                let gap = column.scores.clone() - centre.clone().unsqueeze_dim::<2>(0);
                (gap.square() * mask.clone()).sum() / n.clone()
            };
            let (up, down) = means(column);
            spread(&a, &column.positive, &column.positives)
                + spread(&b, &column.negative, &column.negatives)
                + (down - up + self.config.margin) * alpha.clone() * 2.0
                - alpha.clone().square()
        })
    }

    fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        let [a, b, alpha] = self.parts(&logits);
        // Per column: ∂a = 2(a − E⁺ŷ), ∂b = 2(b − E⁻ŷ), ∂α = 2(m + E⁻ŷ − E⁺ŷ) − 2α.
        let slope = |which: usize| {
            let columns = Columns::new(sigmoid(logits.clone()), targets);
            let slopes = columns.mean(&SingleClass::default(), |column| {
                let (up, down) = means(column);
                match which {
                    0 => (a.clone() - up) * 2.0,
                    1 => (b.clone() - down) * 2.0,
                    _ => (down - up + self.config.margin - alpha.clone()) * 2.0,
                }
            });
            slopes.narrow(0, 0, 1) * self.config.rate
        };
        let moved =
            [a.clone() - slope(0), b.clone() - slope(1), (alpha.clone() + slope(2)).clamp_min(0.0)];
        self.state = Tensor::cat(moved.to_vec(), 0);
    }

    fn state(&self) -> Vec<f64> {
        super::read(Some(&self.state))
    }

    fn set_state(&mut self, state: &[f64]) {
        self.state = constant(state, &self.state.device());
    }
}
