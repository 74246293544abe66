use std::collections::BTreeMap;

use counterweight_core::{derive, ensure, rng};
use ndarray::Axis;
use rand::RngExt;
use rayon::prelude::*;

use super::adasyn::allot;
use super::kmeans::mini_batch;
use super::macros::resampler;
use super::{Growth, Resampler, begun, between, growths, rows_by_class};
use crate::neighbours::nearest;
use crate::table::Features;
use crate::{Error, Plan, Result, Strategy, Table};

const METHOD: &str = "KMeans-SMOTE";

resampler! {
    /// KMeans-SMOTE (Douzas, Bacao and Last, Information Sciences 2018): SMOTE inside clusters in
    /// which the class is frequent enough, more in sparse ones.
    ///
    /// A cluster takes part when the class's share in it is at least the threshold (by default
    /// half of the class's share of all rows that are added) and it has more than k rows of it.
    /// Its weight is `m^e / n`: n rows of the class with mean distance m, and by default
    /// `e = .16 · log_1.6(n)^1.8`. Clusters come from mini-batch k-means, as in imbalanced-learn;
    /// the weights are turned into whole numbers by largest remainder (there each is rounded up).
    KMeansSmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 2 by default.
        with_k(k: usize = 2),
        /// Sets the number of clusters, at least 1; 8 by default.
        with_clusters(clusters: usize = 8),
        /// Sets the least share of the class in a cluster, in \[0, 1\].
        with_threshold(threshold: Option<f64> = None),
        /// Sets e, at least 0.
        with_exponent(exponent: Option<f64> = None),
        /// Names the cluster of each row instead of finding them.
        with_assignment(assignment: Vec<usize> = Vec::new()),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

/// A cluster that takes part.
struct Part {
    members: Vec<usize>,
    weight: f64,
}

impl KMeansSmote {
    /// The clusters that make rows of a class, and their shares of them, which sum to 1.
    ///
    /// # Errors
    /// As [`plan`](Resampler::plan).
    pub fn weights(&self, x: &dyn Table, y: &[usize], class: usize) -> Result<Vec<(usize, f64)>> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        self.check(y)?;
        let clusters = self.clusters(x)?;
        let all = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let total: usize = all.iter().map(|g| g.wanted).sum();
        let Some(growth) = all.iter().find(|g| g.class == class) else { return Ok(Vec::new()) };
        let parts = self.parts(x, y, &clusters, class, growth.wanted as f64 / total as f64)?;
        let sum: f64 = parts.values().map(|part| part.weight).sum();
        Ok(parts.into_iter().map(|(cluster, part)| (cluster, part.weight / sum)).collect())
    }

    fn check(&self, y: &[usize]) -> Result<()> {
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        if let Some(threshold) = self.threshold {
            ensure("threshold", threshold, (0.0..=1.0).contains(&threshold), "[0, 1]")?;
        }
        if let Some(e) = self.exponent {
            ensure("exponent", e, e >= 0.0 && e.is_finite(), "[0, inf)")?;
        }
        if self.assignment.is_empty() {
            let (n, most) = (self.clusters, y.len());
            ensure("clusters", n as f64, (1..=most).contains(&n), "[1, rows]")?;
        } else {
            counterweight_core::ensure_length("assignment", self.assignment.len(), y.len())?;
        }
        Ok(())
    }

    /// The cluster of each row.
    fn clusters(&self, x: &Features<'_>) -> Result<Vec<usize>> {
        if !self.assignment.is_empty() {
            return Ok(self.assignment.clone());
        }
        let all: Vec<usize> = (0..x.rows()).collect();
        // A stream of its own: class ids have the ones below.
        let mut rng = rng(derive(self.seed, u64::MAX));
        Ok(mini_batch(x.dense(METHOD)?, &all, self.clusters, &mut rng))
    }

    fn parts(
        &self,
        x: &Features<'_>,
        y: &[usize],
        clusters: &[usize],
        class: usize,
        share: f64,
    ) -> Result<BTreeMap<usize, Part>> {
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, &cluster) in clusters.iter().enumerate() {
            *sizes.entry(cluster).or_default() += 1;
            if y[row] == class {
                members.entry(cluster).or_default().push(row);
            }
        }
        let threshold = self.threshold.unwrap_or(share / 2.0);
        let dense = |cluster: &usize, members: &mut Vec<usize>| {
            members.len() > self.k && members.len() as f64 >= threshold * sizes[cluster] as f64
        };
        members.retain(dense);
        if members.is_empty() {
            return Err(Error::NoCluster { class });
        }
        let part = |(cluster, members): (usize, Vec<usize>)| {
            let n = members.len();
            let mean = 2.0 * distances(x, &members) / (n * (n - 1)) as f64;
            let size = n as f64;
            let exponent =
                self.exponent.unwrap_or_else(|| 0.16 * (size.ln() / 1.6f64.ln()).powf(1.8));
            (cluster, Part { members, weight: mean.powf(exponent) / size })
        };
        let mut parts: BTreeMap<usize, Part> = members.into_iter().map(part).collect();
        // Clusters of equal rows weigh nothing; when all do, they are alike.
        if parts.values().all(|part| part.weight == 0.0) {
            parts.values_mut().for_each(|part| part.weight = 1.0);
        }
        Ok(parts)
    }
}

/// The sum of the distances of all pairs of rows, by matrix products; pairs so near that the
/// product cancels are measured.
fn distances(x: &Features<'_>, rows: &[usize]) -> f64 {
    const BLOCK: usize = 64;
    let each = |a: usize, b: usize| x.squared(rows[a], rows[b]);
    let Some(part) = x.euclidean().map(|x| x.select(Axis(0), rows)) else {
        let pairs = (0..rows.len()).flat_map(|a| (a + 1..rows.len()).map(move |b| (a, b)));
        return pairs.map(|(a, b)| each(a, b).sqrt()).sum();
    };
    let Some(centre) = part.mean_axis(Axis(0)) else { return 0.0 };
    let part = part - centre;
    let norms: Vec<f64> = part.outer_iter().map(|row| row.dot(&row)).collect();
    let starts: Vec<usize> = (0..rows.len()).step_by(BLOCK).collect();
    let sums: Vec<f64> = starts
        .into_par_iter()
        .map(|start| {
            let block = part.slice_axis(Axis(0), (start..rows.len().min(start + BLOCK)).into());
            let products = block.dot(&part.slice_axis(Axis(0), (start..).into()).t());
            let mut sum = 0.0;
            for (i, line) in products.outer_iter().enumerate() {
                for (j, product) in line.iter().enumerate().skip(i + 1) {
                    let both = norms[start + i] + norms[start + j];
                    let squared = both - 2.0 * product;
                    let exact = squared > 1e-8 * both;
                    sum += if exact { squared.sqrt() } else { each(start + i, start + j).sqrt() };
                }
            }
            sum
        })
        .collect();
    sums.iter().sum()
}

impl Resampler for KMeansSmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        self.check(y)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let total: usize = growing.iter().map(|g| g.wanted).sum();
        let mut planned = begun(y, &growing);
        if total == 0 {
            return Ok(Plan::new(planned));
        }
        let clusters = self.clusters(x)?;
        for growth in growing {
            let Growth { class, wanted, mut rng, .. } = growth;
            let parts = self.parts(x, y, &clusters, class, wanted as f64 / total as f64)?;
            let weights: Vec<f64> = parts.values().map(|part| part.weight).collect();
            for (part, n) in parts.values().zip(allot(&weights, wanted)) {
                let near = nearest(x, &part.members, &part.members, self.k);
                planned.extend((0..n).map(|_| {
                    let base = rng.random_range(0..part.members.len());
                    between(part.members[base], &near[base], class, &mut rng, |_| 1.0)
                }));
            }
        }
        Ok(Plan::new(planned))
    }
}
