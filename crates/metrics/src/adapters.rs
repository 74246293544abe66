//! Metrics for burn's learner.

use std::fmt;
use std::sync::Arc;

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Int, Tensor, TensorReadError};
use burn::train::metric::{
    Metric as BurnMetric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use counterweight_core::{ClassProfile, ensure_length};
use ndarray::Array2;

use crate::{
    CurveMetric, Error, LabelSets, Metric, Predictions, QueryMean, RankedQuery, RegressionErrors,
    Result, Scores, Tally, Ties,
};

/// Logits `[batch, classes]` and class ids `[batch]`.
#[derive(Debug, Clone)]
pub struct MetricInput {
    /// Logits.
    pub logits: Tensor<2>,
    /// True class ids.
    pub targets: Tensor<1, Int>,
}

/// Logits of one class `[batch]` and 0 or 1 `[batch]`.
#[derive(Debug, Clone)]
pub struct ScoreInput {
    /// Logits; higher means positive.
    pub logits: Tensor<1>,
    /// 1 for positives, 0 for negatives.
    pub targets: Tensor<1, Int>,
}

/// Logits `[batch, labels]` and 0 or 1 for every label `[batch, labels]`.
#[derive(Debug, Clone)]
pub struct LabelInput {
    /// Logits; a label is predicted from 0 upwards, a probability of 0.5.
    pub logits: Tensor<2>,
    /// 1 for the labels a row has.
    pub targets: Tensor<2, Int>,
}

/// Predicted and true values, `[batch]` each.
#[derive(Debug, Clone)]
pub struct ValueInput {
    /// Predictions.
    pub predictions: Tensor<1>,
    /// True values.
    pub targets: Tensor<1>,
}

/// Scores and relevances of the candidates of queries, `[queries, candidates]` each.
#[derive(Debug, Clone)]
pub struct QueryInput {
    /// Scores.
    pub scores: Tensor<2>,
    /// Relevances, 0 for an item that is not relevant.
    pub relevance: Tensor<2>,
}

/// What a metric of an epoch is computed from; takes batches of tensors.
pub trait EpochState: Clone + Send + Sync + 'static {
    /// What a step of the learner hands over.
    type Input: Send;

    /// Adds a batch.
    ///
    /// # Errors
    /// When a tensor cannot be read or its values are not what the metric takes.
    fn update(&mut self, input: &Self::Input) -> Result<()>;
}

type Value<S> = Arc<dyn Fn(&S) -> Option<f64> + Send + Sync>;

/// A metric for burn's learner, computed from everything seen in the epoch: for logging, early
/// stopping and the choice of a checkpoint.
///
/// Burn's own numeric state averages per-batch values, which is wrong for recall,
/// G-mean, MCC or AUROC whenever a class is absent from a batch. Data the metric cannot take
/// (a class id outside the classes, a NaN) make it "N/A" for the epoch, with the reason in its
/// text.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_metrics::{CurveMetric, EpochMetric, Metric, MulticlassAuroc};
///
/// let profile = ClassProfile::from_counts([90, 10])?;
/// let recall = EpochMetric::of(Metric::TailRecall, profile);
/// let auroc = EpochMetric::of_scores(CurveMetric::Auroc);
/// let by_pairs = EpochMetric::of_predictions("ovo_auroc", true, |p| {
///     p.auroc(MulticlassAuroc::OneVsOneMacro).ok().flatten()
/// });
/// # let _ = (recall, auroc, by_pairs);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Clone)]
pub struct EpochMetric<S> {
    name: MetricName,
    higher_is_better: bool,
    empty: S,
    state: S,
    value: Value<S>,
    failure: Option<String>,
}

impl<S: fmt::Debug> fmt::Debug for EpochMetric<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("EpochMetric");
        out.field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: EpochState> EpochMetric<S> {
    fn new(
        name: &str,
        higher_is_better: bool,
        empty: S,
        value: impl Fn(&S) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        let name = Arc::new(name.to_owned());
        let value = Arc::new(value);
        Self { name, higher_is_better, state: empty.clone(), empty, value, failure: None }
    }

    fn current(&self) -> Option<f64> {
        if self.failure.is_some() { None } else { (self.value)(&self.state) }
    }

    fn entry(&self) -> SerializedEntry {
        match (&self.failure, self.current()) {
            (Some(reason), _) => SerializedEntry::new(
                format!("{}: {reason}", self.name),
                SerializedEntry::NOT_AVAILABLE.to_owned(),
            ),
            (None, Some(value)) => {
                let entry = NumericEntry::Value(value);
                SerializedEntry::new(format!("{}: {value:.4}", self.name), entry.serialize())
            }
            (None, None) => SerializedEntry::not_available(None),
        }
    }
}

impl EpochMetric<Tally> {
    /// A metric by name, on the classes of a training profile.
    pub fn of(metric: Metric, profile: ClassProfile) -> Self {
        let empty = Tally::new(profile.classes());
        Self::new(metric.name(), metric.higher_is_better(), empty, move |tally| {
            tally.metric(metric, &profile)
        })
    }

    /// Anything that follows from a tally of `classes` classes: per-class scores, their
    /// averages, a weighted kappa, a cost.
    pub fn of_tally(
        name: &str,
        higher_is_better: bool,
        classes: usize,
        value: impl Fn(&Tally) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, higher_is_better, Tally::new(classes), value)
    }
}

impl EpochMetric<EpochPredictions> {
    /// Anything that follows from all predictions of the epoch, which are kept: multi-class
    /// AUROC, top-k accuracy, class-wise calibration.
    pub fn of_predictions(
        name: &str,
        higher_is_better: bool,
        value: impl Fn(&Predictions) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, higher_is_better, EpochPredictions::default(), move |kept| {
            value(&kept.predictions()?)
        })
    }
}

impl EpochMetric<Scores> {
    /// A curve metric of a binary classifier, whose scores are kept.
    pub fn of_scores(metric: CurveMetric) -> Self {
        Self::new(metric.name(), true, Scores::new(), move |scores| {
            metric.of(&scores.curve().ok()?)
        })
    }
}

impl EpochMetric<LabelSets> {
    /// Anything that follows from the labels of rows with several.
    pub fn of_labels(
        name: &str,
        higher_is_better: bool,
        labels: usize,
        value: impl Fn(&LabelSets) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, higher_is_better, LabelSets::new(labels), value)
    }
}

impl EpochMetric<RegressionErrors> {
    /// An error of a regression; lower is better.
    pub fn of_errors(
        name: &str,
        value: impl Fn(&RegressionErrors) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, false, RegressionErrors::default(), value)
    }
}

impl EpochMetric<EpochQueries> {
    /// The mean of a ranking metric over the queries that define it; ties by expectation.
    ///
    /// ```
    /// use counterweight_metrics::{EpochMetric, Gain};
    ///
    /// let ndcg = EpochMetric::of_queries("ndcg_10", |q| q.ndcg(10, Gain::Linear).ok().flatten());
    /// # let _ = ndcg;
    /// ```
    pub fn of_queries(
        name: &str,
        value: impl Fn(&RankedQuery) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        let empty = EpochQueries { mean: QueryMean::default(), value: Arc::new(value) };
        Self::new(name, true, empty, |queries| queries.mean.value())
    }
}

impl<S: EpochState> BurnMetric for EpochMetric<S> {
    type Input = S::Input;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.higher_is_better }.into()
    }

    fn update(
        &mut self,
        item: &S::Input,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        match self.state.update(item) {
            Err(Error::Device(unread)) => return Err(unread),
            Err(other) => self.failure = Some(other.to_string()),
            Ok(()) => {}
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {
        self.state = self.empty.clone();
        self.failure = None;
    }
}

impl<S: EpochState> Numeric for EpochMetric<S> {
    fn value(&self) -> Option<NumericEntry> {
        self.current().map(NumericEntry::Value)
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        // The learner compares numbers only; NaN is never the better one.
        NumericEntry::Value(self.current().unwrap_or(f64::NAN))
    }
}

impl EpochState for Tally {
    type Input = MetricInput;

    fn update(&mut self, input: &MetricInput) -> Result<()> {
        let (truth, probabilities) = input.read()?;
        if truth.is_empty() {
            return Ok(());
        }
        // Checked as a whole, so that an error names the row of the batch.
        self.merge(&Predictions::new(truth, probabilities)?.tally())
    }
}

/// All predictions of an epoch.
#[derive(Debug, Clone, Default)]
pub struct EpochPredictions {
    truth: Vec<usize>,
    probabilities: Vec<f64>,
    classes: usize,
}

impl EpochPredictions {
    fn predictions(&self) -> Option<Predictions> {
        let shape = (self.truth.len(), self.classes);
        let p = Array2::from_shape_vec(shape, self.probabilities.clone()).ok()?;
        Predictions::new(self.truth.clone(), p).ok()
    }
}

impl EpochState for EpochPredictions {
    type Input = MetricInput;

    fn update(&mut self, input: &MetricInput) -> Result<()> {
        let (truth, probabilities) = input.read()?;
        if self.truth.is_empty() {
            self.classes = probabilities.ncols();
        }
        ensure_length("a row of logits", probabilities.ncols(), self.classes)?;
        if !truth.is_empty() {
            let batch = Predictions::new(truth, probabilities)?;
            self.truth.extend(batch.truth());
            self.probabilities.extend(batch.probabilities());
        }
        Ok(())
    }
}

impl EpochState for Scores {
    type Input = ScoreInput;

    fn update(&mut self, input: &ScoreInput) -> Result<()> {
        // The order is that of the logits; probabilities are what a threshold is given in.
        let scores: Vec<f64> = sigmoid(input.logits.clone()).try_into_vec_as()?;
        let truth: Vec<i64> = input.targets.clone().try_into_vec_as()?;
        ensure_length("targets", truth.len(), scores.len())?;
        let mut rows = scores.into_iter().zip(truth);
        rows.try_for_each(|(score, truth)| Scores::update(self, score, truth == 1))
    }
}

impl EpochState for LabelSets {
    type Input = LabelInput;

    fn update(&mut self, input: &LabelInput) -> Result<()> {
        let labels = input.logits.dims()[1];
        let logits: Vec<f64> = input.logits.clone().try_into_vec_as()?;
        let truth: Vec<i64> = input.targets.clone().try_into_vec_as()?;
        ensure_length("targets", truth.len(), logits.len())?;
        for (z, t) in logits.chunks(labels.max(1)).zip(truth.chunks(labels.max(1))) {
            let predicted: Vec<bool> = z.iter().map(|&z| z >= 0.0).collect();
            let truth: Vec<bool> = t.iter().map(|&t| t == 1).collect();
            LabelSets::update(self, &truth, &predicted)?;
        }
        Ok(())
    }
}

impl EpochState for RegressionErrors {
    type Input = ValueInput;

    fn update(&mut self, input: &ValueInput) -> Result<()> {
        let predicted: Vec<f64> = input.predictions.clone().try_into_vec_as()?;
        let truth: Vec<f64> = input.targets.clone().try_into_vec_as()?;
        ensure_length("targets", truth.len(), predicted.len())?;
        let mut rows = truth.into_iter().zip(predicted);
        rows.try_for_each(|(t, p)| RegressionErrors::update(self, t, p))
    }
}

/// The queries of an epoch.
#[derive(Clone)]
pub struct EpochQueries {
    mean: QueryMean,
    value: Value<RankedQuery>,
}

impl fmt::Debug for EpochQueries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochQueries").field("mean", &self.mean).finish_non_exhaustive()
    }
}

impl EpochState for EpochQueries {
    type Input = QueryInput;

    fn update(&mut self, input: &QueryInput) -> Result<()> {
        let items = input.scores.dims()[1].max(1);
        let scores: Vec<f64> = input.scores.clone().try_into_vec_as()?;
        let relevance: Vec<f64> = input.relevance.clone().try_into_vec_as()?;
        ensure_length("relevances", relevance.len(), scores.len())?;
        for (s, r) in scores.chunks(items).zip(relevance.chunks(items)) {
            let query = RankedQuery::from_scores(s, r, Ties::Expectation)?;
            self.mean.update((self.value)(&query));
        }
        Ok(())
    }
}

impl MetricInput {
    /// Class ids and distributions; a negative id becomes one that no class has.
    fn read(&self) -> Result<(Vec<usize>, Array2<f64>)> {
        let truth: Vec<i64> = self.targets.clone().try_into_vec_as()?;
        let ids = truth.into_iter().map(|id| usize::try_from(id).unwrap_or(usize::MAX));
        Ok((ids.collect(), distributions(self.logits.clone())?))
    }
}

fn distributions(logits: Tensor<2>) -> Result<Array2<f64>> {
    let [rows, classes] = logits.dims();
    let values: Vec<f64> = softmax(logits, 1).try_into_vec_as()?;
    Ok(Array2::from_shape_fn((rows, classes), |(r, c)| values[r * classes + c]))
}

impl Predictions {
    /// Predictions from a classifier's logits `[rows, classes]`.
    ///
    /// # Errors
    /// As [`Predictions::new`] (NaN logits give a row that is no distribution), and when
    /// the tensor cannot be read from its device.
    pub fn from_logits(truth: &[usize], logits: Tensor<2>) -> Result<Self> {
        Self::new(truth.to_vec(), distributions(logits)?)
    }
}

#[cfg(test)]
mod tests {
    use burn::data::dataloader::Progress;
    use burn::tensor::Device;

    use super::*;
    use crate::{Average, ClassScore, Gain};

    fn see<S: EpochState>(metric: &mut EpochMetric<S>, inputs: Vec<S::Input>) -> Option<f64> {
        let metadata = MetricMetadata {
            progress: Progress { items_processed: 1, items_total: 2, unit: None },
            iteration: None,
            lr: None,
        };
        for input in &inputs {
            metric.update(input, &metadata).unwrap();
        }
        metric.value().map(|v| v.current())
    }

    fn batch(logits: [[f32; 2]; 2], targets: [i32; 2]) -> MetricInput {
        let device = Device::flex();
        MetricInput {
            logits: Tensor::from_floats(logits, &device),
            targets: Tensor::from_ints(targets, &device),
        }
    }

    fn batches() -> Vec<MetricInput> {
        let right = [[5.0, 0.0], [5.0, 0.0]];
        vec![batch(right, [0, 0]), batch([[5.0, 0.0], [0.0, 5.0]], [1, 0])]
    }

    #[test]
    fn it_accumulates_over_batches_where_averaging_would_be_wrong() {
        let profile = ClassProfile::from_counts([3, 1]).unwrap();
        let mut metric = EpochMetric::of(Metric::BalancedAccuracy, profile);
        // Recalls 2/3 and 0; the mean of the batches would be 1/2.
        let value = see(&mut metric, batches()).unwrap();
        assert!((value - 1.0 / 3.0).abs() < 1e-12);
        metric.clear();
        assert!(metric.value().is_none());
    }

    #[test]
    fn every_kind_of_metric_has_its_form() {
        let device = Device::flex();
        let mut weighted = EpochMetric::of_tally("weighted recall", true, 2, |tally| {
            tally.counts().average(ClassScore::Recall, Average::Weighted)
        });
        assert_eq!(see(&mut weighted, batches()), Some(0.5));
        let mut top = EpochMetric::of_predictions("top 2", true, |p| p.top_k(2).ok());
        assert_eq!(see(&mut top, batches()), Some(1.0));
        let scores = |logits: [f32; 2], targets: [i32; 2]| ScoreInput {
            logits: Tensor::from_floats(logits, &device),
            targets: Tensor::from_ints(targets, &device),
        };
        let mut auroc = EpochMetric::of_scores(CurveMetric::Auroc);
        let seen = vec![scores([0.9, 0.1], [1, 1]), scores([0.2, 0.05], [0, 0])];
        assert_eq!(see(&mut auroc, seen), Some(0.75));
        let labels = LabelInput {
            logits: Tensor::from_floats([[1.0, -1.0], [1.0, 1.0]], &device),
            targets: Tensor::from_ints([[1, 1], [1, 1]], &device),
        };
        let mut hamming = EpochMetric::of_labels("hamming", false, 2, LabelSets::hamming_loss);
        assert_eq!(see(&mut hamming, vec![labels]), Some(0.25));
        let values = ValueInput {
            predictions: Tensor::from_floats([1.0, 2.0], &device),
            targets: Tensor::from_floats([2.0, 4.0], &device),
        };
        let mut mae = EpochMetric::of_errors("mae", RegressionErrors::mean_absolute);
        assert_eq!(see(&mut mae, vec![values]), Some(1.5));
        let queries = QueryInput {
            scores: Tensor::from_floats([[3.0, 2.0], [1.0, 2.0]], &device),
            relevance: Tensor::from_floats([[1.0, 0.0], [0.0, 0.0]], &device),
        };
        let mut ndcg = EpochMetric::of_queries("ndcg", |q| q.ndcg(2, Gain::Linear).ok().flatten());
        assert_eq!(see(&mut ndcg, vec![queries]), Some(1.0));
    }

    #[test]
    fn what_it_cannot_take_is_said_and_not_a_number() {
        let profile = ClassProfile::from_counts([3, 1]).unwrap();
        let mut metric = EpochMetric::of(Metric::Accuracy, profile);
        let outside = batch([[5.0, 0.0], [5.0, 0.0]], [0, 7]);
        assert_eq!(see(&mut metric, vec![outside]), None);
        let entry = metric.compute().unwrap();
        assert!(entry.is_not_available());
        assert!(entry.formatted.contains("class id 7 at row 1"), "{}", entry.formatted);
        metric.clear();
        let nan = batch([[f32::NAN, 0.0], [5.0, 0.0]], [0, 0]);
        assert_eq!(see(&mut metric, vec![nan]), None);
        metric.clear();
        assert_eq!(see(&mut metric, vec![batch([[5.0, 0.0], [5.0, 0.0]], [0, 0])]), Some(1.0));
    }
}
