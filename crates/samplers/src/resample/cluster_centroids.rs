use counterweight_core::{derive, ensure, rng};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::kmeans::lloyd;
use super::macros::resampler;
use super::{Resampler, counts, rows_by_class};
use crate::plan::Details;
use crate::strategy::Direction;
use crate::{Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "cluster centroids";

/// What stands for a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// The mean of its rows.
    #[default]
    Soft,
    /// The row nearest to the mean, the first of equals.
    Hard,
}

resampler! {
    /// Cluster centroids: under-sampling that puts one row in place of each k-means cluster of a
    /// class, as many clusters as rows are wanted (imbalanced-learn's `ClusterCentroids`; compare
    /// Yen and Lee 2009).
    ///
    /// Dense arrays. Soft rows are synthetic: the plan lists the rows of each cluster. Classes
    /// that do not shrink keep their rows; kept rows come first.
    ClusterCentroids {
        /// Sets the final counts; every class shrinks to the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets what stands for a cluster; its mean by default.
        with_voting(voting: Voting = Voting::Soft),
        /// Sets the most rounds of k-means, at least 1; 300 by default.
        with_rounds(rounds: usize = 300),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for ClusterCentroids {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("rounds", self.rounds as f64, self.rounds >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        let x = x.dense(METHOD)?;
        let targets = self.strategy.targets(&counts(&rows), Direction::Under, METHOD)?;
        let mut keep = vec![true; y.len()];
        let (mut made, mut sets) = (Vec::new(), Vec::new());
        for (&class, members) in &rows {
            let wanted = targets[&class];
            if wanted == members.len() {
                continue;
            }
            members.iter().for_each(|&row| keep[row] = false);
            if wanted == 0 {
                continue;
            }
            let mut rng = rng(derive(self.seed, class as u64));
            let clusters = lloyd(x, members, wanted, self.rounds, &mut rng);
            let mut found = vec![Vec::new(); wanted];
            members.iter().zip(clusters).for_each(|(&row, cluster)| found[cluster].push(row));
            for set in found {
                match self.voting {
                    Voting::Soft => {
                        made.push(PlannedRow {
                            origin: Origin::Centroid { set: sets.len() },
                            class,
                        });
                        sets.push(set);
                    }
                    Voting::Hard => {
                        let Some(mean) = x.select(Axis(0), &set).mean_axis(Axis(0)) else {
                            continue;
                        };
                        let apart = |row: usize| {
                            let gap = &x.index_axis(Axis(0), row) - &mean;
                            gap.dot(&gap)
                        };
                        let near = set.iter().map(|&row| (apart(row), row));
                        if let Some((_, row)) = near.min_by(|a, b| a.0.total_cmp(&b.0)) {
                            keep[row] = true;
                        }
                    }
                }
            }
        }
        let mut planned = super::kept(y, |row| keep[row]).into_rows();
        planned.extend(made);
        Ok(Plan::new(planned).with_details(Details { sets, ..Details::default() }))
    }
}
