use counterweight_core::ensure_length;
use serde::Serialize;

use super::rows_by_group;
use crate::counts::{check_ids, ratio};
use crate::{Calibration, Predictions, Result};

/// What happens to one group when a class is the favourable outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupRates {
    /// The group.
    pub group: String,
    /// Its rows.
    pub rows: usize,
    /// The share of rows that are positive.
    pub base_rate: Option<f64>,
    /// The share predicted positive.
    pub selection_rate: Option<f64>,
    /// The share of positives predicted positive.
    pub true_positive_rate: Option<f64>,
    /// The share of negatives predicted positive.
    pub false_positive_rate: Option<f64>,
    /// The share of those predicted positive that are.
    pub precision: Option<f64>,
    /// Expected calibration error of the positive class's probability, 10 bins; `None`
    /// without probabilities.
    pub calibration_error: Option<f64>,
}

/// The distance between the groups: 0 and 1 are parity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Disparity {
    /// Largest minus smallest rate.
    pub difference: f64,
    /// Smallest over largest rate, `None` when all are 0. The "four-fifths rule" asks for at
    /// least 0.8 of a selection rate.
    pub ratio: Option<f64>,
}

/// Group fairness of a binary decision, or of one class against the rest, in fairlearn's
/// definitions. Groups for which a rate is undefined are left out of its comparison.
///
/// ```
/// use counterweight_metrics::FairnessReport;
///
/// let truth = [true, false, true, false];
/// let predicted = [true, false, false, false];
/// let report = FairnessReport::new(&truth, &predicted, &["a", "a", "b", "b"])?;
/// assert_eq!(report.demographic_parity().unwrap().difference, 0.5);
/// assert_eq!(report.equal_opportunity().unwrap().difference, 1.0);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FairnessReport {
    /// One line per group, by name.
    pub groups: Vec<GroupRates>,
}

impl FairnessReport {
    /// Compares decisions with the truth within each group; `groups` names each row's.
    ///
    /// # Errors
    /// For arrays of different lengths.
    pub fn new<S: AsRef<str>>(truth: &[bool], predicted: &[bool], groups: &[S]) -> Result<Self> {
        Self::build(truth, predicted, None, groups)
    }

    /// The same for one class of a classifier, with the calibration of its probability.
    ///
    /// # Errors
    /// For a class outside the predictions, or groups of another length.
    pub fn of_class<S: AsRef<str>>(
        predictions: &Predictions,
        class: usize,
        groups: &[S],
    ) -> Result<Self> {
        check_ids(class, class, 0, predictions.probabilities().ncols())?;
        let is = |ids: &[usize]| ids.iter().map(|&id| id == class).collect::<Vec<bool>>();
        let scores: Vec<f64> =
            predictions.probabilities().column(class).iter().map(|p| p.min(1.0)).collect();
        Self::build(&is(predictions.truth()), &is(predictions.predicted()), Some(&scores), groups)
    }

    fn build<S: AsRef<str>>(
        truth: &[bool],
        predicted: &[bool],
        scores: Option<&[f64]>,
        groups: &[S],
    ) -> Result<Self> {
        ensure_length("predictions", predicted.len(), truth.len())?;
        ensure_length("groups", groups.len(), truth.len())?;
        let rates = |(group, rows): (&str, Vec<usize>)| {
            let count =
                |keep: &dyn Fn(usize) -> bool| rows.iter().filter(|&&row| keep(row)).count() as f64;
            let n = rows.len() as f64;
            let (positives, selected) = (count(&|r| truth[r]), count(&|r| predicted[r]));
            let hits = count(&|r| truth[r] && predicted[r]);
            let calibration = scores.map(|scores| {
                let mut bins = Calibration::new(10);
                rows.iter().for_each(|&r| bins.add(scores[r], truth[r], 1.0));
                bins
            });
            GroupRates {
                group: group.to_owned(),
                rows: rows.len(),
                base_rate: ratio(positives, n),
                selection_rate: ratio(selected, n),
                true_positive_rate: ratio(hits, positives),
                false_positive_rate: ratio(selected - hits, n - positives),
                precision: ratio(hits, selected),
                calibration_error: calibration.and_then(|c| c.ece()),
            }
        };
        Ok(Self { groups: rows_by_group(groups).into_iter().map(rates).collect() })
    }

    fn disparity(&self, rate: impl Fn(&GroupRates) -> Option<f64>) -> Option<Disparity> {
        let rates = || self.groups.iter().filter_map(&rate);
        let (low, high) = (rates().min_by(f64::total_cmp)?, rates().max_by(f64::total_cmp)?);
        Some(Disparity { difference: high - low, ratio: ratio(low, high) })
    }

    /// Demographic parity: do groups have the same selection rate?
    pub fn demographic_parity(&self) -> Option<Disparity> {
        self.disparity(|g| g.selection_rate)
    }

    /// Equal opportunity (Hardt et al., NeurIPS 2016): the same true positive rate?
    pub fn equal_opportunity(&self) -> Option<Disparity> {
        self.disparity(|g| g.true_positive_rate)
    }

    /// Equalised odds (Hardt et al. 2016): the same true and false positive rate? The worse of
    /// both, as fairlearn's `agg="worst_case"`.
    pub fn equalised_odds(&self) -> Option<Disparity> {
        let both = [self.equal_opportunity(), self.disparity(|g| g.false_positive_rate)];
        both.into_iter().flatten().reduce(|a, b| Disparity {
            difference: a.difference.max(b.difference),
            ratio: match (a.ratio, b.ratio) {
                (Some(x), Some(y)) => Some(x.min(y)),
                (one, other) => one.or(other),
            },
        })
    }

    /// Predictive parity (Chouldechova 2017): the same precision?
    pub fn predictive_parity(&self) -> Option<Disparity> {
        self.disparity(|g| g.precision)
    }

    /// Group calibration: are probabilities as honest in every group? The disparity of the
    /// calibration errors; `None` without probabilities.
    pub fn calibration_parity(&self) -> Option<Disparity> {
        self.disparity(|g| g.calibration_error)
    }
}
