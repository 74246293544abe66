use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::counts::ratio;
use crate::{CurvePoint, Error, Result, ScoreCurve};

/// What a threshold is chosen for, from the true and false positives it gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ThresholdMetric {
    /// Share of correct decisions.
    Accuracy,
    /// Mean of recall and specificity.
    BalancedAccuracy,
    /// `sqrt(recall · specificity)`.
    GMean,
    /// `2 TP / (2 TP + FP + FN)`.
    F1,
    /// F with recall β times as important as precision.
    FBeta(f64),
    /// `TP / (TP + FP + FN)`.
    Jaccard,
    /// Matthews correlation.
    Mcc,
    /// Cohen's kappa.
    Kappa,
    /// `TP / (TP + FP)`.
    Precision,
    /// `TP / (TP + FN)`.
    Recall,
    /// `TN / (TN + FP)`.
    Specificity,
    /// Minus the mean cost of the errors.
    Cost {
        /// Of a negative called positive, ≥ 0.
        false_positive: f64,
        /// Of a positive missed, ≥ 0.
        false_negative: f64,
    },
}

impl ThresholdMetric {
    fn check(self) -> Result<()> {
        match self {
            Self::FBeta(beta) => ensure("beta", beta, beta > 0.0 && beta.is_finite(), "(0, inf)")?,
            Self::Cost { false_positive, false_negative } => {
                for (name, c) in
                    [("false_positive", false_positive), ("false_negative", false_negative)]
                {
                    ensure(name, c, c >= 0.0 && c.is_finite(), "[0, inf)")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The value where `tp` of `p` positives and `fp` of `n` negatives are called positive.
    fn value(self, tp: f64, fp: f64, p: f64, n: f64) -> Option<f64> {
        let (fn_, tn) = (p - tp, n - fp);
        match self {
            Self::Accuracy => ratio(tp + tn, p + n),
            Self::BalancedAccuracy => Some((ratio(tp, p)? + ratio(tn, n)?) / 2.0),
            Self::GMean => Some((ratio(tp, p)? * ratio(tn, n)?).sqrt()),
            Self::F1 => ratio(2.0 * tp, 2.0 * tp + fp + fn_),
            Self::FBeta(beta) => {
                let b = beta * beta;
                ratio((1.0 + b) * tp, (1.0 + b) * tp + b * fn_ + fp)
            }
            Self::Jaccard => ratio(tp, tp + fp + fn_),
            Self::Mcc => {
                let scale = (tp + fp) * p * n * (fn_ + tn);
                // 0 when everything is called the same, as scikit-learn has it.
                Some(if scale > 0.0 { (tp * tn - fp * fn_) / scale.sqrt() } else { 0.0 })
            }
            Self::Kappa => {
                let all = p + n;
                let chance = ((tp + fp) * p + (fn_ + tn) * n) / (all * all);
                ratio((tp + tn) / all - chance, 1.0 - chance)
            }
            Self::Precision => ratio(tp, tp + fp),
            Self::Recall => ratio(tp, p),
            Self::Specificity => ratio(tn, n),
            Self::Cost { false_positive, false_negative } => {
                ratio(false_positive * fp + false_negative * fn_, p + n).map(|cost| -cost)
            }
        }
    }
}

/// What must hold for a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// The constrained metric.
    pub metric: ThresholdMetric,
    /// Its smallest allowed value.
    pub at_least: f64,
}

/// A chosen threshold: positive is what scores at or above it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The threshold; +∞ calls nothing positive.
    pub threshold: f64,
    /// The metric there.
    pub value: f64,
    /// What it calls positive.
    pub true_positives: f64,
    /// What it calls positive in error.
    pub false_positives: f64,
}

impl ScoreCurve {
    /// The threshold that maximises a metric, if asked for under a constraint on another:
    /// every distinct one is tried in one pass over the sorted scores, so the result is exact
    /// on these data. Of equals the highest; between two scores it is the higher score itself.
    ///
    /// `None` when the metric is defined nowhere.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad parameter of a metric, [`Error::ConstraintUnreachable`]
    /// when no threshold satisfies the constraint.
    ///
    /// ```
    /// use counterweight_metrics::{Constraint, ScoreCurve, ThresholdMetric};
    ///
    /// let curve = ScoreCurve::new(&[0.9, 0.8, 0.7, 0.2], &[true, false, true, false])?;
    /// let best = curve.maximise(ThresholdMetric::F1, None)?.unwrap();
    /// assert_eq!((best.threshold, best.value), (0.7, 0.8));
    ///
    /// // The largest recall at a precision of at least .9.
    /// let precise = Constraint { metric: ThresholdMetric::Precision, at_least: 0.9 };
    /// let best = curve.maximise(ThresholdMetric::Recall, Some(precise))?.unwrap();
    /// assert_eq!((best.threshold, best.value), (0.9, 0.5));
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn maximise(
        &self,
        metric: ThresholdMetric,
        constraint: Option<Constraint>,
    ) -> Result<Option<Threshold>> {
        metric.check()?;
        constraint.map_or(Ok(()), |c| c.metric.check())?;
        let (p, n) = self.totals();
        let nothing =
            CurvePoint { threshold: f64::INFINITY, true_positives: 0.0, false_positives: 0.0 };
        let (mut best, mut nearest): (Option<Threshold>, f64) = (None, f64::NEG_INFINITY);
        for at in std::iter::once(nothing).chain(self.points()) {
            let value = |m: ThresholdMetric| m.value(at.true_positives, at.false_positives, p, n);
            if let Some(c) = constraint {
                let reached = value(c.metric).unwrap_or(f64::NEG_INFINITY);
                nearest = nearest.max(reached);
                if reached < c.at_least {
                    continue;
                }
            }
            if let Some(value) = value(metric)
                && best.is_none_or(|b| value > b.value)
            {
                best = Some(Threshold {
                    threshold: at.threshold,
                    value,
                    true_positives: at.true_positives,
                    false_positives: at.false_positives,
                });
            }
        }
        match constraint {
            Some(c) if nearest < c.at_least => {
                Err(Error::ConstraintUnreachable { at_least: c.at_least, best: nearest })
            }
            _ => Ok(best),
        }
    }
}
