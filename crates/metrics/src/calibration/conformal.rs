use counterweight_core::{ensure, ensure_length};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::{Predictions, Result};

/// How strange a class is for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConformalScore {
    /// `1 − p_y`: the smallest sets on average (LAC; Sadinle et al., JASA 2019).
    #[default]
    Threshold,
    /// The probability of all classes at least as probable as y: sets that grow where the
    /// model is unsure (APS without randomisation; Romano et al., NeurIPS 2020).
    Adaptive,
}

impl ConformalScore {
    /// The scores of all classes of a row, O(C log C).
    fn of(self, p: ArrayView1<'_, f64>) -> Vec<f64> {
        match self {
            Self::Threshold => p.iter().map(|p| 1.0 - p).collect(),
            Self::Adaptive => {
                let mut order: Vec<usize> = (0..p.len()).collect();
                order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
                let mut scores = vec![0.0; p.len()];
                let mut sum = 0.0;
                for tied in order.chunk_by(|&a, &b| p[a] == p[b]) {
                    sum += tied.iter().map(|&class| p[class]).sum::<f64>();
                    tied.iter().for_each(|&class| scores[class] = sum);
                }
                scores
            }
        }
    }
}

/// Split conformal prediction: sets of classes that hold the truth with probability at least
/// 1 − α, whatever the model, as long as calibration rows and new rows are exchangeable.
///
/// With [`per_class`](Self::per_class) this holds within every class (Mondrian conformal
/// prediction, Vovk 2012), which is what a rare class needs: marginal coverage can be reached
/// by the head alone. A class with fewer than `1/α − 1` calibration rows is in every set, since
/// nothing less is certain.
///
/// ```
/// use counterweight_metrics::{Conformal, ConformalScore, Predictions};
/// use ndarray::array;
///
/// let p = array![[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]];
/// let calibration = Predictions::new(vec![0, 0, 0, 1], p)?;
/// let conformal = Conformal::fit(&calibration, ConformalScore::Threshold, 0.4)?;
/// let sets = conformal.predict(&array![[0.95, 0.05], [0.55, 0.45]])?;
/// assert_eq!(sets.sets(), [vec![0], vec![]]);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    score: ConformalScore,
    /// Largest score let in, by class; `None` lets everything in.
    limits: Vec<Option<f64>>,
}

impl Conformal {
    /// One limit for all classes: coverage on average over rows.
    ///
    /// # Errors
    /// For α outside (0, 1).
    pub fn fit(calibration: &Predictions, score: ConformalScore, alpha: f64) -> Result<Self> {
        let scores = Self::scores(calibration, score, alpha)?;
        let all = scores.into_iter().map(|(_, s)| s).collect();
        let limits = vec![limit(all, alpha); calibration.probabilities().ncols()];
        Ok(Self { score, limits })
    }

    /// A limit per class: coverage within every class.
    ///
    /// # Errors
    /// For α outside (0, 1).
    pub fn per_class(calibration: &Predictions, score: ConformalScore, alpha: f64) -> Result<Self> {
        let mut by_class = vec![Vec::new(); calibration.probabilities().ncols()];
        for (class, s) in Self::scores(calibration, score, alpha)? {
            by_class[class].push(s);
        }
        Ok(Self { score, limits: by_class.into_iter().map(|s| limit(s, alpha)).collect() })
    }

    fn scores(p: &Predictions, score: ConformalScore, alpha: f64) -> Result<Vec<(usize, f64)>> {
        ensure("alpha", alpha, alpha > 0.0 && alpha < 1.0, "(0, 1)")?;
        let rows = p.probabilities().rows().into_iter().zip(p.truth());
        Ok(rows.map(|(row, &truth)| (truth, score.of(row)[truth])).collect())
    }

    /// The classes that cannot be excluded, row by row.
    ///
    /// # Errors
    /// When the number of columns is not that of the classes.
    pub fn predict(&self, probabilities: &Array2<f64>) -> Result<PredictionSets> {
        ensure_length("a row of probabilities", probabilities.ncols(), self.limits.len())?;
        let set = |row: ArrayView1<'_, f64>| {
            let scores = self.score.of(row);
            let inside =
                |&class: &usize| self.limits[class].is_none_or(|limit| scores[class] <= limit);
            (0..row.len()).filter(inside).collect()
        };
        let sets = probabilities.rows().into_iter().map(set).collect();
        Ok(PredictionSets { sets, classes: self.limits.len() })
    }
}

/// The ⌈(n + 1)(1 − α)⌉-th smallest score; `None` when there is no such one.
fn limit(mut scores: Vec<f64>, alpha: f64) -> Option<f64> {
    // 1e-9: (n + 1)(1 − α) is often a whole number that rounding would lift.
    let rank = ((scores.len() + 1) as f64 * (1.0 - alpha) - 1e-9).ceil() as usize;
    scores.sort_unstable_by(f64::total_cmp);
    scores.get(rank.max(1) - 1).copied()
}

/// Sets of classes, one per row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PredictionSets {
    sets: Vec<Vec<usize>>,
    classes: usize,
}

impl PredictionSets {
    /// The sets, class ids rising.
    pub fn sets(&self) -> &[Vec<usize>] {
        &self.sets
    }

    /// The mean number of classes in a set, `None` without rows.
    pub fn mean_size(&self) -> Option<f64> {
        crate::counts::mean(self.sets.iter().map(|set| set.len() as f64))
    }

    /// The share of rows whose set holds the truth, by class; `None` for a class without
    /// rows.
    ///
    /// # Errors
    /// When lengths differ or a class id is outside the classes.
    pub fn coverage_by_class(&self, truth: &[usize]) -> Result<Vec<Option<f64>>> {
        ensure_length("truth", truth.len(), self.sets.len())?;
        let mut counts = vec![[0.0; 2]; self.classes];
        for (row, (&class, set)) in truth.iter().zip(&self.sets).enumerate() {
            crate::counts::check_ids(class, class, row, self.classes)?;
            counts[class][0] += f64::from(u8::from(set.contains(&class)));
            counts[class][1] += 1.0;
        }
        Ok(counts.into_iter().map(|[hit, n]| crate::counts::ratio(hit, n)).collect())
    }

    /// The share of all rows whose set holds the truth.
    ///
    /// # Errors
    /// As [`coverage_by_class`](Self::coverage_by_class).
    pub fn coverage(&self, truth: &[usize]) -> Result<Option<f64>> {
        ensure_length("truth", truth.len(), self.sets.len())?;
        let hit = |(class, set): (&usize, &Vec<usize>)| f64::from(u8::from(set.contains(class)));
        Ok(crate::counts::mean(truth.iter().zip(&self.sets).map(hit)))
    }
}
