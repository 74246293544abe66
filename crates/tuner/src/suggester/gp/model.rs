//! A Gaussian process given its hyperparameters.

use std::sync::Arc;

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::linalg::solvers::Llt;
use faer::{Accum, Mat, MatRef, Par, Side};
use rand::Rng;

use super::super::layout::Kind;
use super::super::normal;
use super::fit::Theta;

/// The posterior over the unit cube, with values of running trials imagined.
pub(super) struct Model {
    kinds: Vec<Kind>,
    pub(super) theta: Theta,
    /// Coordinates of all points, one coordinate after the other.
    columns: Vec<Vec<f64>>,
    n: usize,
    /// The inverse of the Cholesky factor.
    inverse: Mat<f64>,
    /// The same, column by column: column `j` from row `j` on.
    factor: Vec<f64>,
    /// `K⁻¹ y`, one for each imagined outcome of the running trials.
    alphas: Vec<Vec<f64>>,
}

/// Memory that predictions share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    k: Vec<f64>,
    slopes: Vec<f64>,
    whitened: Vec<f64>,
    solved: Vec<f64>,
    pub(super) outlook: Outlook,
    /// Gradient of each mean, one after the other, where asked for.
    pub(super) mean_gradients: Vec<f64>,
    pub(super) variance_gradient: Vec<f64>,
}

/// The posterior of the noise-free function at a point.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// The mean for each imagined outcome.
    pub(super) means: Vec<f64>,
    pub(super) variance: f64,
}

/// Points whose variances are computed together: the factor does not fit the nearest caches, so
/// each part of it that is read serves them all.
const TOGETHER: usize = 64;

impl Model {
    /// Conditions on values at points. `None` when the kernel matrix is not positive
    /// definite, which the noise all but rules out.
    pub(super) fn new(
        points: &[Arc<[f64]>],
        values: &[f64],
        kinds: &[Kind],
        theta: Theta,
    ) -> Option<Self> {
        let n = points.len();
        let columns: Vec<Vec<f64>> =
            (0..kinds.len()).map(|k| points.iter().map(|p| p[k]).collect()).collect();
        let mut model = Self {
            kinds: kinds.to_vec(),
            theta,
            columns,
            n,
            inverse: Mat::zeros(n, n),
            factor: Vec::new(),
            alphas: Vec::new(),
        };
        let mut r2 = vec![0.0; n];
        let mut rows = vec![0.0; n * n];
        for (i, point) in points.iter().enumerate() {
            model.distances(point, &mut r2);
            for j in 0..=i {
                rows[i * n + j] = model.theta.signal * model.theta.kernel.at(r2[j]).0;
            }
            rows[i * n + i] += model.theta.noise;
        }
        let matrix = Mat::from_fn(n, n, |i, j| if i >= j { rows[i * n + j] } else { 0.0 });
        let llt = Llt::new(matrix.as_ref(), Side::Lower).ok()?;
        faer::linalg::triangular_inverse::invert_lower_triangular(
            model.inverse.as_mut(),
            llt.L(),
            Par::Seq,
        );
        model.factor = Vec::with_capacity(n * (n + 1) / 2);
        for j in 0..n {
            model.factor.extend((j..n).map(|i| model.inverse[(i, j)]));
        }
        model.alphas = vec![model.solve(values)];
        Some(model)
    }

    /// `K⁻¹ v`.
    fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut whitened = vec![0.0; self.n];
        multiply(&self.factor, v, &mut whitened);
        let mut solved = vec![0.0; self.n];
        multiply_transposed(&self.factor, &whitened, &mut solved);
        solved
    }

    /// Conditions also on running trials, whose values are drawn `draws` times from the
    /// posterior together (Snoek et al. 2012). Values of all points are needed again.
    pub(super) fn with_running(
        self,
        points: &[Arc<[f64]>],
        values: &[f64],
        running: &[Arc<[f64]>],
        draws: usize,
        rng: &mut impl Rng,
    ) -> Option<(Self, Vec<Vec<f64>>)> {
        let mut all = points.to_vec();
        let mut outcomes = vec![values.to_vec(); draws];
        let mut model = self;
        // One running trial after the other, each given those before it.
        let mut scratch = Scratch::default();
        for point in running {
            let mut drawn = Vec::with_capacity(draws);
            model.predict(point, false, &mut scratch);
            let spread = scratch.outlook.variance.sqrt();
            for d in 0..draws {
                let means = &scratch.outlook.means;
                let mean = means[d.min(means.len() - 1)];
                drawn.push(mean + spread * normal(rng));
            }
            all.push(point.clone());
            for (outcome, drawn) in outcomes.iter_mut().zip(drawn) {
                outcome.push(drawn);
            }
            let kinds = model.kinds.clone();
            model = Self::new(&all, &outcomes[0], &kinds, model.theta)?;
            model.alphas = outcomes.iter().map(|o| model.solve(o)).collect();
        }
        Some((model, outcomes))
    }

    /// Squared scaled distances of a point to all, without a branch inside.
    fn distances(&self, point: &[f64], r2: &mut [f64]) {
        r2.fill(0.0);
        for (k, column) in self.columns.iter().enumerate() {
            let (weight, x) = (self.theta.inverse_squares[k], point[k]);
            let pairs = r2.iter_mut().zip(column);
            match self.kinds[k] {
                _ if x.is_nan() => {
                    pairs.for_each(|(r2, c)| *r2 += if c.is_nan() { 0.0 } else { weight });
                }
                Kind::Category => {
                    pairs.for_each(|(r2, c)| *r2 += if *c == x { 0.0 } else { weight });
                }
                Kind::Number => pairs.for_each(|(r2, c)| {
                    let square = (x - c) * (x - c);
                    *r2 += weight * if c.is_nan() { 1.0 } else { square };
                }),
            }
        }
    }

    /// What is left of the prior's variance.
    fn left(&self, explained: f64) -> f64 {
        let signal = self.theta.signal;
        (signal - explained).max(1e-12 * signal)
    }

    /// The means alone at a point, which cost a fraction of the variance; into the scratch.
    pub(super) fn predict_means(&self, point: &[f64], s: &mut Scratch) {
        for buffer in [&mut s.k, &mut s.slopes] {
            buffer.resize(self.n, 0.0);
        }
        self.distances(point, &mut s.k);
        let signal = self.theta.signal;
        for (k, slope) in s.k.iter_mut().zip(&mut s.slopes) {
            let (value, derivative) = self.theta.kernel.at(*k);
            (*k, *slope) = (signal * value, signal * derivative);
        }
        s.outlook.means.clear();
        s.outlook.means.extend(self.alphas.iter().map(|alpha| dot(alpha, &s.k)));
    }

    /// Means and variance at each of many points.
    pub(super) fn predict_many(&self, points: &[Vec<f64>], s: &mut Scratch) -> Vec<Outlook> {
        let mut outlooks = Vec::with_capacity(points.len());
        for points in points.chunks(TOGETHER) {
            let mut kernels = Vec::with_capacity(self.n * points.len());
            for point in points {
                self.predict_means(point, s);
                kernels.extend_from_slice(&s.k);
                let means = std::mem::take(&mut s.outlook.means);
                outlooks.push(Outlook { means, variance: 0.0 });
            }
            let mut whitened = Mat::<f64>::zeros(self.n, points.len());
            matmul(
                whitened.as_mut(),
                BlockStructure::Rectangular,
                Accum::Replace,
                self.inverse.as_ref(),
                BlockStructure::TriangularLower,
                MatRef::from_column_major_slice(&kernels, self.n, points.len()),
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
            let first = outlooks.len() - points.len();
            for (outlook, column) in outlooks[first..].iter_mut().zip(whitened.col_iter()) {
                outlook.variance = self.left(column.squared_norm_l2());
            }
        }
        outlooks
    }

    /// Means and variance of the noise-free function at a point, and their gradients over
    /// the coordinates that are numbers (0 for the others); into the scratch.
    pub(super) fn predict(&self, point: &[f64], gradient: bool, s: &mut Scratch) {
        let n = self.n;
        self.predict_means(point, s);
        s.whitened.resize(n, 0.0);
        multiply(&self.factor, &s.k, &mut s.whitened);
        s.outlook.variance = self.left(dot(&s.whitened, &s.whitened));
        if !gradient {
            return;
        }
        let dims = self.columns.len();
        s.solved.resize(n, 0.0);
        multiply_transposed(&self.factor, &s.whitened, &mut s.solved);
        s.mean_gradients.clear();
        s.mean_gradients.resize(dims * self.alphas.len(), 0.0);
        s.variance_gradient.clear();
        s.variance_gradient.resize(dims, 0.0);
        for (k, column) in self.columns.iter().enumerate() {
            if self.kinds[k] == Kind::Category || point[k].is_nan() {
                continue;
            }
            let weight = self.theta.inverse_squares[k];
            // d r² / d x, once per pair.
            for ((pull, slope), c) in s.k.iter_mut().zip(&s.slopes).zip(column) {
                let away = if c.is_nan() { 0.0 } else { point[k] - c };
                *pull = 2.0 * weight * away * slope;
            }
            s.variance_gradient[k] = -2.0 * dot(&s.solved, &s.k);
            for (draw, alpha) in self.alphas.iter().enumerate() {
                s.mean_gradients[draw * dims + k] = dot(alpha, &s.k);
            }
        }
    }

    pub(super) fn dims(&self) -> usize {
        self.columns.len()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    struct Dot<'a>(&'a [f64], &'a [f64]);
    impl pulp::WithSimd for Dot<'_> {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> f64 {
            let (a, a_rest) = S::as_simd_f64s(self.0);
            let (b, b_rest) = S::as_simd_f64s(self.1);
            let mut sums = [simd.splat_f64s(0.0); 4];
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                sums[i % 4] = simd.mul_add_e_f64s(*a, *b, sums[i % 4]);
            }
            let sum =
                simd.add_f64s(simd.add_f64s(sums[0], sums[1]), simd.add_f64s(sums[2], sums[3]));
            let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
            simd.reduce_sum_f64s(sum) + rest
        }
    }
    let n = a.len().min(b.len());
    pulp::Arch::new().dispatch(Dot(&a[..n], &b[..n]))
}

/// `W v` for a packed lower triangle.
fn multiply(factor: &[f64], v: &[f64], out: &mut [f64]) {
    struct Multiply<'a>(&'a [f64], &'a [f64], &'a mut [f64]);
    impl pulp::WithSimd for Multiply<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _simd: S) {
            let Self(factor, v, out) = self;
            let n = v.len();
            out.fill(0.0);
            let mut at = 0;
            for j in 0..n {
                let column = &factor[at..at + n - j];
                let x = v[j];
                for (o, w) in out[j..].iter_mut().zip(column) {
                    *o += x * w;
                }
                at += n - j;
            }
        }
    }
    pulp::Arch::new().dispatch(Multiply(factor, v, out));
}

/// `W' v` for a packed lower triangle.
fn multiply_transposed(factor: &[f64], v: &[f64], out: &mut [f64]) {
    let n = v.len();
    let mut at = 0;
    for j in 0..n {
        out[j] = dot(&factor[at..at + n - j], &v[j..]);
        at += n - j;
    }
}
