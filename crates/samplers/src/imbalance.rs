use counterweight_core::{ClassProfile, class_count, derive, ensure, ensure_length, rng};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{Error, Origin, Plan, PlannedRow, Result};

/// How an even data set is made uneven, for experiments.
///
/// ```
/// use counterweight_samplers::Imbalance;
///
/// // CIFAR-10-LT at factor 200 (Cui et al. 2019; Cao et al. 2019).
/// let counts = Imbalance::Exponential { factor: 200.0 }.counts(5000, 10)?;
/// assert_eq!(counts, [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25]);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Imbalance {
    /// Class i of C keeps `max · factor^(−i / (C − 1))` rows, rounded down.
    Exponential {
        /// The largest count over the smallest, at least 1.
        factor: f64,
    },
    /// The last classes keep `max / factor` rows, rounded down (Buda et al. 2018).
    Step {
        /// The largest count over the smallest, at least 1.
        factor: f64,
        /// The share of the classes that are small, in `[0, 1]`, rounded down.
        minority: f64,
    },
    /// These counts, in class-id order.
    Counts(Vec<usize>),
}

impl Imbalance {
    /// The counts of `classes` classes of which the largest has `max` rows.
    ///
    /// # Errors
    /// For a factor below 1 or a share outside `[0, 1]`, or counts of another length.
    pub fn counts(&self, max: usize, classes: usize) -> Result<Vec<usize>> {
        // 1e-9: 5000 / 200 must not fall below 25.
        let down = |n: f64| (n + 1e-9) as usize;
        match self {
            Self::Exponential { factor } => {
                ensure("factor", *factor, *factor >= 1.0 && factor.is_finite(), "[1, inf)")?;
                let last = classes.saturating_sub(1).max(1) as f64;
                let count = |i: usize| down(max as f64 * factor.powf(-(i as f64) / last));
                Ok((0..classes).map(count).collect())
            }
            Self::Step { factor, minority } => {
                ensure("factor", *factor, *factor >= 1.0 && factor.is_finite(), "[1, inf)")?;
                ensure("minority", *minority, (0.0..=1.0).contains(minority), "[0, 1]")?;
                let large = classes - down(minority * classes as f64);
                let count = |i| if i < large { max } else { down(max as f64 / factor) };
                Ok((0..classes).map(count).collect())
            }
            Self::Counts(counts) => {
                ensure_length("counts", counts.len(), classes)?;
                Ok(counts.clone())
            }
        }
    }

    /// The plan that keeps a random part of each class, the largest count being the smallest
    /// class's for the exponential and the step form, so that every count can be had.
    ///
    /// # Errors
    /// As [`counts`](Self::counts), for no labels, for an id of 2²⁴ or more, and for a class with
    /// fewer rows than it should keep.
    pub fn plan(&self, labels: &[usize], seed: u64) -> Result<Plan> {
        let classes = class_count(labels.iter().copied().enumerate())?;
        let names: Vec<String> = (0..classes).map(|c| c.to_string()).collect();
        let profile = ClassProfile::from_labels(labels, &names)?;
        let max = profile.counts().iter().min().copied().unwrap_or(0) as usize;
        let mut rows = vec![Vec::new(); classes];
        labels.iter().enumerate().for_each(|(row, &class)| rows[class].push(row));
        let mut kept = Vec::new();
        for (class, (mut members, wanted)) in
            rows.into_iter().zip(self.counts(max, classes)?).enumerate()
        {
            let got = members.len();
            if got < wanted {
                return Err(Error::Target { method: "make_imbalance", class, got, wanted });
            }
            members.shuffle(&mut rng(derive(seed, class as u64)));
            kept.extend(members.into_iter().take(wanted));
        }
        kept.sort_unstable();
        let row = |row| PlannedRow { origin: Origin::Kept(row), class: labels[row] };
        Ok(Plan::new(kept.into_iter().map(row).collect()))
    }
}
