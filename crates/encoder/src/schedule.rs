use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The learning rate's course: linear warm-up, then linear or cosine decay to zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Share of the steps that warm up, in `[0, 1)`. Default: 0.1.
    pub warmup: f64,
    /// Cosine instead of linear decay. Default: false.
    pub cosine: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { warmup: 0.1, cosine: false }
    }
}

impl Schedule {
    /// Checks the warm-up share.
    ///
    /// # Errors
    /// When it is outside `[0, 1)`.
    pub fn check(&self) -> Result<()> {
        Ok(ensure("warmup", self.warmup, (0.0..1.0).contains(&self.warmup), "[0, 1)")?)
    }

    /// The factor on the peak rate at `step` of `steps`, in `(0, 1]`.
    ///
    /// ```
    /// use counterweight_encoder::Schedule;
    ///
    /// let schedule = Schedule { warmup: 0.1, cosine: false };
    /// assert_eq!(schedule.factor(0, 100), 0.1);
    /// assert_eq!(schedule.factor(10, 100), 1.0);
    /// assert!(schedule.factor(99, 100) < 0.02);
    /// ```
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let warm = (self.warmup * steps as f64).floor();
        let step = step as f64;
        if step < warm {
            return (step + 1.0) / warm;
        }
        let left = 1.0 - (step - warm) / (steps as f64 - warm).max(1.0);
        if self.cosine { 0.5 * (1.0 - (std::f64::consts::PI * left).cos()) } else { left.max(0.0) }
    }
}
