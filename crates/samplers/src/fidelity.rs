use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use counterweight_core::{ensure, kolmogorov_smirnov};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::neighbours::nearest;
use crate::table::{Features, Resampled, Store};
use crate::{Plan, Result, Table};

/// How the synthetic rows of a plan compare with the real ones.
///
/// ```
/// use counterweight_samplers::{PlanFidelity, Resampler, Smote};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((60, 2), |(r, c)| ((r * 37 + c * 11) % 53) as f64);
/// let y: Vec<usize> = (0..60).map(|r| usize::from(r % 4 == 0)).collect();
/// let plan = Smote::new().plan(&x, &y)?;
/// let report = PlanFidelity::of(&plan, &x, &y, 5)?;
/// assert_eq!(report.classes[0].synthetic, 30);
/// println!("{report}");
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFidelity {
    /// The classes with new rows, by id.
    pub classes: Vec<ClassFidelity>,
}

/// The new rows of one class. Shares are in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFidelity {
    /// The class id.
    pub class: usize,
    /// Its real rows.
    pub real: usize,
    /// Its new rows: synthetic ones and copies.
    pub synthetic: usize,
    /// New rows that equal a real row or an earlier new one.
    pub duplicates: usize,
    /// The share of new rows most of whose k nearest real rows are of other classes.
    pub among_strangers: f64,
    /// The same share of the class's real rows.
    pub real_among_strangers: f64,
    /// The Kolmogorov-Smirnov statistic between real and new rows of the class, by column.
    pub drift: Vec<f64>,
    /// Smallest, median and largest distance of a new row to the nearest real row of its class.
    pub nearest: [f64; 3],
    /// The same of its real rows to their nearest other.
    pub real_nearest: [f64; 3],
}

impl PlanFidelity {
    /// Compares the new rows of a plan for `x` and `y` with their `k` nearest real rows, k at
    /// least 1. Rows that were dropped count as real. Dense arrays.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for another k, data the plan was not made for, values that are not
    /// finite or sparse matrices.
    pub fn of(plan: &Plan, x: &dyn Table, y: &[usize], k: usize) -> Result<Self> {
        ensure("k", k as f64, k >= 1, "[1, inf)")?;
        let features = x.features()?;
        features.ensure_finite()?;
        counterweight_core::ensure_length("labels", y.len(), features.rows())?;
        let real = features.dense("the fidelity report")?;
        let new: Vec<_> = plan
            .rows()
            .iter()
            .filter(|row| !matches!(row.origin, crate::Origin::Kept(_)))
            .copied()
            .collect();
        let made = real.resampled(plan, &new)?;
        // Both have the same columns.
        let Ok(all) = concatenate(Axis(0), &[real, made.view()]) else {
            return Ok(Self { classes: Vec::new() });
        };
        let all = Features(Store::Dense(all.into()));
        let dense = all.dense("the fidelity report")?;
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, row) in new.iter().enumerate() {
            rows.entry(row.class).or_default().push(y.len() + at);
        }
        let everything: Vec<usize> = (0..y.len()).collect();
        let bits = |row: usize| -> Vec<u64> {
            // −0 equals 0.
            dense.index_axis(Axis(0), row).iter().map(|v| (v + 0.0).to_bits()).collect()
        };
        let mut seen: BTreeSet<Vec<u64>> = everything.iter().map(|&row| bits(row)).collect();
        let classes = rows.into_iter().map(|(class, new)| {
            let own: Vec<usize> =
                everything.iter().copied().filter(|&row| y[row] == class).collect();
            let among = |rows: &[usize]| {
                let found = nearest(&all, rows, &everything, k);
                let lost = found.iter().filter(|near| {
                    2 * near.iter().filter(|n| y[n.row] != class).count() > near.len()
                });
                lost.count() as f64 / rows.len() as f64
            };
            let apart = |rows: &[usize]| {
                let found = nearest(&all, rows, &own, 1);
                let mut distances: Vec<f64> =
                    found.iter().flatten().map(|n| n.squared.sqrt()).collect();
                distances.sort_unstable_by(f64::total_cmp);
                match distances.len() {
                    0 => [f64::NAN; 3],
                    n => [distances[0], distances[n / 2], distances[n - 1]],
                }
            };
            let drift = |column| {
                let values = |rows: &[usize]| -> Vec<f64> {
                    let mut values: Vec<f64> =
                        rows.iter().map(|&row| dense[[row, column]]).collect();
                    values.sort_unstable_by(f64::total_cmp);
                    values
                };
                kolmogorov_smirnov(&values(&own), &values(&new))
            };
            ClassFidelity {
                class,
                real: own.len(),
                synthetic: new.len(),
                duplicates: new.iter().filter(|&&row| !seen.insert(bits(row))).count(),
                among_strangers: among(&new),
                real_among_strangers: among(&own),
                drift: (0..dense.ncols()).map(drift).collect(),
                nearest: apart(&new),
                real_nearest: apart(&own),
            }
        });
        Ok(Self { classes: classes.collect() })
    }
}

impl fmt::Display for PlanFidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>5}  {:>7}  {:>9}  {:>10}  {:>19}  {:>14}  {:>25}  {:>25}",
            "class",
            "real",
            "synthetic",
            "duplicates",
            "among others (real)",
            "drift max (at)",
            "nearest min/median/max",
            "of real rows"
        )?;
        for class in &self.classes {
            let most = class.drift.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let drift = most.map_or(String::new(), |(at, d)| format!("{d:.3} ({at})"));
            let spread = |[a, b, c]: [f64; 3]| format!("{a:.3}/{b:.3}/{c:.3}");
            let among = format!("{:.3} ({:.3})", class.among_strangers, class.real_among_strangers);
            writeln!(
                f,
                "{:>5}  {:>7}  {:>9}  {:>10}  {:>19}  {:>14}  {:>25}  {:>25}",
                class.class,
                class.real,
                class.synthetic,
                class.duplicates,
                among,
                drift,
                spread(class.nearest),
                spread(class.real_nearest)
            )?;
        }
        Ok(())
    }
}
