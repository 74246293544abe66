use super::macros::resampler;
use super::{Resampler, counts, grouped, kept};
use crate::strategy::Direction;
use crate::{Error, Plan, Result, Strategy, Table};

resampler! {
    /// Instance hardness threshold (Smith, Martinez and Giraud-Carrier 2014): under-sampling that
    /// keeps the rows which a classifier that has not seen them takes most surely for what they
    /// are.
    ///
    /// Give each row's out-of-fold probability of *its own* class, from any classifier:
    /// [`Folds::out_of_fold`](crate::Folds::out_of_fold) makes them. Exactly as many rows stay as
    /// asked for, of equals the first (imbalanced-learn keeps all at the threshold). Features
    /// may be anything.
    ///
    /// ```
    /// use counterweight_samplers::{InstanceHardness, Resampler};
    /// use ndarray::Array2;
    ///
    /// let hardness = InstanceHardness::new().with_probabilities(vec![0.9, 0.2, 0.6, 0.6, 0.1]);
    /// let plan = hardness.plan(&Array2::<f64>::zeros((5, 1)), &[0, 0, 0, 0, 1])?;
    /// assert_eq!(plan.kept(), [0, 4]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    InstanceHardness {
        /// Sets the final counts; every class shrinks to the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the probability of each row's class, in \[0, 1\].
        with_probabilities(probabilities: Vec<f64> = Vec::new()),
    }
}

impl Resampler for InstanceHardness {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let rows = grouped(&x.features()?, y)?;
        counterweight_core::ensure_length("probabilities", self.probabilities.len(), y.len())?;
        let wrong = |p: &(usize, &f64)| !(0.0..=1.0).contains(p.1);
        if let Some((row, &value)) = self.probabilities.iter().enumerate().find(wrong) {
            return Err(Error::Probability { row, value });
        }
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Under, "instance hardness")?;
        let mut keep = vec![false; y.len()];
        for (class, mut members) in rows {
            members.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]));
            members.into_iter().take(targets[&class]).for_each(|row| keep[row] = true);
        }
        Ok(kept(y, |row| keep[row]))
    }
}
