use std::fmt;

use super::macros::resampler;
use super::{EditedNn, Resampler, Smote, TomekLinks};
use crate::table::{Features, Resampled, Store};
use crate::{Error, Plan, Result, Strategy, Table};

/// Resamplers one after another, each on what the one before made.
///
/// The plan says where every row comes from in the *first* data. A synthetic row between
/// synthetic rows has no two parents there and is an error: over-sample in one step.
///
/// ```
/// use counterweight_samplers::{Chain, EditedNn, Resampler, Smote};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((40, 2), |(r, c)| ((r * 7 + c * 3) % 11) as f64);
/// let y: Vec<usize> = (0..40).map(|r| usize::from(r % 4 == 0)).collect();
/// let chain = Chain::new(vec![Box::new(Smote::new()), Box::new(EditedNn::new())]);
/// let plan = chain.plan(&x, &y)?;
/// assert!(plan.len() <= 60);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
pub struct Chain {
    steps: Vec<Box<dyn Resampler + Send + Sync>>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("steps", &self.steps.len()).finish()
    }
}

impl Chain {
    /// The steps in order; none keeps every row.
    pub fn new(steps: Vec<Box<dyn Resampler + Send + Sync>>) -> Self {
        Self { steps }
    }
}

impl Resampler for Chain {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let features = x.features()?;
        super::grouped(&features, y)?;
        let Some((first, rest)) = self.steps.split_first() else { return Ok(Plan::identity(y)) };
        rest.iter().try_fold(first.plan(x, y)?, |plan, step| then(&features, plan, step.as_ref()))
    }
}

/// A plan, and then what a resampler makes of its rows.
pub(crate) fn then(x: &Features<'_>, plan: Plan, step: &dyn Resampler) -> Result<Plan> {
    let labels = plan.labels();
    let next = match &x.0 {
        Store::Dense(x) | Store::Approximate(x, _) => {
            step.plan(&x.resampled(&plan, plan.rows())?, &labels)?
        }
        Store::Mixed(_) => return Err(Error::Sparse { method: "a chain" }),
        #[cfg(feature = "sparse")]
        Store::Sparse(x) => step.plan(&x.resampled(&plan, plan.rows())?, &labels)?,
    };
    plan.then(&next)
}

resampler! {
    /// SMOTE, then [`EditedNn`] (Batista et al. 2004).
    SmoteEnn {
        /// Sets the over-sampling.
        with_smote(smote: Smote = Smote::new()),
        /// Sets the cleaning; of all classes by default, as imbalanced-learn's.
        with_enn(enn: EditedNn = EditedNn::new().with_strategy(Strategy::All)),
    }
}

impl SmoteEnn {
    /// Changes the over-sampling.
    pub(super) fn over(mut self, change: impl FnOnce(Smote) -> Smote) -> Self {
        self.smote = change(self.smote);
        self
    }
}

impl Resampler for SmoteEnn {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        then(&x.features()?, self.smote.plan(x, y)?, &self.enn)
    }
}

resampler! {
    /// SMOTE, then [`TomekLinks`] (Batista et al. 2003).
    SmoteTomek {
        /// Sets the over-sampling.
        with_smote(smote: Smote = Smote::new()),
        /// Sets the cleaning; of all classes by default, as imbalanced-learn's.
        with_tomek(tomek: TomekLinks = TomekLinks::new().with_strategy(Strategy::All)),
    }
}

impl SmoteTomek {
    /// Changes the over-sampling.
    pub(super) fn over(mut self, change: impl FnOnce(Smote) -> Smote) -> Self {
        self.smote = change(self.smote);
        self
    }
}

impl Resampler for SmoteTomek {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        then(&x.features()?, self.smote.plan(x, y)?, &self.tomek)
    }
}
