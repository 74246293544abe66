//! Over-sampling of examples with several labels.

use std::collections::BTreeSet;

use counterweight_core::{class_count, derive, ensure, ensure_length, rng};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use crate::neighbours::nearest;
use crate::{Origin, Plan, PlannedRow, Resampled, Result, Table};

/// How uneven the labels of a multi-label data set are (Charte et al., Neurocomputing 2015).
///
/// `IRLbl(l) = max count / count(l)`; labels above the mean of these are minority labels.
///
/// ```
/// use counterweight_samplers::LabelImbalance;
///
/// let labels = LabelImbalance::from_counts(vec![6, 2, 1]);
/// assert_eq!(labels.ratios(), [Some(1.0), Some(3.0), Some(6.0)]);
/// assert!((labels.mean() - 10.0 / 3.0).abs() < 1e-12);
/// assert_eq!(labels.minority(), [2]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelImbalance {
    counts: Vec<usize>,
}

impl LabelImbalance {
    /// From how many examples have each label.
    pub fn from_counts(counts: Vec<usize>) -> Self {
        Self { counts }
    }

    /// From the labels of each example.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for a label of 2²⁴ or more.
    pub fn of(labels: &[Vec<usize>]) -> Result<Self> {
        let each = labels.iter().enumerate();
        let each = each.flat_map(|(row, set)| set.iter().map(move |&label| (row, label)));
        let mut counts = vec![0; class_count(each)?];
        for set in labels {
            let set: BTreeSet<usize> = set.iter().copied().collect();
            set.into_iter().for_each(|label| counts[label] += 1);
        }
        Ok(Self { counts })
    }

    /// How many examples have each label.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// IRLbl of each label; `None` for one without examples.
    pub fn ratios(&self) -> Vec<Option<f64>> {
        let most = self.counts.iter().copied().max().unwrap_or(0) as f64;
        self.counts.iter().map(|&n| (n > 0).then(|| most / n as f64)).collect()
    }

    /// The mean of IRLbl over labels with examples, MeanIR.
    pub fn mean(&self) -> f64 {
        let ratios: Vec<f64> = self.ratios().into_iter().flatten().collect();
        ratios.iter().sum::<f64>() / ratios.len() as f64
    }

    /// The labels above the mean.
    pub fn minority(&self) -> Vec<usize> {
        let mean = self.mean();
        let above =
            |(label, ratio): (usize, Option<f64>)| ratio.filter(|r| *r > mean).map(|_| label);
        self.ratios().into_iter().enumerate().filter_map(above).collect()
    }
}

/// A plan and the labels of its rows.
///
/// The class of a planned row is the label it was made for; of a kept row it is 0 and says
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelPlan {
    /// Where each row comes from.
    pub plan: Plan,
    /// The labels of each row, sorted.
    pub labels: Vec<Vec<usize>>,
}

impl MultiLabelPlan {
    /// Features and labels.
    ///
    /// # Errors
    /// As [`Plan::apply`].
    pub fn apply<T: Resampled + ?Sized>(&self, x: &T) -> Result<(T::Output, Vec<Vec<usize>>)> {
        Ok((self.plan.apply(x)?.0, self.labels.clone()))
    }
}

fn begun(labels: &[Vec<usize>]) -> (Vec<PlannedRow>, Vec<Vec<usize>>) {
    let rows = (0..labels.len()).map(|row| PlannedRow { origin: Origin::Kept(row), class: 0 });
    let sorted = labels.iter().map(|set| {
        let set: BTreeSet<usize> = set.iter().copied().collect();
        set.into_iter().collect()
    });
    (rows.collect(), sorted.collect())
}

/// The rows with a label.
fn bag(labels: &[Vec<usize>], label: usize) -> Vec<usize> {
    (0..labels.len()).filter(|&row| labels[row].contains(&label)).collect()
}

resampler! {
    /// ML-ROS (Charte, Rivera, del Jesus and Herrera, Neurocomputing 2015): copies examples of the
    /// minority labels in turn, until a share of the data is added or no label is above the mean
    /// imbalance of the start.
    MlRos {
        /// Sets how many rows to add, as a share of the data above 0; 0.25 by default.
        with_share(share: f64 = 0.25),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl MlRos {
    /// The plan for examples with these labels.
    ///
    /// # Errors
    /// [`OutOfRange`](counterweight_core::OutOfRange) for the share, [`Error::Data`](crate::Error::Data) without
    /// examples and as [`LabelImbalance::of`].
    pub fn plan(&self, labels: &[Vec<usize>]) -> Result<MultiLabelPlan> {
        ensure("share", self.share, self.share > 0.0 && self.share.is_finite(), "(0, inf)")?;
        if labels.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "labels" }.into());
        }
        let start = LabelImbalance::of(labels)?;
        let mean = start.mean();
        let (mut rows, mut sets) = begun(labels);
        let mut counts = start.counts().to_vec();
        let mut bags: Vec<(usize, Vec<usize>, counterweight_core::Rng)> = start
            .minority()
            .into_iter()
            .map(|label| (label, bag(labels, label), rng(derive(self.seed, label as u64))))
            .collect();
        let mut left = (labels.len() as f64 * self.share) as usize;
        while left > 0 && !bags.is_empty() {
            bags.retain_mut(|(label, bag, rng)| {
                if left == 0 {
                    return true;
                }
                let row = bag[rng.random_range(0..bag.len())];
                rows.push(PlannedRow { origin: Origin::Copy(row), class: *label });
                sets.push(sets[row].clone());
                sets[row].iter().for_each(|&label| counts[label] += 1);
                left -= 1;
                let now = LabelImbalance::from_counts(counts.clone());
                now.ratios()[*label].is_some_and(|ratio| ratio > mean)
            });
        }
        Ok(MultiLabelPlan { plan: Plan::new(rows), labels: sets })
    }
}

/// Which labels a synthetic example has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelRule {
    /// Those of at least half of the example and its neighbours.
    #[default]
    Ranking,
    /// Those of the example and of every neighbour.
    Intersection,
    /// Those of the example or of any neighbour.
    Union,
}

resampler! {
    /// MLSMOTE (Charte, Rivera, del Jesus and Herrera, Knowledge-Based Systems 2015): one synthetic
    /// example from every example of every minority label, between it and one of its k nearest
    /// of that label, with labels from them all.
    ///
    /// Labels with k examples or fewer stay as they are and are named in
    /// [`Plan::unchanged`](crate::Plan::unchanged).
    MlSmote {
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets which labels a synthetic example has; by ranking by default.
        with_rule(rule: LabelRule = LabelRule::Ranking),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl MlSmote {
    /// The plan for examples with these features and labels.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for bad parameters, values that are not finite or labels of another
    /// length.
    pub fn plan(&self, x: &dyn Table, labels: &[Vec<usize>]) -> Result<MultiLabelPlan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        ensure_length("labels", labels.len(), x.rows())?;
        if labels.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "labels" }.into());
        }
        x.ensure_finite()?;
        let (mut rows, mut sets) = begun(labels);
        let mut unchanged = Vec::new();
        for label in LabelImbalance::of(labels)?.minority() {
            let members = bag(labels, label);
            if members.len() <= self.k {
                unchanged.push(label);
                continue;
            }
            let mut rng = rng(derive(self.seed, label as u64));
            for (&a, near) in members.iter().zip(nearest(x, &members, &members, self.k)) {
                let b = near[rng.random_range(0..near.len())].row;
                let origin = Origin::Between { a, b, t: rng.random() };
                rows.push(PlannedRow { origin, class: label });
                let voters: Vec<usize> =
                    std::iter::once(a).chain(near.iter().map(|n| n.row)).collect();
                sets.push(self.labels(&sets, &voters));
            }
        }
        Ok(MultiLabelPlan { plan: Plan::new(rows).with_unchanged(unchanged), labels: sets })
    }

    fn labels(&self, sets: &[Vec<usize>], voters: &[usize]) -> Vec<usize> {
        let needed = match self.rule {
            LabelRule::Ranking => voters.len().div_ceil(2),
            LabelRule::Intersection => voters.len(),
            LabelRule::Union => 1,
        };
        let all: BTreeSet<usize> = voters.iter().flat_map(|&row| &sets[row]).copied().collect();
        let votes = |label: usize| voters.iter().filter(|&&row| sets[row].contains(&label)).count();
        all.into_iter().filter(|&label| votes(label) >= needed).collect()
    }
}
