use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where an output row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// The original row, kept.
    Kept(usize),
    /// A further copy of a row.
    Copy(usize),
    /// `(1 − t) · row a + t · row b`.
    Between {
        /// The base row.
        a: usize,
        /// Its neighbour.
        b: usize,
        /// Position between them, in `[0, 1]`.
        t: f64,
    },
}

/// One output row: its origin and its class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlannedRow {
    /// Where the row comes from.
    pub origin: Origin,
    /// Its class id.
    pub class: usize,
}

/// The result of a resampler: the origin of every output row.
///
/// Small, serialisable, and applied to any array aligned with the data it was made
/// from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    rows: Vec<PlannedRow>,
    /// Classes that could not grow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unchanged: Vec<usize>,
}

impl Plan {
    /// A plan from its rows.
    pub fn new(rows: Vec<PlannedRow>) -> Self {
        Self { rows, unchanged: Vec::new() }
    }

    /// Notes classes that were to grow and could not.
    pub(crate) fn with_unchanged(mut self, unchanged: Vec<usize>) -> Self {
        self.unchanged = unchanged;
        self
    }

    /// Classes that were asked to grow and that the method found no way to: Borderline-SMOTE
    /// without rows in danger.
    pub fn unchanged(&self) -> &[usize] {
        &self.unchanged
    }

    /// Every row kept: the plan of no treatment.
    pub fn identity(labels: &[usize]) -> Self {
        let kept = |(row, &class)| PlannedRow { origin: Origin::Kept(row), class };
        Self::new(labels.iter().enumerate().map(kept).collect())
    }

    /// The rows in output order: kept rows first, in their old order.
    pub fn rows(&self) -> &[PlannedRow] {
        &self.rows
    }

    /// The rows, owned.
    pub(crate) fn into_rows(self) -> Vec<PlannedRow> {
        self.rows
    }

    /// The original rows kept, in output order.
    pub fn kept(&self) -> Vec<usize> {
        let row = |planned: &PlannedRow| match planned.origin {
            Origin::Kept(row) => Some(row),
            _ => None,
        };
        self.rows.iter().filter_map(row).collect()
    }

    /// This plan and then another, made from the rows of this one.
    ///
    /// # Errors
    /// [`Error::Nested`] for a row between rows that are synthetic themselves,
    /// [`Error::PlanRow`] for a row that this plan does not have.
    pub fn then(&self, next: &Self) -> Result<Self> {
        let origin = |row: usize| {
            let rows = self.rows.len();
            self.rows.get(row).map(|r| r.origin).ok_or(Error::PlanRow { row, rows })
        };
        let rows = next.rows.iter().enumerate().map(|(at, planned)| {
            let origin = match planned.origin {
                Origin::Kept(row) => origin(row)?,
                Origin::Copy(row) => match origin(row)? {
                    Origin::Kept(first) | Origin::Copy(first) => Origin::Copy(first),
                    between => between,
                },
                Origin::Between { a, b, t } => match (origin(a)?, origin(b)?) {
                    (Origin::Kept(a) | Origin::Copy(a), Origin::Kept(b) | Origin::Copy(b)) => {
                        Origin::Between { a, b, t }
                    }
                    _ => return Err(Error::Nested { row: at }),
                },
            };
            Ok(PlannedRow { origin, class: planned.class })
        });
        let mut unchanged = self.unchanged.clone();
        unchanged.extend(&next.unchanged);
        Ok(Self::new(rows.collect::<Result<_>>()?).with_unchanged(unchanged))
    }

    /// Output rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the plan has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The class of every output row.
    pub fn labels(&self) -> Vec<usize> {
        self.rows.iter().map(|r| r.class).collect()
    }

    /// Materialises features and labels.
    ///
    /// # Errors
    /// [`Error::PlanRow`] when `x` is not the data the plan was made from.
    pub fn apply(&self, x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Vec<usize>)> {
        Ok((self.materialise(x, &self.rows)?, self.labels()))
    }

    /// Materialises `size` rows at a time, so that the output need not fit in memory.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn batches<'a>(
        &'a self,
        x: ArrayView2<'a, f64>,
        size: usize,
    ) -> impl Iterator<Item = Result<(Array2<f64>, Vec<usize>)>> + 'a {
        self.rows.chunks(size).map(move |rows| {
            Ok((self.materialise(x, rows)?, rows.iter().map(|r| r.class).collect()))
        })
    }

    /// Applies a plan of kept and copied rows to anything: texts, weights, categories.
    ///
    /// # Errors
    /// [`Error::Interpolated`] for a synthetic row, [`Error::PlanRow`] for a row out of
    /// range.
    pub fn pick<T: Clone>(&self, items: &[T]) -> Result<Vec<T>> {
        let pick = |(row, planned): (usize, &PlannedRow)| match planned.origin {
            Origin::Kept(i) | Origin::Copy(i) => {
                items.get(i).cloned().ok_or(Error::PlanRow { row: i, rows: items.len() })
            }
            Origin::Between { .. } => Err(Error::Interpolated { row }),
        };
        self.rows.iter().enumerate().map(pick).collect()
    }

    /// The plan as two gathers and a lerp: rows `a`, rows `b` and `t`, one of each per
    /// output row.
    pub fn parents(&self) -> (Vec<usize>, Vec<usize>, Vec<f64>) {
        let split = self.rows.iter().map(|r| match r.origin {
            Origin::Kept(i) | Origin::Copy(i) => (i, (i, 0.0)),
            Origin::Between { a, b, t } => (a, (b, t)),
        });
        let (a, (b, t)) = split.unzip::<_, _, Vec<_>, (Vec<_>, Vec<_>)>();
        (a, b, t)
    }

    fn materialise(&self, x: ArrayView2<'_, f64>, rows: &[PlannedRow]) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((rows.len(), x.ncols()));
        let row = |i: usize| {
            let rows = x.nrows();
            (i < rows).then(|| x.row(i)).ok_or(Error::PlanRow { row: i, rows })
        };
        for (planned, mut target) in rows.iter().zip(out.axis_iter_mut(Axis(0))) {
            match planned.origin {
                Origin::Kept(i) | Origin::Copy(i) => target.assign(&row(i)?),
                Origin::Between { a, b, t } => {
                    let (a, b) = (row(a)?, row(b)?);
                    target.zip_mut_with(&a, |out, &a| *out = a);
                    target.zip_mut_with(&b, |out, &b| *out += t * (b - *out));
                }
            }
        }
        Ok(out)
    }
}
