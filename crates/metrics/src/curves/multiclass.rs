use counterweight_core::ensure;

use super::ScoreCurve;
use crate::{Predictions, Result};

/// How binary AUROCs become one number for several classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MulticlassAuroc {
    /// One against the rest, every class alike.
    OneVsRestMacro,
    /// One against the rest, weighted by the classes' counts.
    OneVsRestWeighted,
    /// Every pair of classes alike, both directions (Hand and Till 2001).
    OneVsOneMacro,
    /// Pairs weighted by their share of the rows.
    OneVsOneWeighted,
}

impl Predictions {
    /// The curve of one class's probability against the rest.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for a class id outside the predictions.
    pub fn curve(&self, class: usize) -> Result<ScoreCurve> {
        let classes = self.probabilities().ncols();
        if class >= classes {
            return Err(counterweight_core::Error::ClassId { id: class, row: 0, classes }.into());
        }
        let scores = self.probabilities().column(class).to_vec();
        let truth: Vec<bool> = self.truth().iter().map(|&id| id == class).collect();
        ScoreCurve::new(&scores, &truth)
    }

    /// The curve of all classes pooled, every row once for each class, with that class's
    /// probability against whether it is the truth ("micro average").
    ///
    /// # Errors
    /// None in practice: predictions are checked when they are made.
    pub fn micro_curve(&self) -> Result<ScoreCurve> {
        let classes = self.probabilities().ncols();
        let scores: Vec<f64> = self.probabilities().iter().copied().collect();
        let truth: Vec<bool> =
            self.truth().iter().flat_map(|&id| (0..classes).map(move |c| c == id)).collect();
        ScoreCurve::new(&scores, &truth)
    }

    /// Area under the ROC curve over several classes; classes (or pairs) without examples
    /// are left out, `None` when nothing is left.
    ///
    /// # Errors
    /// None in practice: predictions are checked when they are made.
    pub fn auroc(&self, average: MulticlassAuroc) -> Result<Option<f64>> {
        let classes = self.probabilities().ncols();
        let mut counts = vec![0usize; classes];
        self.truth().iter().for_each(|&id| counts[id] += 1);
        let mut parts: Vec<(f64, f64)> = Vec::new();
        match average {
            MulticlassAuroc::OneVsRestMacro | MulticlassAuroc::OneVsRestWeighted => {
                for (class, &count) in counts.iter().enumerate() {
                    if let Some(area) = self.curve(class)?.auroc() {
                        parts.push((area, count as f64));
                    }
                }
            }
            MulticlassAuroc::OneVsOneMacro | MulticlassAuroc::OneVsOneWeighted => {
                for a in 0..classes {
                    for b in a + 1..classes {
                        if let (Some(x), Some(y)) = (self.pair(a, b)?, self.pair(b, a)?) {
                            parts.push(((x + y) / 2.0, (counts[a] + counts[b]) as f64));
                        }
                    }
                }
            }
        }
        let even =
            matches!(average, MulticlassAuroc::OneVsRestMacro | MulticlassAuroc::OneVsOneMacro);
        let weight = |w: f64| if even { 1.0 } else { w };
        let total: f64 = parts.iter().map(|p| weight(p.1)).sum();
        Ok((total > 0.0).then(|| parts.iter().map(|p| p.0 * weight(p.1)).sum::<f64>() / total))
    }

    /// AUROC of class `a` among the rows of `a` and `b`.
    fn pair(&self, a: usize, b: usize) -> Result<Option<f64>> {
        let rows = (0..self.len()).filter(|&row| [a, b].contains(&self.truth()[row]));
        let (scores, truth): (Vec<f64>, Vec<bool>) =
            rows.map(|row| (self.probabilities()[[row, a]], self.truth()[row] == a)).unzip();
        Ok(ScoreCurve::new(&scores, &truth)?.auroc())
    }

    /// Mean of `−log p` of the true class, p cut to `[2⁻⁵², 1 − 2⁻⁵²]` as scikit-learn does.
    pub fn log_loss(&self) -> f64 {
        self.mean_of(|row| row.log_loss)
    }

    /// Mean of `Σ_c (p_c − t_c)²` (Brier 1950): between 0 and 2. Half of it is the binary form.
    pub fn brier(&self) -> f64 {
        self.mean_of(|row| row.brier)
    }

    /// The share of rows whose true class is among the k most probable; a tie at the cut
    /// counts the chance that the true class is drawn.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for k = 0.
    pub fn top_k(&self, k: usize) -> Result<f64> {
        ensure("k", k as f64, k >= 1, "[1, inf)")?;
        let chance = |row: usize| {
            let p = self.probabilities().row(row);
            let own = p[self.truth()[row]];
            let above = p.iter().filter(|&&v| v > own).count();
            let tied = p.iter().filter(|&&v| v == own).count();
            (k.saturating_sub(above).min(tied)) as f64 / tied as f64
        };
        Ok((0..self.len()).map(chance).sum::<f64>() / self.len() as f64)
    }
}
