use ndarray::{Array2, ArrayBase, ArrayView2, Axis, CowArray, Data, Ix2};
use rayon::prelude::*;

use crate::approximate::Search;
use crate::mixed::Mixed;
use crate::{Error, Plan, PlannedRow, Result};

/// Features, one row per example: `ndarray` arrays of `f32` or `f64` and (feature `sparse`) CSR
/// matrices of `f64`.
pub trait Table: Sync {
    /// What a resampler looks at.
    ///
    /// # Errors
    /// [`Error::NotCsr`] for a sparse matrix stored by columns.
    fn features(&self) -> Result<Features<'_>>;
}

/// A [`Table`] that plans are applied to.
pub trait Resampled: Table {
    /// The resampled table.
    type Output;

    /// The rows of a plan that `rows` names.
    ///
    /// # Errors
    /// [`Error::PlanRow`] when the table has fewer rows than the plan refers to.
    fn resampled(&self, plan: &Plan, rows: &[PlannedRow]) -> Result<Self::Output>;
}

impl<T: Table + ?Sized> Table for &T {
    fn features(&self) -> Result<Features<'_>> {
        (**self).features()
    }
}

/// A view of features in double precision.
#[derive(Debug, Clone)]
pub struct Features<'a>(pub(crate) Store<'a>);

#[derive(Debug, Clone)]
pub(crate) enum Store<'a> {
    Dense(CowArray<'a, f64, Ix2>),
    /// The same, with neighbours by a graph.
    Approximate(CowArray<'a, f64, Ix2>, &'a Search),
    /// Rows with categories, inside SMOTE-NC and SMOTE-N.
    Mixed(Box<Mixed>),
    #[cfg(feature = "sparse")]
    Sparse(sprs::CsMatView<'a, f64>),
}

impl Features<'_> {
    /// Rows.
    pub fn rows(&self) -> usize {
        match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => x.nrows(),
            Store::Mixed(x) => x.rows(),
            #[cfg(feature = "sparse")]
            Store::Sparse(x) => x.rows(),
        }
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => x.ncols(),
            Store::Mixed(x) => x.columns(),
            #[cfg(feature = "sparse")]
            Store::Sparse(x) => x.cols(),
        }
    }

    /// The array, for methods whose result or arithmetic is dense.
    pub(crate) fn dense(&self, method: &'static str) -> Result<ArrayView2<'_, f64>> {
        match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => Ok(x.view()),
            Store::Mixed(_) => Err(Error::Sparse { method }),
            #[cfg(feature = "sparse")]
            Store::Sparse(_) => Err(Error::Sparse { method }),
        }
    }

    /// Dense rows with the same distances.
    pub(crate) fn euclidean(&self) -> Option<ArrayView2<'_, f64>> {
        match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => Some(x.view()),
            Store::Mixed(x) => x.embedded(),
            #[cfg(feature = "sparse")]
            Store::Sparse(_) => None,
        }
    }

    /// How to search for neighbours, where it need not be exactly.
    pub(crate) fn approximate(&self) -> Option<&Search> {
        match &self.0 {
            Store::Approximate(_, search) => Some(search),
            _ => None,
        }
    }

    /// Checks that every value is finite.
    pub(crate) fn ensure_finite(&self) -> Result<()> {
        let found = match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => {
                // Whole rows at once, without branches; the place is looked for when there is one.
                let finite = |row: ndarray::ArrayView1<'_, f64>| match row.to_slice() {
                    Some(row) => row.iter().fold(true, |all, v| all & v.is_finite()),
                    None => row.iter().all(|v| v.is_finite()),
                };
                let rows = x.axis_iter(Axis(0)).into_par_iter().with_min_len(1024);
                let wrong = rows.enumerate().find_first(|(_, row)| !finite(*row));
                wrong.and_then(|(row, _)| {
                    let values = x.index_axis(Axis(0), row);
                    let column = values.iter().position(|v| !v.is_finite())?;
                    Some(((row, column), values[column]))
                })
            }
            Store::Mixed(_) => None,
            #[cfg(feature = "sparse")]
            Store::Sparse(x) => x.iter().find(|(v, _)| !v.is_finite()).map(|(v, at)| (at, *v)),
        };
        found.map_or(Ok(()), |((row, column), value)| Err(Error::NotFinite { row, column, value }))
    }

    /// The squared Euclidean distance of two rows.
    pub(crate) fn squared(&self, a: usize, b: usize) -> f64 {
        match &self.0 {
            Store::Dense(x) | Store::Approximate(x, _) => {
                let (a, b) = (x.index_axis(Axis(0), a), x.index_axis(Axis(0), b));
                match (a.to_slice(), b.to_slice()) {
                    (Some(a), Some(b)) => squared(a, b),
                    _ => squared(&a.to_vec(), &b.to_vec()),
                }
            }
            Store::Mixed(x) => x.squared(a, b),
            #[cfg(feature = "sparse")]
            Store::Sparse(x) => sparse::squared(x, a, b),
        }
    }
}

/// The squared distance of two points, in four sums so that they need not wait for each other.
pub(crate) fn squared(a: &[f64], b: &[f64]) -> f64 {
    let (a, rest_a) = a.as_chunks::<4>();
    let (b, rest_b) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for i in 0..4 {
            sums[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// A number that a table may hold.
pub trait Real: Copy + Send + Sync + private::Sealed {
    /// Views of double precision as they are, others converted.
    fn double<S: Data<Elem = Self>>(x: &ArrayBase<S, Ix2>) -> CowArray<'_, f64, Ix2>;

    /// Rows of a plan.
    ///
    /// # Errors
    /// As [`Resampled::resampled`].
    fn rows<S: Data<Elem = Self>>(
        x: &ArrayBase<S, Ix2>,
        plan: &Plan,
        rows: &[PlannedRow],
    ) -> Result<Array2<Self>>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f64 {
    fn double<S: Data<Elem = Self>>(x: &ArrayBase<S, Ix2>) -> CowArray<'_, f64, Ix2> {
        x.view().into()
    }

    fn rows<S: Data<Elem = Self>>(
        x: &ArrayBase<S, Ix2>,
        plan: &Plan,
        rows: &[PlannedRow],
    ) -> Result<Array2<f64>> {
        plan.materialise(x.view(), rows)
    }
}

impl Real for f32 {
    fn double<S: Data<Elem = Self>>(x: &ArrayBase<S, Ix2>) -> CowArray<'_, f64, Ix2> {
        x.mapv(f64::from).into()
    }

    fn rows<S: Data<Elem = Self>>(
        x: &ArrayBase<S, Ix2>,
        plan: &Plan,
        rows: &[PlannedRow],
    ) -> Result<Array2<f32>> {
        plan.materialise(x.view(), rows)
    }
}

impl<S> Table for ArrayBase<S, Ix2>
where
    S: Data + Sync,
    S::Elem: Real,
{
    fn features(&self) -> Result<Features<'_>> {
        Ok(Features(Store::Dense(Real::double(self))))
    }
}

impl<S> Resampled for ArrayBase<S, Ix2>
where
    S: Data + Sync,
    S::Elem: Real,
{
    type Output = Array2<S::Elem>;

    fn resampled(&self, plan: &Plan, rows: &[PlannedRow]) -> Result<Self::Output> {
        Real::rows(self, plan, rows)
    }
}

#[cfg(feature = "sparse")]
mod sparse {
    use std::collections::BTreeMap;
    use std::ops::Deref;

    use sprs::{CsMat, CsMatBase, CsMatView};

    use super::{Features, Resampled, Store, Table};
    use crate::{Error, Origin, Plan, PlannedRow, Result};

    impl<P, I, D> Table for CsMatBase<f64, usize, P, I, D>
    where
        P: Deref<Target = [usize]> + Sync,
        I: Deref<Target = [usize]> + Sync,
        D: Deref<Target = [f64]> + Sync,
    {
        fn features(&self) -> Result<Features<'_>> {
            if !self.is_csr() {
                return Err(Error::NotCsr);
            }
            Ok(Features(Store::Sparse(self.view())))
        }
    }

    impl<P, I, D> Resampled for CsMatBase<f64, usize, P, I, D>
    where
        P: Deref<Target = [usize]> + Sync,
        I: Deref<Target = [usize]> + Sync,
        D: Deref<Target = [f64]> + Sync,
    {
        type Output = CsMat<f64>;

        fn resampled(&self, plan: &Plan, rows: &[PlannedRow]) -> Result<CsMat<f64>> {
            if !self.is_csr() {
                return Err(Error::NotCsr);
            }
            let x = self.view();
            rows.iter().try_for_each(|planned| plan.ensure_rows(planned.origin, x.rows()))?;
            let mut starts = vec![0];
            let (mut columns, mut values) = (Vec::new(), Vec::new());
            for planned in rows {
                let mut sum: BTreeMap<usize, f64> = BTreeMap::new();
                let mut add = |row: usize, weight: f64| {
                    let found = x.outer_view(row).ok_or(Error::PlanRow { row, rows: x.rows() })?;
                    found.iter().for_each(|(c, v)| *sum.entry(c).or_default() += weight * v);
                    Ok::<(), Error>(())
                };
                match planned.origin {
                    Origin::Kept(row) | Origin::Copy(row) => {
                        let found =
                            x.outer_view(row).ok_or(Error::PlanRow { row, rows: x.rows() })?;
                        columns.extend_from_slice(found.indices());
                        values.extend_from_slice(found.data());
                    }
                    Origin::Between { a, b, t } => {
                        add(a, 1.0 - t)?;
                        add(b, t)?;
                    }
                    Origin::Centroid { set } => {
                        let members = plan.set(set);
                        for &row in members {
                            add(row, 1.0 / members.len() as f64)?;
                        }
                    }
                    _ => return Err(Error::Sparse { method: "this plan" }),
                }
                let discrete = plan.discrete();
                for (column, value) in sum {
                    columns.push(column);
                    let whole = discrete.contains(&column);
                    values.push(if whole { value.round_ties_even() } else { value });
                }
                starts.push(columns.len());
            }
            Ok(CsMat::new((rows.len(), x.cols()), starts, columns, values))
        }
    }

    /// The squared distance of two rows.
    pub(super) fn squared(x: &CsMatView<'_, f64>, a: usize, b: usize) -> f64 {
        let (Some(a), Some(b)) = (x.outer_view(a), x.outer_view(b)) else { return f64::NAN };
        let (mut i, mut j, mut sum) = (0, 0, 0.0);
        let (ai, bi) = (a.indices(), b.indices());
        while i < ai.len() || j < bi.len() {
            let (at_a, at_b) = (ai.get(i), bi.get(j));
            let only_a = at_b.is_none_or(|b| at_a.is_some_and(|a| a < b));
            let only_b = at_a.is_none_or(|a| at_b.is_some_and(|b| b < a));
            let gap = if only_a {
                a.data()[i]
            } else if only_b {
                b.data()[j]
            } else {
                a.data()[i] - b.data()[j]
            };
            i += usize::from(!only_b);
            j += usize::from(!only_a);
            sum += gap * gap;
        }
        sum
    }
}
