use std::collections::HashMap;

use rand::{Rng, RngExt};

use super::super::layout::{Column, Kind};
use super::super::normal;

/// Columns with at most this many values have exact masses; with more, densities.
const MOST_MASSES: usize = 32;
/// The newest trials have full weight.
const FULL_WEIGHT: usize = 25;

/// A mixture of products: one component per trial and a broad one, the prior.
pub(super) struct Parzen<'c> {
    columns: &'c [Column],
    /// Logarithms, and their running sum for drawing.
    log_weights: Vec<f64>,
    cumulative: Vec<f64>,
    marginals: Vec<Marginal>,
}

/// One column of all components.
enum Marginal {
    /// Truncated normals: centres (NaN where not there), widths, and the terms of the log
    /// density `−(x b + a)² − c`, 0 where it is not there.
    Normal {
        centres: Vec<f64>,
        widths: Vec<f64>,
        shifts: Vec<f64>,
        slopes: Vec<f64>,
        norms: Vec<f64>,
    },
    /// Truncated normals over few levels: centres, widths, which of the distinct pairs of
    /// both each component has, and the log mass of every level by pair.
    Levels { centres: Vec<f64>, widths: Vec<f64>, pairs: Vec<usize>, masses: Vec<Vec<f64>> },
    /// The level of each component (`usize::MAX` where it is not there), and the log
    /// probabilities of its own and of every other level.
    Category { own: Vec<usize>, levels: usize, same: f64, other: f64 },
}

impl<'c> Parzen<'c> {
    /// From rows, oldest first.
    pub(super) fn new(rows: &[&[f64]], columns: &'c [Column]) -> Self {
        let n = rows.len();
        let weights: Vec<f64> = (0..n).map(|i| weight(i, n)).chain([1.0]).collect();
        let sum: f64 = weights.iter().sum();
        let mut total = 0.0;
        let cumulative = weights.iter().map(|w| {
            total += w / sum;
            total
        });
        let cumulative = cumulative.collect();
        let marginal = |(k, column): (usize, &Column)| {
            let values = rows.iter().map(|row| row[k]);
            match (column.kind, &column.levels) {
                (Kind::Category, Some(levels)) => category(values, levels),
                (_, Some(levels)) if levels.len() <= MOST_MASSES => {
                    over_levels(values.collect(), levels)
                }
                _ => normals(values.collect()),
            }
        };
        Self {
            columns,
            log_weights: weights.iter().map(|w| (w / sum).ln()).collect(),
            cumulative,
            marginals: columns.iter().enumerate().map(marginal).collect(),
        }
    }

    /// A point, every coordinate drawn.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Vec<f64> {
        let u: f64 = rng.random();
        let last = self.cumulative.len() - 1;
        let component = self.cumulative.partition_point(|c| *c < u).min(last);
        let mut coordinate = |(marginal, column): (&Marginal, &Column)| match marginal {
            Marginal::Category { own, levels, same, .. } => {
                let own = own[component];
                let at = if own < *levels && rng.random::<f64>() < same.exp() {
                    own
                } else {
                    let other = rng.random_range(0..*levels);
                    // The others share what is left evenly.
                    if other == own { (other + 1) % levels } else { other }
                };
                column.levels.as_ref().map_or(0.5, |l| l[at])
            }
            Marginal::Normal { centres, widths, .. } | Marginal::Levels { centres, widths, .. } => {
                let (centre, width) = (centres[component], widths[component]);
                if centre.is_nan() {
                    return rng.random();
                }
                // The centre is inside, so at least a third is kept.
                loop {
                    let x = centre + width * normal(rng);
                    if (0.0..=1.0).contains(&x) {
                        return x;
                    }
                }
            }
        };
        self.marginals.iter().zip(self.columns).map(&mut coordinate).collect()
    }

    pub(super) fn log_densities(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let n = self.log_weights.len();
        let mut parts = vec![0.0; n];
        let log_density = |point: &Vec<f64>| {
            parts.copy_from_slice(&self.log_weights);
            for (k, marginal) in self.marginals.iter().enumerate() {
                if !point[k].is_nan() {
                    marginal.add(point[k], &self.columns[k], &mut parts);
                }
            }
            let top = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // Below this a part adds nothing to the sum.
            let part = |p: &f64| if *p > top - 37.0 { (p - top).exp() } else { 0.0 };
            top + parts.iter().map(part).sum::<f64>().ln()
        };
        points.iter().map(log_density).collect()
    }
}

impl Marginal {
    /// Adds each component's log density at `x`.
    fn add(&self, x: f64, column: &Column, parts: &mut [f64]) {
        match self {
            Self::Category { own, levels, same, other } => {
                let at = column.levels.iter().flatten().position(|l| *l == x);
                let prior = -(*levels as f64).ln();
                for (part, own) in parts.iter_mut().zip(own) {
                    *part += match at {
                        _ if own >= levels => prior,
                        Some(at) if at == *own => *same,
                        _ => *other,
                    };
                }
            }
            Self::Levels { pairs, masses, .. } => {
                let at = column.levels.iter().flatten().position(|l| *l == x).unwrap_or(0);
                for (part, pair) in parts.iter_mut().zip(pairs) {
                    *part += masses[*pair][at];
                }
            }
            Self::Normal { shifts, slopes, norms, .. } => {
                let terms = shifts.iter().zip(slopes).zip(norms);
                for (part, ((shift, slope), norm)) in parts.iter_mut().zip(terms) {
                    let z = x * slope + shift;
                    *part -= z * z + norm;
                }
            }
        }
    }
}

/// Older trials count less: from `1/n` up to 1 for the newest 25.
fn weight(i: usize, n: usize) -> f64 {
    let ramp = n.saturating_sub(FULL_WEIGHT);
    if i >= ramp {
        return 1.0;
    }
    let first = 1.0 / n as f64;
    if ramp == 1 { first } else { first + (1.0 - first) * i as f64 / (ramp - 1) as f64 }
}

fn category(values: impl Iterator<Item = f64>, levels: &[f64]) -> Marginal {
    let level = |v: f64| levels.iter().position(|l| *l == v).unwrap_or(usize::MAX);
    let own: Vec<usize> = values.map(level).chain([usize::MAX]).collect();
    // The prior's weight, 1, is spread over the components and then over the levels.
    let spread = 1.0 / own.len() as f64;
    let all = 1.0 + spread * levels.len() as f64;
    let (same, other) = (((1.0 + spread) / all).ln(), (spread / all).ln());
    Marginal::Category { own, levels: levels.len(), same, other }
}

/// Widths reach to the farther neighbour, within `1 / min(100, n + 2)` and 1; the prior's
/// component is appended to both.
fn spread(centres: &mut Vec<f64>) -> Vec<f64> {
    let n = centres.len();
    let mut order: Vec<(f64, usize)> =
        centres.iter().copied().zip(0..).filter(|(c, _)| !c.is_nan()).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let least = 1.0 / (n as f64 + 2.0).min(100.0);
    let mut widths = vec![1.0; n + 1];
    for (place, &(centre, i)) in order.iter().enumerate() {
        let before = place.checked_sub(1).map(|p| centre - order[p].0);
        let after = order.get(place + 1).map(|a| a.0 - centre);
        // The ends of the range count only for a single trial.
        let width = match (before, after) {
            (Some(b), Some(a)) => b.max(a),
            (None, None) => centre.max(1.0 - centre),
            (Some(v), None) | (None, Some(v)) => v,
        };
        widths[i] = width.clamp(least, 1.0);
    }
    centres.push(0.5);
    widths
}

fn normals(mut centres: Vec<f64>) -> Marginal {
    let widths = spread(&mut centres);
    let root = 0.5 * (2.0 * std::f64::consts::PI).ln();
    let of = |term: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        let there = |(c, w): (&f64, &f64)| if c.is_nan() { 0.0 } else { term(*c, *w) };
        centres.iter().zip(&widths).map(there).collect()
    };
    let slopes = of(&|_, w| std::f64::consts::FRAC_1_SQRT_2 / w);
    let shifts = of(&|c, w| -c * std::f64::consts::FRAC_1_SQRT_2 / w);
    let norms = of(&|c, w| {
        // Six widths from both ends nothing is cut off.
        let inside = if c.min(1.0 - c) > 6.0 * w {
            1.0
        } else {
            Tail::new(c, w, 0.0).mass_to(&Tail::new(c, w, 1.0))
        };
        (inside * w).ln() + root
    });
    Marginal::Normal { centres, widths, shifts, slopes, norms }
}

fn over_levels(mut centres: Vec<f64>, levels: &[f64]) -> Marginal {
    let widths = spread(&mut centres);
    let border = |i: usize| match i {
        0 => 0.0,
        _ => levels.get(i).map_or(1.0, |l| 0.5 * (levels[i - 1] + l)),
    };
    let borders: Vec<f64> = (0..=levels.len()).map(border).collect();
    // Among many trials most share level and width.
    let mut known: HashMap<(u64, u64), usize> = HashMap::new();
    let mut masses: Vec<Vec<f64>> = Vec::new();
    let pairs = centres.iter().zip(&widths).map(|(&c, &w)| {
        *known.entry((c.to_bits(), w.to_bits())).or_insert_with(|| {
            masses.push(if c.is_nan() {
                borders.windows(2).map(|ends| (ends[1] - ends[0]).ln()).collect()
            } else {
                let tails: Vec<Tail> = borders.iter().map(|b| Tail::new(c, w, *b)).collect();
                let all = tails[0].mass_to(&tails[levels.len()]);
                let share = |ends: &[Tail]| (ends[0].mass_to(&ends[1]).max(1e-300) / all).ln();
                tails.windows(2).map(share).collect()
            });
            masses.len() - 1
        })
    });
    let pairs = pairs.collect();
    Marginal::Levels { centres, widths, pairs, masses }
}

/// The mass of a normal beyond a point, on the side away from its centre, where probabilities
/// keep their digits.
struct Tail {
    /// Whether the point is above the centre.
    above: bool,
    mass: f64,
}

impl Tail {
    fn new(centre: f64, width: f64, point: f64) -> Self {
        let z = (point - centre) * std::f64::consts::FRAC_1_SQRT_2 / width;
        Self { above: z > 0.0, mass: 0.5 * libm::erfc(z.abs()) }
    }

    /// The mass between this point and one above it.
    fn mass_to(&self, upper: &Self) -> f64 {
        match (self.above, upper.above) {
            (true, _) => self.mass - upper.mass,
            (false, false) => upper.mass - self.mass,
            (false, true) => 1.0 - self.mass - upper.mass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_optunas() {
        // optuna 5.0.0: optuna.samplers._tpe.sampler.default_weights(30)
        let expected = [1.0 / 30.0, 0.275, 0.516_666_666_666_666_7, 0.758_333_333_333_333_4, 1.0];
        for (i, w) in expected.iter().enumerate() {
            assert!((weight(i, 30) - w).abs() < 1e-12);
        }
        assert_eq!(weight(5, 30), 1.0);
        assert_eq!(weight(0, 25), 1.0);
    }
}
