use counterweight_core::ensure;
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;

use super::ScoreCurve;
use crate::Result;

/// How costs are distributed in [`ScoreCurve::h_measure`]: a Beta distribution of c, the share
/// of a false positive in the cost of one false positive and one false negative.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HCosts {
    /// Errors as severe as the other class is frequent, `Beta(2, 1 + n₋/n₊)` (Hand 2012; the
    /// default of the `hmeasure` packages).
    #[default]
    PriorRatio,
    /// The most likely cost ratio, false positives to false negatives, as `Beta(2, 1 + 1/ratio)`;
    /// 1 is Hand's original `Beta(2, 2)` (2009).
    SeverityRatio(f64),
    /// `Beta(1 + π₊, 1 + π₋)` (Hand and Anagnostopoulos 2014).
    PriorBeta,
}

impl ScoreCurve {
    /// The H-measure (Hand, Machine Learning 2009): one minus the expected least loss of the
    /// classifier over a distribution of costs, against that of always predicting one class.
    /// Unlike AUROC, the distribution does not depend on the classifier. 0 is chance, 1 perfect;
    /// `None` without positives or without negatives.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a ratio that is not positive and
    /// finite.
    pub fn h_measure(&self, costs: HCosts) -> Result<Option<f64>> {
        if let HCosts::SeverityRatio(r) = costs {
            ensure("severity_ratio", r, r > 0.0 && r.is_finite(), "(0, inf)")?;
        }
        let (positives, negatives) = self.totals();
        if positives == 0.0 || negatives == 0.0 {
            return Ok(None);
        }
        let (pi1, pi0) = (positives / (positives + negatives), negatives / (positives + negatives));
        let (a, b) = match costs {
            HCosts::PriorRatio => (2.0, 1.0 + pi0 / pi1),
            HCosts::SeverityRatio(ratio) => (2.0, 1.0 + ratio.recip()),
            HCosts::PriorBeta => (1.0 + pi1, 1.0 + pi0),
        };
        // ∫_0^x c u(c) dc and ∫_0^x (1 − c) u(c) dc
        let mean = a / (a + b);
        let with_c = |x: f64| mean * beta_reg(a + 1.0, b, x);
        let without_c = |x: f64| (1.0 - mean) * beta_reg(a, b + 1.0, x);
        let hull = self.hull(positives, negatives);
        // A point of the hull is the best for the costs between those at which its neighbours
        // are as good.
        let equal = |[from, to]: [(f64, f64); 2]| {
            let (up, right) = (pi1 * (to.1 - from.1), pi0 * (to.0 - from.0));
            up / (up + right)
        };
        let mut loss = 0.0;
        let mut above = 1.0;
        for (i, &(fpr, tpr)) in hull.iter().enumerate() {
            let below = hull.get(i + 1).map_or(0.0, |&next| equal([(fpr, tpr), next]));
            loss += pi0 * fpr * (with_c(above) - with_c(below))
                + pi1 * (1.0 - tpr) * (without_c(above) - without_c(below));
            above = below;
        }
        let most = pi0 * with_c(pi1) + pi1 * (without_c(1.0) - without_c(pi1));
        Ok(Some(1.0 - loss / most))
    }

    /// The upper convex hull of the ROC curve from (0, 0) to (1, 1).
    fn hull(&self, positives: f64, negatives: f64) -> Vec<(f64, f64)> {
        let mut hull: Vec<(f64, f64)> = vec![(0.0, 0.0)];
        for p in self.points() {
            let next = (p.false_positives / negatives, p.true_positives / positives);
            while let [.., a, b] = hull[..] {
                let turn = (b.0 - a.0) * (next.1 - a.1) - (b.1 - a.1) * (next.0 - a.0);
                if turn < 0.0 {
                    break;
                }
                hull.pop();
            }
            if hull.last() != Some(&next) {
                hull.push(next);
            }
        }
        hull
    }
}
