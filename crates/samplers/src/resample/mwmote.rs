use std::collections::{BTreeMap, BTreeSet};

use counterweight_core::ensure;
use kodama::{Method, linkage};
use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;

use super::macros::resampler;
use super::{Growth, Resampler, begun, ensure_neighbours, growths, rows_by_class};
use crate::neighbours::{Neighbour, nearest};
use crate::table::Features;
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "MWMOTE";
/// The bound on closeness and its scale, C_f(th) and CMAX of the paper.
const CLOSENESS: f64 = 5.0;
const SCALE: f64 = 2.0;
/// Rows of a class whose distances may be kept.
const MOST: usize = 1 << 15;

resampler! {
    /// MWMOTE, majority weighted minority over-sampling (Barua, Islam, Yao and Murase, TKDE 2014):
    /// bases are drawn by how much the strangers at the border need them, and each goes towards a
    /// row of its own cluster, so that no synthetic row lies between clusters.
    ///
    /// 1. Rows of the class without any of their own among `noise_k` nearest neighbours are left
    ///    out.
    /// 2. The `border_k` nearest strangers of the others are the border.
    /// 3. Each border row y informs its nearest half of the class: with d the distance divided by
    ///    the number of columns, `C = min(1/d, 5) / 5 · 2`, and x weighs `Σ_y C² / Σ_x' C`.
    /// 4. Clusters are average linkage, cut at `cluster` times the mean distance to the nearest
    ///    row of the class.
    ///
    /// Clustering keeps n²/2 distances of a class in single precision: 50 MB for 5,000 rows. A class
    /// that grows may have 32,768 rows at most (2.1 GB).
    Mwmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the neighbours that tell noise, at least 1; 5 by default.
        with_noise_k(noise_k: usize = 5),
        /// Sets the strangers that make the border, at least 1; 3 by default.
        with_border_k(border_k: usize = 3),
        /// Sets the distance at which clusters end, above 0; 3 by default.
        with_cluster(cluster: f64 = 3.0),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for Mwmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("border_k", self.border_k as f64, self.border_k >= 1, "[1, inf)")?;
        let ok = self.cluster > 0.0 && self.cluster.is_finite();
        ensure("cluster", self.cluster, ok, "(0, inf)")?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("noise_k", self.noise_k, y.len(), METHOD)?;
        let all: Vec<usize> = (0..y.len()).collect();
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        if let Some(Growth { class, members, .. }) = growing.iter().find(|g| g.members.len() > MOST)
        {
            let (class, got) = (*class, members.len());
            return Err(Error::TooMany { method: METHOD, class, got, most: MOST });
        }
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let strangers: Vec<usize> = (0..y.len()).filter(|&row| y[row] != class).collect();
            if strangers.is_empty() {
                return Err(Error::NoStrangers { method: METHOD, class });
            }
            let friends = |near: &Vec<Neighbour>| near.iter().any(|n| y[n.row] == class);
            let quiet: Vec<usize> = members
                .iter()
                .zip(nearest(x, members, &all, self.noise_k))
                .filter(|(_, near)| friends(near))
                .map(|(&row, _)| row)
                .collect();
            if quiet.is_empty() {
                return Err(Error::AllNoise { class });
            }
            let border: BTreeSet<usize> = nearest(x, &quiet, &strangers, self.border_k)
                .iter()
                .flatten()
                .map(|n| n.row)
                .collect();
            let border: Vec<usize> = border.into_iter().collect();
            let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
            // Half the class for each border row: a part of them at a time.
            for part in border.chunks(256) {
                for near in nearest(x, part, &quiet, members.len().div_ceil(2)) {
                    let close = |n: &Neighbour| {
                        let d = n.squared.sqrt() / x.columns() as f64;
                        (1.0 / d).min(CLOSENESS) / CLOSENESS * SCALE
                    };
                    let sum: f64 = near.iter().map(close).sum();
                    for n in &near {
                        *weights.entry(n.row).or_default() += close(n) * close(n) / sum;
                    }
                }
            }
            let clusters = clusters(x, &quiet, self.cluster);
            let (bases, weights): (Vec<usize>, Vec<f64>) = weights.into_iter().unzip();
            // Closeness is positive, so that some weight is.
            let Ok(draw) = WeightedIndex::new(&weights) else {
                return Err(Error::AllNoise { class });
            };
            planned.extend((0..wanted).map(|_| {
                let a = bases[draw.sample(&mut rng)];
                let cluster = &clusters[&a];
                let b = cluster[rng.random_range(0..cluster.len())];
                PlannedRow { origin: Origin::Between { a, b, t: rng.random() }, class }
            }));
        }
        Ok(Plan::new(planned))
    }
}

/// The rows of each row's cluster.
fn clusters(
    x: &Features<'_>,
    rows: &[usize],
    reach: f64,
) -> BTreeMap<usize, std::rc::Rc<Vec<usize>>> {
    let n = rows.len();
    let mut apart = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for (i, &a) in rows.iter().enumerate() {
        apart.extend(rows[i + 1..].iter().map(|&b| x.squared(a, b).sqrt() as f32));
    }
    let near = nearest(x, rows, rows, 1);
    let mean = near.iter().flatten().map(|n| n.squared.sqrt()).sum::<f64>() / n as f64;
    let mut members: Vec<Option<Vec<usize>>> = rows.iter().map(|&row| Some(vec![row])).collect();
    if n > 1 {
        for step in linkage(&mut apart, n, Method::Average).steps() {
            let joined = f64::from(step.dissimilarity) <= reach * mean;
            let parts = (members[step.cluster1].take(), members[step.cluster2].take());
            let both = match parts {
                (Some(mut a), Some(b)) if joined => {
                    a.extend(b);
                    Some(a)
                }
                (a, b) => {
                    // Cut here: both stand as they are, and so do all above them.
                    members[step.cluster1] = a;
                    members[step.cluster2] = b;
                    None
                }
            };
            members.push(both);
        }
    }
    let mut found = BTreeMap::new();
    for cluster in members.into_iter().flatten() {
        let cluster = std::rc::Rc::new(cluster);
        cluster.iter().for_each(|&row| {
            found.insert(row, cluster.clone());
        });
    }
    found
}
