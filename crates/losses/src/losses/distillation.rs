use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::wrapper::forward;
use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{BatchInfo, Loss, LossConfig, Result, Targets};

loss_config! {
    /// Knowledge distillation (Hinton et al., 2015) beside any loss on logits.
    ///
    /// `(1 − a) loss + a T² KL(softmax(teacher / T) ‖ softmax(z / T))`. The batch brings the
    /// teacher's logits ([`BatchInfo::teacher`]), which carry no gradient; a batch without
    /// them gives the loss alone.
    DistillationConfig: wrapper {
        /// The loss on the labels.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// a in `[0, 1]`, the teacher's share. Default: 0.5.
        share / with_share: f64 = 0.5, unit;
        /// T > 0. Default: 2.
        temperature / with_temperature: f64 = 2.0, positive;
    }
}

impl DistillationConfig {
    /// `loss` with the defaults.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>) -> Self {
        Self { loss: Box::new(loss.into()), ..Self::default() }
    }

    /// Checks the parameters and the loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), and what the loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Distillation> {
        self.check()?;
        Ok(Distillation {
            inner: self.loss.init(profile, device)?,
            config: self.clone(),
            teacher: None,
        })
    }
}

/// See [`DistillationConfig`].
#[derive(Debug)]
pub struct Distillation {
    inner: Box<dyn Loss>,
    config: DistillationConfig,
    teacher: Option<Tensor<2>>,
}

impl Loss for Distillation {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (share, t) = (self.config.share, self.config.temperature);
        let teacher = self.teacher.as_ref().filter(|teacher| teacher.dims() == logits.dims());
        let Some(teacher) = teacher else { return self.inner.compute(logits, targets) };
        let teacher = teacher.clone().to_device(&logits.device()).cast(logits.dtype()) / t;
        let p = softmax(teacher.clone(), 1);
        let entropy = (p.clone() * log_softmax(teacher, 1)).sum_dim(1).squeeze_dim::<1>(1);
        let student = Softmax { scale: t.recip(), ..Softmax::default() };
        let divergence = student.cross_entropy(logits.clone(), &Targets::Soft(p), None) + entropy;
        self.inner.compute(logits, targets) * (1.0 - share) + divergence * (share * t * t)
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        self.inner.weights(logits, targets)
    }

    fn begin_batch(&mut self, batch: &BatchInfo<'_>) {
        self.teacher = batch.teacher.map(|teacher| teacher.clone().detach());
        self.inner.begin_batch(batch);
    }

    forward!(inner: set_epoch, end_batch, state);
}
