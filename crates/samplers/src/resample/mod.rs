//! One file per resampler.

mod random;
mod smote;

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};

pub use random::{RandomOver, RandomUnder};
pub use smote::Smote;

use crate::{Error, Plan, Result};

/// Computes which rows a balanced data set should have.
pub trait Resampler {
    /// The plan for features `[rows, columns]` and their class ids.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for bad parameters, non-finite features, labels of another
    /// length, or classes too small for the method.
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan>;

    /// Plans and applies in one step, under the name imbalanced-learn uses.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    fn fit_resample(
        &self,
        x: ArrayView2<'_, f64>,
        y: &[usize],
    ) -> Result<(Array2<f64>, Vec<usize>)> {
        self.plan(x, y)?.apply(x)
    }
}

/// The rows of each class, after checking the data at the door.
fn rows_by_class(x: ArrayView2<'_, f64>, y: &[usize]) -> Result<BTreeMap<usize, Vec<usize>>> {
    counterweight_core::ensure_length("labels", y.len(), x.nrows())?;
    if y.is_empty() {
        return Err(counterweight_core::Error::Empty { what: "labels" }.into());
    }
    if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &class) in y.iter().enumerate() {
        rows.entry(class).or_default().push(row);
    }
    Ok(rows)
}

fn counts(rows: &BTreeMap<usize, Vec<usize>>) -> BTreeMap<usize, usize> {
    rows.iter().map(|(&class, rows)| (class, rows.len())).collect()
}
