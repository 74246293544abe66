use counterweight_core::{SplitMix, pages, rng};
use ndarray::{Array2, ArrayView2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::table::Resampled;
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
        /// Position between them, in `[0, 1]`; SVM-SMOTE also goes away from b, with t < 0.
        t: f64,
    },
    /// `row + s ∘ z`, z standard normal: smoothed bootstrap.
    Jittered {
        /// The row copied.
        row: usize,
        /// Which of [`Plan::scales`] is s.
        scale: usize,
        /// The seed of z.
        draw: u64,
    },
    /// The mean of rows: cluster centroids.
    Centroid {
        /// Which of [`Plan::set`]s holds the rows.
        set: usize,
    },
    /// A point of the ball around a row whose surface goes through another, truncated and
    /// deformed: Geometric SMOTE.
    Ball {
        /// The centre.
        centre: usize,
        /// The row on the surface.
        surface: usize,
        /// The seed of the point.
        draw: u64,
    },
    /// As `Between`, but categorical columns hold what is most frequent in a set of rows:
    /// SMOTE-NC and SMOTE-N.
    Voted {
        /// The base row.
        a: usize,
        /// Its neighbour.
        b: usize,
        /// Position between them, in `[0, 1]`.
        t: f64,
        /// Which of [`Plan::set`]s votes.
        set: usize,
        /// The seed that decides between equals.
        draw: u64,
    },
}

impl Origin {
    /// Whether the row is one of the data's.
    pub fn is_real(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Copy(_))
    }

    /// The row it was made from: the base row, or the first of a set.
    pub fn base(&self, plan: &Plan) -> usize {
        match *self {
            Self::Kept(row) | Self::Copy(row) | Self::Jittered { row, .. } => row,
            Self::Between { a, .. } | Self::Voted { a, .. } => a,
            Self::Ball { centre, .. } => centre,
            Self::Centroid { set } => plan.set(set).first().copied().unwrap_or(0),
        }
    }
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
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    details: Details,
}

/// What origins refer to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    /// Rows that are averaged or that vote.
    pub(crate) sets: Vec<Vec<usize>>,
    /// Standard deviations of noise per column.
    pub(crate) scales: Vec<Vec<f64>>,
    /// Truncation and deformation of balls.
    pub(crate) ball: (f64, f64),
    /// Columns that are voted on.
    pub(crate) categories: Vec<usize>,
    /// Columns of whole numbers.
    pub(crate) discrete: Vec<usize>,
}

impl Details {
    fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl Plan {
    /// A plan from its rows.
    pub fn new(rows: Vec<PlannedRow>) -> Self {
        Self { rows, unchanged: Vec::new(), details: Details::default() }
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

    /// Adds what origins refer to.
    pub(crate) fn with_details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// Names columns of whole numbers: what is interpolated there is rounded, half to even.
    ///
    /// ```
    /// use counterweight_samplers::{Origin, Plan, PlannedRow};
    /// use ndarray::array;
    ///
    /// let between = Origin::Between { a: 0, b: 1, t: 0.5 };
    /// let plan = Plan::new(vec![PlannedRow { origin: between, class: 1 }]).with_discrete(vec![0]);
    /// let (x, _) = plan.apply(&array![[-3.0, -3.0], [0.0, 0.0]])?;
    /// assert_eq!(x, array![[-2.0, -1.5]]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    #[must_use]
    pub fn with_discrete(mut self, columns: Vec<usize>) -> Self {
        self.details.discrete = columns;
        self
    }

    /// Columns of whole numbers.
    pub fn discrete(&self) -> &[usize] {
        &self.details.discrete
    }

    /// A set of rows that an [`Origin`] names; empty when the plan has no such set.
    pub fn set(&self, set: usize) -> &[usize] {
        self.details.sets.get(set).map_or(&[], Vec::as_slice)
    }

    /// The standard deviations, per column, that [`Origin::Jittered`] refers to.
    pub fn scales(&self) -> &[Vec<f64>] {
        &self.details.scales
    }

    /// Every row kept: the plan of no treatment.
    pub fn identity(labels: &[usize]) -> Self {
        Self::new(Self::kept_rows(labels).collect())
    }

    /// The rows of a plan that keeps all.
    pub(crate) fn kept_rows(labels: &[usize]) -> impl ExactSizeIterator<Item = PlannedRow> {
        let kept = |(row, &class)| PlannedRow { origin: Origin::Kept(row), class };
        labels.iter().enumerate().map(kept)
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
    /// [`Error::Nested`] for a synthetic row made from rows that are synthetic themselves,
    /// [`Error::PlanRow`] for a row that this plan does not have.
    pub fn then(&self, next: &Self) -> Result<Self> {
        let origin = |row: usize| {
            let rows = self.rows.len();
            self.rows.get(row).map(|r| r.origin).ok_or(Error::PlanRow { row, rows })
        };
        // The row of the first data that a row of this plan is.
        let real = |row: usize, at: usize| match origin(row)? {
            Origin::Kept(first) | Origin::Copy(first) => Ok(first),
            _ => Err(Error::Nested { row: at }),
        };
        let (sets, scales) = (self.details.sets.len(), self.details.scales.len());
        let rows = next.rows.iter().enumerate().map(|(at, planned)| {
            let origin = match planned.origin {
                Origin::Kept(row) => origin(row)?,
                Origin::Copy(row) => match origin(row)? {
                    Origin::Kept(first) => Origin::Copy(first),
                    other => other,
                },
                Origin::Between { a, b, t } => {
                    Origin::Between { a: real(a, at)?, b: real(b, at)?, t }
                }
                Origin::Jittered { row, scale, draw } => {
                    Origin::Jittered { row: real(row, at)?, scale: scale + scales, draw }
                }
                Origin::Centroid { set } => {
                    for &row in next.set(set) {
                        real(row, at)?;
                    }
                    Origin::Centroid { set: set + sets }
                }
                Origin::Ball { centre, surface, draw } => {
                    Origin::Ball { centre: real(centre, at)?, surface: real(surface, at)?, draw }
                }
                Origin::Voted { a, b, t, set, draw } => {
                    for &row in next.set(set) {
                        real(row, at)?;
                    }
                    Origin::Voted { a: real(a, at)?, b: real(b, at)?, t, set: set + sets, draw }
                }
            };
            Ok(PlannedRow { origin, class: planned.class })
        });
        let rows: Vec<PlannedRow> = rows.collect::<Result<_>>()?;
        let mut unchanged = self.unchanged.clone();
        unchanged.extend(&next.unchanged);
        let mut details = self.details.clone();
        // Sets with synthetic rows were refused above where a row needs them.
        let first = |row: &usize| self.rows.get(*row).map_or(0, |r| r.origin.base(self));
        details.sets.extend(next.details.sets.iter().map(|set| set.iter().map(first).collect()));
        details.scales.extend(next.details.scales.iter().cloned());
        for (mine, theirs) in [
            (&mut details.categories, &next.details.categories),
            (&mut details.discrete, &next.details.discrete),
        ] {
            mine.extend(theirs);
            mine.sort_unstable();
            mine.dedup();
        }
        if next.rows.iter().any(|r| matches!(r.origin, Origin::Ball { .. })) {
            details.ball = next.details.ball;
        }
        Ok(Self { rows, unchanged, details })
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
    /// [`Error::PlanRow`] when `x` is not the data the plan was made from,
    /// [`Error::Sparse`] for rows with noise and a sparse matrix.
    pub fn apply<T: Resampled + ?Sized>(&self, x: &T) -> Result<(T::Output, Vec<usize>)> {
        Ok((x.resampled(self, &self.rows)?, self.labels()))
    }

    /// Materialises `size` rows at a time, so that the output need not fit in memory.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn batches<'a, T: Resampled + ?Sized>(
        &'a self,
        x: &'a T,
        size: usize,
    ) -> impl Iterator<Item = Result<(T::Output, Vec<usize>)>> + 'a {
        self.rows
            .chunks(size)
            .map(move |rows| Ok((x.resampled(self, rows)?, rows.iter().map(|r| r.class).collect())))
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
            _ => Err(Error::Interpolated { row }),
        };
        self.rows.iter().enumerate().map(pick).collect()
    }

    /// The plan as two gathers and a lerp: rows `a`, rows `b` and `t`, one of each per
    /// output row. `None` when the plan has other synthetic rows.
    pub fn parents(&self) -> Option<(Vec<usize>, Vec<usize>, Vec<f64>)> {
        let split = |r: &PlannedRow| match r.origin {
            Origin::Kept(i) | Origin::Copy(i) => Some((i, (i, 0.0))),
            Origin::Between { a, b, t } => Some((a, (b, t))),
            _ => None,
        };
        let split: Vec<_> = self.rows.iter().map(split).collect::<Option<_>>()?;
        let (a, (b, t)) = split.into_iter().unzip::<_, _, Vec<_>, (Vec<_>, Vec<_>)>();
        Some((a, b, t))
    }

    /// Rows of the plan from dense data, in parallel.
    pub(crate) fn materialise<F: Number>(
        &self,
        x: ArrayView2<'_, F>,
        rows: &[PlannedRow],
    ) -> Result<Array2<F>> {
        rows.iter().try_for_each(|planned| self.ensure_rows(planned.origin, x.nrows()))?;
        let columns = x.ncols();
        if let Some(&column) = self.details.categories.iter().find(|c| **c >= columns) {
            return Err(Error::Column { column, columns });
        }
        let memory = pages::zeros(rows.len() * columns, F::from_double(0.0));
        let mut out = Array2::from_shape_vec((rows.len(), columns), memory)
            .unwrap_or_else(|_| unreachable!("as many numbers as the shape has"));
        let writer = Writer { x, plan: self };
        out.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(256).zip(rows).for_each(
            |(mut target, planned)| {
                if let Some(target) = target.as_slice_mut() {
                    writer.write(planned.origin, target);
                }
            },
        );
        Ok(out)
    }

    /// Checks that data of this many rows has all that the plan refers to.
    #[cfg(feature = "burn")]
    pub(crate) fn ensure_all_rows(&self, rows: usize) -> Result<()> {
        self.rows.iter().try_for_each(|planned| self.ensure_rows(planned.origin, rows))
    }

    /// Writes one row, whose parents the data have.
    #[cfg(feature = "burn")]
    pub(crate) fn write<F: Number>(&self, x: ArrayView2<'_, F>, origin: Origin, out: &mut [F]) {
        Writer { x, plan: self }.write(origin, out);
    }

    /// Checks that the data, of this many rows, and the plan have all that a row is made from.
    pub(crate) fn ensure_rows(&self, origin: Origin, rows: usize) -> Result<()> {
        let filled = |set: usize| match self.set(set).iter().max() {
            Some(&most) => Ok(most),
            None => Err(Error::PlanSet { index: set, got: self.details.sets.len() }),
        };
        let most = match origin {
            Origin::Kept(row) | Origin::Copy(row) => row,
            Origin::Jittered { row, scale, .. } if scale < self.details.scales.len() => row,
            Origin::Jittered { scale, .. } => {
                let got = self.details.scales.len();
                return Err(Error::PlanSet { index: scale, got });
            }
            Origin::Between { a, b, .. } => a.max(b),
            Origin::Voted { a, b, set, .. } => a.max(b).max(filled(set)?),
            Origin::Ball { centre, surface, .. } => centre.max(surface),
            Origin::Centroid { set } => filled(set)?,
        };
        if most < rows { Ok(()) } else { Err(Error::PlanRow { row: most, rows }) }
    }
}

/// Arithmetic in double precision on what the data hold.
pub(crate) trait Number: Copy + Send + Sync {
    fn double(self) -> f64;
    fn from_double(value: f64) -> Self;
}

impl Number for f64 {
    fn double(self) -> f64 {
        self
    }

    fn from_double(value: f64) -> Self {
        value
    }
}

impl Number for f32 {
    fn double(self) -> f64 {
        f64::from(self)
    }

    fn from_double(value: f64) -> Self {
        value as Self
    }
}

/// Writes rows of a plan.
struct Writer<'a, F> {
    x: ArrayView2<'a, F>,
    plan: &'a Plan,
}

impl<F: Number> Writer<'_, F> {
    fn write(&self, origin: Origin, out: &mut [F]) {
        match origin {
            Origin::Kept(row) | Origin::Copy(row) => return self.copy(row, out),
            Origin::Between { a, b, t } => self.lerp(a, b, t, out),
            Origin::Voted { a, b, t, set, draw } => {
                self.lerp(a, b, t, out);
                let mut rng = rng(draw);
                for &column in &self.plan.details.categories {
                    let mut votes: Vec<(f64, usize)> = Vec::new();
                    for &row in self.plan.set(set) {
                        let value = self.x[[row, column]].double();
                        match votes.iter_mut().find(|vote| vote.0 == value) {
                            Some(vote) => vote.1 += 1,
                            None => votes.push((value, 1)),
                        }
                    }
                    let most = votes.iter().map(|vote| vote.1).max().unwrap_or(0);
                    votes.retain(|vote| vote.1 == most);
                    if !votes.is_empty() {
                        let chosen =
                            if votes.len() > 1 { rng.random_range(0..votes.len()) } else { 0 };
                        out[column] = F::from_double(votes[chosen].0);
                    }
                }
            }
            Origin::Jittered { row, scale, draw } => {
                self.copy(row, out);
                let mut rng = SplitMix::new(draw);
                for (out, &scale) in out.iter_mut().zip(&self.plan.details.scales[scale]) {
                    let z: f64 = rng.sample(StandardNormal);
                    *out = F::from_double(out.double() + scale * z);
                }
            }
            Origin::Centroid { set } => {
                let members = self.plan.set(set);
                for (column, out) in out.iter_mut().enumerate() {
                    let sum: f64 = members.iter().map(|&row| self.x[[row, column]].double()).sum();
                    *out = F::from_double(sum / members.len() as f64);
                }
            }
            Origin::Ball { centre, surface, draw } => self.ball(centre, surface, draw, out),
        }
        for &column in &self.plan.details.discrete {
            if let Some(out) = out.get_mut(column) {
                *out = F::from_double(out.double().round_ties_even());
            }
        }
    }

    fn copy(&self, row: usize, out: &mut [F]) {
        match self.x.index_axis(Axis(0), row).to_slice() {
            Some(row) => out.copy_from_slice(row),
            None => {
                let row = self.x.index_axis(Axis(0), row);
                out.iter_mut().zip(row).for_each(|(out, v)| *out = *v);
            }
        }
    }

    fn lerp(&self, a: usize, b: usize, t: f64, out: &mut [F]) {
        let (a, b) = (self.x.index_axis(Axis(0), a), self.x.index_axis(Axis(0), b));
        let at = |a: F, b: F| F::from_double(a.double() + t * (b.double() - a.double()));
        match (a.to_slice(), b.to_slice()) {
            (Some(a), Some(b)) => {
                out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (&a, &b))| *out = at(a, b));
            }
            _ => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (&a, &b))| *out = at(a, b)),
        }
    }

    /// Algorithm of Douzas and Bacao (2019), section 3: a point of the unit ball, put on the
    /// near side, squeezed towards the line through both rows, and moved.
    fn ball(&self, centre: usize, surface: usize, draw: u64, out: &mut [F]) {
        let (truncation, deformation) = self.plan.details.ball;
        let mut rng = rng(draw);
        let mut point: Vec<f64> = (0..out.len()).map(|_| rng.sample(StandardNormal)).collect();
        let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let radius: f64 = rng.random::<f64>().powf(1.0 / out.len() as f64);
        let norm = length(&point);
        let from = self.x.index_axis(Axis(0), centre);
        let to = self.x.index_axis(Axis(0), surface);
        let mut axis: Vec<f64> =
            from.iter().zip(to).map(|(a, b)| b.double() - a.double()).collect();
        let reach = length(&axis);
        if reach > 0.0 && norm > 0.0 {
            axis.iter_mut().for_each(|v| *v /= reach);
            point.iter_mut().for_each(|v| *v *= radius / norm);
            let mut along: f64 = point.iter().zip(&axis).map(|(p, a)| p * a).sum();
            if (truncation - along).abs() > 1.0 {
                point.iter_mut().zip(&axis).for_each(|(p, a)| *p -= 2.0 * along * a);
                along = -along;
            }
            for (p, a) in point.iter_mut().zip(&axis) {
                *p -= deformation * (*p - along * a);
            }
        }
        for ((out, &from), p) in out.iter_mut().zip(from).zip(point) {
            *out = F::from_double(from.double() + if reach > 0.0 { reach * p } else { 0.0 });
        }
    }
}
