use counterweight_core::{ensure, ensure_length};
use rayon::slice::ParallelSliceMut;

use super::sort::sort_falling;
use crate::counts::check_weights;
use crate::{Error, Result};

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
    positives: Side,
    negatives: Side,
}

/// The scores of the positives or of the negatives, falling.
#[derive(Debug, Clone, PartialEq, Default)]
struct Side {
    scores: Vec<f64>,
    /// Empty when all are 1.
    weights: Vec<f64>,
    total: f64,
}

/// Items of one score: the weights of positives and negatives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) score: f64,
    pub(super) positives: f64,
    pub(super) negatives: f64,
}

impl Side {
    fn new(mut scores: Vec<f64>) -> Self {
        sort_falling(&mut scores);
        Self { total: scores.len() as f64, scores, weights: Vec::new() }
    }

    fn weighted(mut pairs: Vec<(f64, f64)>) -> Self {
        pairs.par_sort_by(|a, b| b.0.total_cmp(&a.0));
        let (scores, weights): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        Self { total: weights.iter().sum(), scores, weights }
    }

    /// Sums the weights of the next items of a score.
    fn take(&self, at: &mut usize, score: f64) -> f64 {
        let start = *at;
        while self.scores.get(*at) == Some(&score) {
            *at += 1;
        }
        match self.weights.get(start..*at) {
            Some(weights) => weights.iter().sum(),
            None => (*at - start) as f64,
        }
    }

    fn merge(&self, other: &Self) -> Self {
        if self.weights.is_empty() && other.weights.is_empty() {
            let mut scores = [&self.scores[..], &other.scores].concat();
            // Finds the two runs and merges them.
            scores.sort_by(|a, b| b.total_cmp(a));
            return Self { total: self.total + other.total, scores, weights: Vec::new() };
        }
        let pairs = |side: &Self| -> Vec<(f64, f64)> {
            let weight = |i: usize| side.weights.get(i).copied().unwrap_or(1.0);
            side.scores.iter().enumerate().map(|(i, &score)| (score, weight(i))).collect()
        };
        Self::weighted([pairs(self), pairs(other)].concat())
    }
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
        check(scores, truth)?;
        let count = truth.iter().filter(|&&t| t).count();
        let mut sides = [Vec::with_capacity(count), Vec::with_capacity(scores.len() - count)];
        for (&score, &positive) in scores.iter().zip(truth) {
            sides[usize::from(!positive)].push(score);
        }
        let [positives, negatives] = sides;
        let (positives, negatives) = rayon::join(|| Side::new(positives), || Side::new(negatives));
        Ok(Self { positives, negatives })
    }

    /// The same with a weight per item.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::OutOfRange`] for a weight that is negative or not
    /// finite.
    pub fn weighted(scores: &[f64], truth: &[bool], weights: &[f64]) -> Result<Self> {
        check(scores, truth)?;
        check_weights(weights, scores.len())?;
        let side = |positive: bool| {
            let items = scores.iter().zip(truth).zip(weights);
            // −0 as 0, which is the same score.
            let pairs =
                items.filter(|((_, t), _)| **t == positive).map(|((s, _), w)| (s + 0.0, *w));
            Side::weighted(pairs.collect())
        };
        Ok(Self { positives: side(true), negatives: side(false) })
    }

    /// The curve of both parts together: of shards, batches or folds.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        Self {
            positives: self.positives.merge(&other.positives),
            negatives: self.negatives.merge(&other.negatives),
        }
    }

    /// Scores from the highest down, items of equal score together.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let (mut i, mut j) = (0, 0);
        std::iter::from_fn(move || {
            let (p, n) = (self.positives.scores.get(i), self.negatives.scores.get(j));
            let score = match (p, n) {
                (Some(&a), Some(&b)) => a.max(b),
                (Some(&only), None) | (None, Some(&only)) => only,
                (None, None) => return None,
            };
            Some(Step {
                score,
                positives: self.positives.take(&mut i, score),
                negatives: self.negatives.take(&mut j, score),
            })
        })
    }

    /// The points of the curve from the highest threshold down.
    pub fn points(&self) -> impl Iterator<Item = CurvePoint> + '_ {
        self.steps().scan((0.0, 0.0), |(tp, fp), step| {
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
        for step in self.steps() {
            area += step.negatives * (above + step.positives / 2.0);
            above += step.positives;
        }
        self.both().map(|product| area / product)
    }

    /// The weight of the positives and of the negatives.
    pub fn totals(&self) -> (f64, f64) {
        (self.positives.total, self.negatives.total)
    }

    /// Positives times negatives, when there are some of both.
    fn both(&self) -> Option<f64> {
        let product = self.positives.total * self.negatives.total;
        (product > 0.0).then_some(product)
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
            let to = point.false_positives / self.negatives.total;
            let up = point.true_positives / self.positives.total;
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
        if self.positives.total == 0.0 {
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
        Some(sum / self.positives.total)
    }

    /// Kolmogorov–Smirnov statistic: the largest distance between the true and the false
    /// positive rate.
    pub fn ks(&self) -> Option<f64> {
        self.both()?;
        let gap = |p: CurvePoint| {
            (p.true_positives / self.positives.total - p.false_positives / self.negatives.total)
                .abs()
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
        if self.positives.total == 0.0 {
            return None;
        }
        let mut best: Option<(f64, f64)> = None;
        for p in self.points() {
            let predicted = p.true_positives + p.false_positives;
            if predicted == 0.0 {
                continue;
            }
            let here = value(p.true_positives / predicted, p.true_positives / self.positives.total);
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
        if self.positives.total == 0.0 {
            return Ok(None);
        }
        let all = self.positives.total + self.negatives.total;
        let mut room = share * all;
        let mut found = 0.0;
        for step in self.steps() {
            let weight = step.positives + step.negatives;
            if weight >= room {
                found += step.positives * if weight > 0.0 { room / weight } else { 0.0 };
                break;
            }
            found += step.positives;
            room -= weight;
        }
        Ok(Some(found / (share * all) / (self.positives.total / all)))
    }
}

fn check(scores: &[f64], truth: &[bool]) -> Result<()> {
    ensure_length("truth", truth.len(), scores.len())?;
    match scores.iter().position(|s| s.is_nan()) {
        Some(row) => Err(Error::Score { row, value: f64::NAN }),
        None => Ok(()),
    }
}
