use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which ends of a target are rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extremes {
    /// Both.
    #[default]
    Both,
    /// Large values.
    High,
    /// Small values.
    Low,
}

/// How much each value of a continuous target matters, in `[0, 1]`: the relevance function of
/// utility-based regression (Ribeiro 2011; Torgo and Ribeiro 2007).
///
/// A piecewise cubic Hermite interpolant through control points (value, relevance, slope), kept
/// monotone between them (Fritsch and Carlson 1980), constant beyond the ends.
///
/// ```
/// use counterweight_samplers::{Extremes, Relevance};
///
/// let y = [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 5.0, 30.0];
/// let relevance = Relevance::of_extremes(&y, Extremes::High, 1.5)?;
/// assert_eq!(relevance.at(3.0), 0.0);
/// assert_eq!(relevance.at(30.0), 1.0);
/// assert_eq!(relevance.at(1.0), 0.0);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[f64; 3]>", into = "Vec<[f64; 3]>")]
pub struct Relevance {
    points: Vec<[f64; 3]>,
}

impl TryFrom<Vec<[f64; 3]>> for Relevance {
    type Error = Error;

    fn try_from(points: Vec<[f64; 3]>) -> Result<Self> {
        Self::from_points(points)
    }
}

impl From<Relevance> for Vec<[f64; 3]> {
    fn from(relevance: Relevance) -> Self {
        relevance.points
    }
}

impl Relevance {
    /// Control points (value, relevance, slope) in increasing order of values.
    ///
    /// # Errors
    /// [`Error::ControlPoints`] for fewer than two, values that do not increase or are not
    /// finite; [`OutOfRange`](counterweight_core::OutOfRange) for a relevance outside `[0, 1]`.
    pub fn from_points(points: Vec<[f64; 3]>) -> Result<Self> {
        let finite = points.iter().flatten().all(|v| v.is_finite());
        if points.len() < 2 || !finite || !points.windows(2).all(|pair| pair[0][0] < pair[1][0]) {
            return Err(Error::ControlPoints);
        }
        for point in &points {
            ensure("relevance", point[1], (0.0..=1.0).contains(&point[1]), "[0, 1]")?;
        }
        let mut points = points;
        // Fritsch and Carlson: slopes within three times the secants on both sides.
        for i in 0..points.len() - 1 {
            let secant = (points[i + 1][1] - points[i][1]) / (points[i + 1][0] - points[i][0]);
            for at in [i, i + 1] {
                let slope = points[at][2];
                points[at][2] = if slope * secant <= 0.0 {
                    0.0
                } else {
                    slope.signum() * slope.abs().min(3.0 * secant.abs())
                };
            }
        }
        Ok(Self { points })
    }

    /// Relevance 0 at the median and 1 from the whiskers of a box plot on, `coefficient` (above
    /// 0, usually 1.5) times the spread of the hinges from them; 0 at an end without values
    /// beyond its whisker.
    ///
    /// # Errors
    /// [`Error::Target`](enum@Error) values that are not finite, or all extremes absent:
    /// [`Error::NoExtremes`].
    pub fn of_extremes(y: &[f64], extremes: Extremes, coefficient: f64) -> Result<Self> {
        let ok = coefficient > 0.0 && coefficient.is_finite();
        ensure("coefficient", coefficient, ok, "(0, inf)")?;
        ensure_targets(y)?;
        let mut sorted = y.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
        let [lower, median, upper] = hinges(&sorted);
        let reach = coefficient * (upper - lower);
        let whisker_low = sorted.iter().copied().find(|v| *v >= lower - reach).unwrap_or(low);
        let whisker_high =
            sorted.iter().rev().copied().find(|v| *v <= upper + reach).unwrap_or(high);
        let mut points = Vec::new();
        let below = extremes != Extremes::High && whisker_low > low && whisker_low < median;
        let above = extremes != Extremes::Low && whisker_high < high && whisker_high > median;
        if !below && !above {
            return Err(Error::NoExtremes);
        }
        if below {
            points.push([whisker_low, 1.0, 0.0]);
        } else if low < median {
            points.push([low, 0.0, 0.0]);
        }
        points.push([median, 0.0, 0.0]);
        if above {
            points.push([whisker_high, 1.0, 0.0]);
        } else if high > median {
            points.push([high, 0.0, 0.0]);
        }
        Self::from_points(points)
    }

    /// The relevance of a value.
    pub fn at(&self, y: f64) -> f64 {
        let after = self.points.partition_point(|point| point[0] <= y);
        let (Some(&[x0, p0, m0]), Some(&[x1, p1, m1])) =
            (after.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(after))
        else {
            let end = if after == 0 { 0 } else { self.points.len() - 1 };
            return self.points[end][1];
        };
        let (h, t) = (x1 - x0, (y - x0) / (x1 - x0));
        let (t2, t3) = (t * t, t * t * t);
        let value = (2.0 * t3 - 3.0 * t2 + 1.0) * p0
            + (t3 - 2.0 * t2 + t) * h * m0
            + (3.0 * t2 - 2.0 * t3) * p1
            + (t3 - t2) * h * m1;
        value.clamp(0.0, 1.0)
    }
}

/// Targets that can be sorted.
pub(crate) fn ensure_targets(y: &[f64]) -> Result<()> {
    if y.is_empty() {
        return Err(counterweight_core::Error::Empty { what: "targets" }.into());
    }
    match y.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        Some((row, &value)) => Err(Error::TargetNotFinite { row, value }),
        None => Ok(()),
    }
}

/// Tukey's hinges and the median.
fn hinges(sorted: &[f64]) -> [f64; 3] {
    let n = sorted.len();
    let depth = (n.div_ceil(2) + 1) as f64 / 2.0;
    let at = |place: f64| {
        let low = sorted[place.floor() as usize - 1];
        low.midpoint(sorted[(place.ceil() as usize).min(n) - 1])
    };
    let last = (n + 1) as f64;
    [at(depth), at(last / 2.0), at(last - depth)]
}
