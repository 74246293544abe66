use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What the numbers of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Any number.
    Number,
    /// Whole numbers with an order: counts, years. Synthetic ones are rounded.
    Integer,
    /// Codes without an order. Only codes that were seen are made.
    Category,
}

impl Column {
    /// The columns of a table: those listed are categories, others whose every value is whole
    /// are integers, the rest numbers.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when a listed column does not exist.
    pub fn of(x: ArrayView2<'_, f64>, categories: &[usize]) -> Result<Vec<Self>> {
        for &at in categories {
            let ok = at < x.ncols();
            counterweight_core::ensure("category column", at as f64, ok, "[0, columns)")?;
        }
        let kind = |(at, column): (usize, ndarray::ArrayView1<'_, f64>)| {
            if categories.contains(&at) {
                Self::Category
            } else if column.iter().all(|v| v.is_nan() || v.fract() == 0.0) {
                Self::Integer
            } else {
                Self::Number
            }
        };
        Ok(x.columns().into_iter().enumerate().map(kind).collect())
    }
}

/// Checks a table at the door: columns as many as kinds, labels as many as rows, no infinity,
/// NaN only where `missing` says that it may stand for a missing value.
pub(crate) fn check(
    x: ArrayView2<'_, f64>,
    columns: &[Column],
    labels: Option<&[usize]>,
    missing: bool,
) -> Result<()> {
    if x.is_empty() {
        return Err(counterweight_core::Error::Empty { what: "the table" }.into());
    }
    counterweight_core::ensure_length("columns", columns.len(), x.ncols())?;
    if let Some(labels) = labels {
        counterweight_core::ensure_length("labels", labels.len(), x.nrows())?;
    }
    for ((row, column), &value) in x.indexed_iter() {
        if value.is_infinite() || (value.is_nan() && !missing) {
            return Err(Error::Value { row, column, value });
        }
    }
    Ok(())
}

/// Mean and deviation of finite numbers, by the largest distance from the mean so that no square
/// overflows; the deviation of equal numbers is 0.
pub(crate) fn mean_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| v / n).sum::<f64>();
    let top = values.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
    if top == 0.0 {
        return (mean, 0.0);
    }
    let square = values.iter().map(|v| ((v - mean) / top).powi(2)).sum::<f64>();
    (mean, top * (square / n).sqrt())
}
