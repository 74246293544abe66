//! Accumulating adapters for burn's learner.

use std::sync::Arc;

use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorReadError};
use burn::train::metric::{
    Metric as BurnMetric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use counterweight_core::ClassProfile;
use ndarray::Array2;

use crate::{Error, Metric, Predictions, Result, Tally};

/// Logits `[batch, classes]` and class ids `[batch]`.
#[derive(Debug, Clone)]
pub struct MetricInput {
    /// Logits.
    pub logits: Tensor<2>,
    /// True class ids.
    pub targets: Tensor<1, Int>,
}

/// Any [`Metric`] for burn's learner, computed from everything seen in the epoch.
///
/// Burn's own numeric state averages per-batch values, which is wrong for recall,
/// G-mean or MCC whenever a class is absent from a batch; this one accumulates a
/// [`Tally`].
#[derive(Debug, Clone)]
pub struct TallyMetric {
    metric: Metric,
    profile: Arc<ClassProfile>,
    tally: Tally,
}

impl TallyMetric {
    /// The metric on the classes of a training profile.
    pub fn new(metric: Metric, profile: ClassProfile) -> Self {
        Self { metric, tally: Tally::new(profile.classes()), profile: Arc::new(profile) }
    }

    fn current(&self) -> Option<f64> {
        self.tally.metric(self.metric, &self.profile)
    }

    fn entry(&self) -> SerializedEntry {
        match self.current() {
            Some(value) => {
                let entry = NumericEntry::Value(value);
                SerializedEntry::new(format!("{}: {value:.4}", self.metric), entry.serialize())
            }
            None => SerializedEntry::not_available(None),
        }
    }
}

impl BurnMetric for TallyMetric {
    type Input = MetricInput;

    fn name(&self) -> MetricName {
        Arc::new(self.metric.name().to_owned())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.metric.higher_is_better() }.into()
    }

    fn update(
        &mut self,
        item: &MetricInput,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let classes = item.logits.dims()[1];
        let probabilities: Vec<f64> = softmax(item.logits.clone(), 1).try_into_vec_as()?;
        let truth: Vec<i64> = item.targets.clone().try_into_vec_as()?;
        for (row, &truth) in probabilities.chunks(classes).zip(&truth) {
            let predicted = crate::predictions::argmax(row.into());
            self.tally.update(truth as usize, predicted, row[predicted]);
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {
        self.tally = Tally::new(self.profile.classes());
    }
}

impl Numeric for TallyMetric {
    fn value(&self) -> Option<NumericEntry> {
        self.current().map(NumericEntry::Value)
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        // Without data there is no score; the learner compares numbers only.
        NumericEntry::Value(self.current().unwrap_or(0.0))
    }
}

impl Predictions {
    /// Predictions from a classifier's logits `[rows, classes]`.
    ///
    /// # Errors
    /// As [`Predictions::new`] (NaN logits give a row that is no distribution), and when
    /// the tensor cannot be read from its device.
    pub fn from_logits(truth: &[usize], logits: Tensor<2>) -> Result<Self> {
        let [rows, classes] = logits.dims();
        let values = softmax(logits, 1)
            .try_into_vec_as()
            .map_err(|e| Error::Device { reason: e.to_string() })?;
        let probabilities = Array2::from_shape_fn((rows, classes), |(r, c)| {
            let values: &Vec<f64> = &values;
            values[r * classes + c]
        });
        Self::new(truth.to_vec(), probabilities)
    }
}

#[cfg(test)]
mod tests {
    use burn::data::dataloader::Progress;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn it_accumulates_over_batches_where_averaging_would_be_wrong() {
        let device = Device::flex();
        let profile = ClassProfile::from_counts([3, 1]).unwrap();
        let mut metric = TallyMetric::new(Metric::BalancedAccuracy, profile);
        let metadata = MetricMetadata {
            progress: Progress { items_processed: 1, items_total: 2, unit: None },
            iteration: None,
            lr: None,
        };
        let right = [[5.0, 0.0], [5.0, 0.0]];
        for (logits, targets) in [(right, [0, 0]), ([[5.0, 0.0], [0.0, 5.0]], [1, 0])] {
            let item = MetricInput {
                logits: Tensor::from_floats(logits, &device),
                targets: Tensor::from_ints(targets, &device),
            };
            metric.update(&item, &metadata).unwrap();
        }
        // Recalls 2/3 and 0; the mean of the batches would be 1/2.
        let value = metric.value().map(|v| v.current()).unwrap();
        assert!((value - 1.0 / 3.0).abs() < 1e-12);
        metric.clear();
        assert!(metric.value().is_none());
    }
}
