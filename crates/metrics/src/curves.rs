use counterweight_core::{ensure, ensure_length};
use rayon::slice::ParallelSliceMut;

use crate::{Error, Predictions, Result};

/// Scores of a binary classifier against its truth, sorted once for every curve.
///
/// Ties are exact: items of equal score enter a curve together. Ratios without a
/// denominator (no positives, no negatives) are `None`.
///
/// ```
/// use counterweight_metrics::ScoreCurve;
///
/// let curve = ScoreCurve::new(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true])?;
/// assert_eq!(curve.auroc(), Some(0.75));
/// assert!((curve.average_precision().unwrap() - 0.8333).abs() < 1e-4);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreCurve {
    /// Falling scores, each with the weights of its positives and negatives.
    steps: Vec<Step>,
    positives: f64,
    negatives: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    score: f64,
    positives: f64,
    negatives: f64,
}

/// A point of a curve: what calling everything at or above `threshold` positive gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The threshold.
    pub threshold: f64,
    /// Weight of the positives at or above it.
    pub true_positives: f64,
    /// Weight of the negatives at or above it.
    pub false_positives: f64,
}

impl ScoreCurve {
    /// Sorts scores, all weights 1. Higher scores mean positive.
    ///
    /// # Errors
    /// [`Error::Score`] for a NaN, [`Error::Data`] for arrays of different lengths.
    pub fn new(scores: &[f64], truth: &[bool]) -> Result<Self> {
        Self::weighted(scores, truth, &vec![1.0; scores.len()])
    }

    /// The same with a weight per item.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::OutOfRange`] for a weight that is negative or not
    /// finite.
    pub fn weighted(scores: &[f64], truth: &[bool], weights: &[f64]) -> Result<Self> {
        for (what, got) in [("truth", truth.len()), ("weights", weights.len())] {
            ensure_length(what, got, scores.len())?;
        }
        if let Some(row) = scores.iter().position(|s| s.is_nan()) {
            return Err(Error::Score { row, value: f64::NAN });
        }
        for &w in weights {
            ensure("weight", w, w >= 0.0 && w.is_finite(), "[0, inf)")?;
        }
        let mut steps: Vec<Step> = (scores.iter().zip(truth).zip(weights))
            .map(|((&score, &positive), &w)| Step {
                // −0 as 0, which is the same score.
                score: score + 0.0,
                positives: if positive { w } else { 0.0 },
                negatives: if positive { 0.0 } else { w },
            })
            .collect();
        steps.par_sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        steps.dedup_by(|next, kept| {
            let tied = next.score == kept.score;
            if tied {
                kept.positives += next.positives;
                kept.negatives += next.negatives;
            }
            tied
        });
        Ok(Self::of(steps))
    }

    fn of(steps: Vec<Step>) -> Self {
        let positives = steps.iter().map(|s| s.positives).sum();
        let negatives = steps.iter().map(|s| s.negatives).sum();
        Self { steps, positives, negatives }
    }

    /// The curve of both parts together: of shards, batches or folds.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len() + other.steps.len());
        let (mut a, mut b) = (self.steps.iter().peekable(), other.steps.iter().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.score == y.score => {
                    let both = Step {
                        score: x.score,
                        positives: x.positives + y.positives,
                        negatives: x.negatives + y.negatives,
                    };
                    a.next();
                    b.next();
                    Some(both)
                }
                (Some(x), Some(y)) if x.score > y.score => a.next().copied(),
                (Some(_), None) => a.next().copied(),
                (_, Some(_)) => b.next().copied(),
                (None, None) => None,
            };
            match next {
                Some(step) => steps.push(step),
                None => return Self::of(steps),
            }
        }
    }

    /// The points of the curve from the highest threshold down.
    pub fn points(&self) -> impl Iterator<Item = CurvePoint> + '_ {
        self.steps.iter().scan((0.0, 0.0), |(tp, fp), step| {
            *tp += step.positives;
            *fp += step.negatives;
            Some(CurvePoint { threshold: step.score, true_positives: *tp, false_positives: *fp })
        })
    }

    /// Area under the ROC curve: the chance that a positive scores above a negative, ties
    /// counting half.
    pub fn auroc(&self) -> Option<f64> {
        let mut above = 0.0;
        let mut area = 0.0;
        for step in &self.steps {
            area += step.negatives * (above + step.positives / 2.0);
            above += step.positives;
        }
        self.both().map(|product| area / product)
    }

    /// Positives times negatives, when there are some of both.
    fn both(&self) -> Option<f64> {
        (self.positives > 0.0 && self.negatives > 0.0).then_some(self.positives * self.negatives)
    }

    /// Area under the ROC curve up to a false positive rate, standardised to `[0, 1]` with 0.5
    /// for chance (McClish 1989), as scikit-learn's `max_fpr`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a rate outside (0, 1].
    pub fn partial_auroc(&self, max_rate: f64) -> Result<Option<f64>> {
        ensure("max_rate", max_rate, max_rate > 0.0 && max_rate <= 1.0, "(0, 1]")?;
        if self.both().is_none() {
            return Ok(None);
        }
        if max_rate == 1.0 {
            return Ok(self.auroc());
        }
        let (mut x, mut y, mut area) = (0.0, 0.0, 0.0);
        for point in self.points() {
            let to = point.false_positives / self.negatives;
            let up = point.true_positives / self.positives;
            if to >= max_rate {
                let part = if to > x { (max_rate - x) / (to - x) } else { 0.0 };
                let end = y + (up - y) * part;
                area += (max_rate - x) * (y + end) / 2.0;
                break;
            }
            area += (to - x) * (y + up) / 2.0;
            (x, y) = (to, up);
        }
        let (least, most) = (max_rate * max_rate / 2.0, max_rate);
        Ok(Some(0.5 * (1.0 + (area - least) / (most - least))))
    }

    /// Average precision, `Σ (R_n − R_{n−1}) P_n` over thresholds, not interpolated.
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives == 0.0 {
            return None;
        }
        let mut before = 0.0;
        let mut sum = 0.0;
        for point in self.points() {
            let predicted = point.true_positives + point.false_positives;
            if predicted > 0.0 {
                sum += (point.true_positives - before) * point.true_positives / predicted;
            }
            before = point.true_positives;
        }
        Some(sum / self.positives)
    }

    /// Kolmogorov–Smirnov statistic: the largest distance between the true and the false
    /// positive rate.
    pub fn ks(&self) -> Option<f64> {
        self.both()?;
        let gap = |p: CurvePoint| {
            (p.true_positives / self.positives - p.false_positives / self.negatives).abs()
        };
        Some(self.points().map(gap).fold(0.0, f64::max))
    }

    /// The largest precision at a recall of at least `least`, with its threshold (the highest
    /// of equals).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a recall outside `[0, 1]`.
    pub fn precision_at_recall(&self, least: f64) -> Result<Option<(f64, f64)>> {
        ensure("recall", least, (0.0..=1.0).contains(&least), "[0, 1]")?;
        Ok(self.best(|precision, recall| (recall >= least).then_some(precision)))
    }

    /// The largest recall at a precision of at least `least`, with its threshold (the highest
    /// of equals); `None` when no threshold reaches it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a precision outside `[0, 1]`.
    pub fn recall_at_precision(&self, least: f64) -> Result<Option<(f64, f64)>> {
        ensure("precision", least, (0.0..=1.0).contains(&least), "[0, 1]")?;
        Ok(self.best(|precision, recall| (precision >= least).then_some(recall)))
    }

    fn best(&self, value: impl Fn(f64, f64) -> Option<f64>) -> Option<(f64, f64)> {
        if self.positives == 0.0 {
            return None;
        }
        let mut best: Option<(f64, f64)> = None;
        for p in self.points() {
            let predicted = p.true_positives + p.false_positives;
            if predicted == 0.0 {
                continue;
            }
            let here = value(p.true_positives / predicted, p.true_positives / self.positives);
            if let Some(v) = here
                && best.is_none_or(|(most, _)| v > most)
            {
                best = Some((v, p.threshold));
            }
        }
        best
    }

    /// Lift: the precision among the highest `share` of the items over that of all. Items of
    /// equal score at the cut count in part.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a share outside (0, 1].
    pub fn lift(&self, share: f64) -> Result<Option<f64>> {
        ensure("share", share, share > 0.0 && share <= 1.0, "(0, 1]")?;
        if self.positives == 0.0 {
            return Ok(None);
        }
        let all = self.positives + self.negatives;
        let mut room = share * all;
        let mut found = 0.0;
        for step in &self.steps {
            let weight = step.positives + step.negatives;
            if weight >= room {
                found += step.positives * if weight > 0.0 { room / weight } else { 0.0 };
                break;
            }
            found += step.positives;
            room -= weight;
        }
        Ok(Some(found / (share * all) / (self.positives / all)))
    }
}

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
    /// [`Error::Data`] for a class id outside the predictions.
    pub fn curve(&self, class: usize) -> Result<ScoreCurve> {
        let classes = self.probabilities().ncols();
        if class >= classes {
            return Err(counterweight_core::Error::ClassId { id: class, row: 0, classes }.into());
        }
        let scores = self.probabilities().column(class).to_vec();
        let truth: Vec<bool> = self.truth().iter().map(|&id| id == class).collect();
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
        let cost = |row: usize| {
            let p = self.probabilities()[[row, self.truth()[row]]];
            -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        };
        (0..self.len()).map(cost).sum::<f64>() / self.len() as f64
    }

    /// Mean of `Σ_c (p_c − t_c)²` (Brier 1950): between 0 and 2. Half of it is the binary form.
    pub fn brier(&self) -> f64 {
        let cost = |row: usize| {
            let p = self.probabilities().row(row);
            let off =
                |(c, &p): (usize, &f64)| (p - f64::from(u8::from(c == self.truth()[row]))).powi(2);
            p.iter().enumerate().map(off).sum::<f64>()
        };
        (0..self.len()).map(cost).sum::<f64>() / self.len() as f64
    }

    /// The share of rows whose true class is among the k most probable; a tie at the cut
    /// counts the chance that the true class is drawn.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for k = 0.
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
