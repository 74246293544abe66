//! Which parameters matter.

mod forest;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::forest::Forest;
use crate::suggester::{Table, Task};
use crate::{Error, Params, Result, Study};

/// How parameters are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Importance {
    /// The share of the objective's variance, over the whole space, that a parameter
    /// explains alone: functional ANOVA of a random forest (Hutter et al., ICML 2014).
    #[default]
    Fanova,
    /// By how much a random forest's squared error grows when the parameter's values are
    /// shuffled among the trials (Breiman 2001).
    Permutation,
}

/// Trees of the forest; Optuna's default too.
const TREES: usize = 64;
/// Shuffles of each parameter.
const SHUFFLES: usize = 10;

impl Study {
    /// The importance of every parameter for an objective, largest first; they sum to 1.
    ///
    /// A parameter that was not there in a trial counts as in the middle of its range;
    /// infinite values count as the worst finite one. Nothing matters, and all are 0,
    /// when the objective never changed.
    ///
    /// ```
    /// use counterweight_tuner::{Importance, Study};
    ///
    /// let study = Study::minimize("s").seed(1);
    /// study.optimize(30, |trial| {
    ///     let x = trial.suggest_float("x", 0.0..=1.0)?;
    ///     let y = trial.suggest_float("y", 0.0..=1.0)?;
    ///     Ok(5.0 * x + 0.1 * y)
    /// })?;
    /// let importance = study.importance(Importance::Fanova, 0)?;
    /// assert_eq!(importance[0].0, "x");
    /// assert!(importance[0].1 > 0.9);
    /// # Ok::<(), counterweight_tuner::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`] with fewer than 4 complete trials or an objective that the
    /// study does not have; errors of the storage.
    pub fn importance(&self, kind: Importance, objective: usize) -> Result<Vec<(String, f64)>> {
        if objective >= self.directions().len() {
            let (name, value) = ("objective", objective as f64);
            return Err(Error::OutOfRange { name, value, allowed: "[0, objectives)" });
        }
        let history = self.trials()?;
        let task = Task {
            directions: self.directions(),
            history: &history,
            space: self.static_space(),
            fixed: &Params::new(),
            number: history.len() as u64,
            point: 0,
            study_seed: 0,
            seed: 0,
        };
        let mut table = Table::default();
        table.update(&task);
        let (rows, losses): (Vec<Vec<f64>>, Vec<f64>) = history
            .iter()
            .filter_map(|t| {
                let row = table.row(t)?.iter().map(|v| if v.is_nan() { 0.5 } else { *v });
                Some((row.collect(), *t.losses(self.directions())?.get(objective)?))
            })
            .unzip();
        if rows.len() < 4 {
            let (name, value) = ("complete trials", rows.len() as f64);
            return Err(Error::OutOfRange { name, value, allowed: "[4, inf)" });
        }
        let finite = losses.iter().copied().filter(|v| v.is_finite());
        let worst = finite.reduce(f64::max).unwrap_or(0.0);
        let losses: Vec<f64> =
            losses.iter().map(|v| if v.is_finite() { *v } else { worst }).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let forest = Forest::grow(&rows, &losses, TREES, &mut rng);
        let dims = table.columns.len();
        let raw: Vec<f64> = match kind {
            Importance::Fanova => forest.main_effects(dims),
            Importance::Permutation => {
                let error = |rows: &[Vec<f64>]| -> f64 {
                    rows.iter().zip(&losses).map(|(r, l)| (forest.predict(r) - l).powi(2)).sum()
                };
                let base = error(&rows);
                let mut shuffled_error = |k: usize| {
                    let mut sum = 0.0;
                    for _ in 0..SHUFFLES {
                        let mut shuffled = rows.clone();
                        for i in (1..shuffled.len()).rev() {
                            let j = rng.random_range(0..=i);
                            let kept = shuffled[i][k];
                            shuffled[i][k] = shuffled[j][k];
                            shuffled[j][k] = kept;
                        }
                        sum += error(&shuffled);
                    }
                    (sum / SHUFFLES as f64 - base).max(0.0)
                };
                (0..dims).map(&mut shuffled_error).collect()
            }
        };
        let sum: f64 = raw.iter().sum();
        let share = |v: f64| if sum > 0.0 { v / sum } else { 0.0 };
        let mut named: Vec<(String, f64)> =
            table.columns.iter().zip(raw).map(|(c, v)| (c.name.clone(), share(v))).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(named)
    }
}
