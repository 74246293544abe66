use counterweight_core::ClassProfile;
use serde::Serialize;

use super::rows_by_group;
use crate::{Metric, Predictions, Result};

/// A metric within one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupScore {
    /// The group.
    pub group: String,
    /// Its rows.
    pub rows: usize,
    /// The metric's value, `None` where undefined.
    pub value: Option<f64>,
}

/// A metric by group (age band, region, seller), with the gap between the best- and
/// the worst-served group (Hardt et al. 2016 for recall: equal opportunity).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupReport {
    /// The metric.
    pub metric: Metric,
    /// One score per group, by name.
    pub groups: Vec<GroupScore>,
}

impl GroupReport {
    /// Computes `metric` within each group; `groups` names the group of each row.
    ///
    /// # Errors
    /// When `groups` has another length than the predictions.
    ///
    /// ```
    /// use counterweight_core::ClassProfile;
    /// use counterweight_metrics::{GroupReport, Metric, Predictions};
    /// use ndarray::array;
    ///
    /// let p = array![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
    /// let predictions = Predictions::new(vec![0, 0, 1, 1], p)?;
    /// let profile = ClassProfile::from_counts([2, 2])?;
    /// let report = GroupReport::new(Metric::Accuracy, &predictions, &["a", "a", "b", "b"], &profile)?;
    /// assert_eq!(report.gap(), Some(0.5));
    /// assert_eq!(report.worst().unwrap().group, "b");
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn new<S: AsRef<str>>(
        metric: Metric,
        predictions: &Predictions,
        groups: &[S],
        profile: &ClassProfile,
    ) -> Result<Self> {
        counterweight_core::ensure_length("groups", groups.len(), predictions.len())?;
        let score = |(group, rows): (&str, Vec<usize>)| GroupScore {
            group: group.to_owned(),
            rows: rows.len(),
            value: predictions.tally_of(rows).metric(metric, profile),
        };
        Ok(Self { metric, groups: rows_by_group(groups).into_iter().map(score).collect() })
    }

    /// Largest minus smallest value over the groups where it is defined.
    pub fn gap(&self) -> Option<f64> {
        let values = || self.groups.iter().filter_map(|g| g.value);
        Some(values().max_by(f64::total_cmp)? - values().min_by(f64::total_cmp)?)
    }

    /// The worst-served group.
    pub fn worst(&self) -> Option<&GroupScore> {
        let better = |value: f64| if self.metric.higher_is_better() { value } else { -value };
        let defined = self.groups.iter().filter_map(|g| Some((better(g.value?), g)));
        defined.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, g)| g)
    }
}
