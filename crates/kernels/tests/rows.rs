//! The fused passes against burn's own operations, value and gradient.

use burn::tensor::activation::{log_sigmoid, log_softmax as burn_log_softmax, softmax};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use counterweight_kernels::{
    BinaryFocal, Segments, binary_focal, cosines, gaussian_divergence, gaussian_draw,
    gumbel_softmax, log_prob, log_softmax, normalized, pairwise_cosines, segment_cross_entropy,
    soft_cross_entropy,
};
use proptest::prelude::*;

/// Reproducible numbers in `[-scale, scale]`.
fn numbers(rows: usize, columns: usize, scale: f64, seed: u64, device: &Device) -> Tensor<2> {
    let mut state = seed | 1;
    let values: Vec<f64> = (0..rows * columns)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 2.0 * scale
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), (device, DType::F64))
}

fn ids(rows: usize, columns: usize, seed: u64, device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i32> =
        (0..rows).map(|i| ((i as u64 * 31 + seed) % columns as u64) as i32).collect();
    Tensor::from_data(ids.as_slice(), device)
}

/// Values and the gradient of a weighted sum of them.
fn run<const D: usize>(x: &Tensor<2>, f: impl Fn(Tensor<2>) -> Tensor<D>) -> (Vec<f64>, Vec<f64>) {
    let x = x.clone().require_grad();
    let value = f(x.clone());
    let slope = Tensor::<D>::ones_like(&value) * 0.5 + value.clone().detach() * 0.1;
    let gradient = x.grad(&(value.clone() * slope).sum().backward()).unwrap();
    (value.try_into_vec_as().unwrap(), gradient.try_into_vec_as().unwrap())
}

fn near(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>), tolerance: f64) -> bool {
    let all = |a: &[f64], b: &[f64]| {
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0))
    };
    all(&a.0, &b.0) && all(&a.1, &b.1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn softmax_rows_are_burns(
        rows in 1..70usize, columns in 1..70usize, seed: u64, scale in 0.1..40.0f64,
        single: bool, transposed: bool,
    ) {
        let device = Device::flex().autodiff();
        let dtype = if single { DType::F32 } else { DType::F64 };
        let tolerance = if single { 2e-4 } else { 1e-11 };
        let x = if transposed {
            numbers(columns, rows, scale, seed, &device).transpose()
        } else {
            numbers(rows, columns, scale, seed, &device)
        };
        let x = x.cast(dtype);
        let constant = |s: u64| numbers(1, columns, 1.0, seed ^ s, &device).cast(dtype);
        let (shift, margin) = (constant(1), constant(2).abs());
        let y = ids(rows, columns, seed, &device);
        let classes = Tensor::<1, Int>::arange(0..columns as i64, &device)
            .unsqueeze_dim::<2>(0)
            .expand([rows, columns]);
        let hot: Tensor<2> =
            y.clone().unsqueeze_dim::<2>(1).expand([rows, columns]).equal(classes).float().cast(dtype);
        let ours = run(&x, |x| log_prob(x, y.clone(), shift.clone(), margin.clone(), 1.5));
        let burns = run(&x, |x| {
            let u = (x + shift.clone() - hot.clone() * margin.clone()) * 1.5;
            (burn_log_softmax(u, 1) * hot.clone()).sum_dim(1).squeeze_dim::<1>(1)
        });
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);

        let t = numbers(rows, columns, 1.0, seed ^ 3, &device).abs().cast(dtype);
        let ours = run(&x, |x| soft_cross_entropy(x, t.clone(), shift.clone(), 0.7));
        let burns = run(&x, |x| {
            let log_p = burn_log_softmax((x + shift.clone()) * 0.7, 1);
            (log_p * t.clone()).neg().sum_dim(1).squeeze_dim::<1>(1)
        });
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);

        let ours = run(&x, |x| log_softmax(x, shift.clone(), 0.7));
        let burns = run(&x, |x| burn_log_softmax((x + shift.clone()) * 0.7, 1));
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
    }

    #[test]
    fn sigmoid_rows_are_burns(
        rows in 1..70usize, columns in 1..40usize, seed: u64, scale in 0.1..15.0f64,
        single: bool, gamma in prop::sample::select(vec![0.0, 1.0, 2.0, 3.5]), margin in 0.0..0.4f64,
    ) {
        let device = Device::flex().autodiff();
        let dtype = if single { DType::F32 } else { DType::F64 };
        let tolerance = if single { 1e-4 } else { 1e-8 };
        let x = numbers(rows, columns, scale, seed, &device).cast(dtype);
        let t = numbers(rows, columns, 1.0, seed ^ 3, &device).abs().cast(dtype);
        let weights = |s: u64| numbers(1, columns, 1.0, seed ^ s, &device).abs().cast(dtype);
        let (wp, wn) = (weights(1), weights(2));
        for margin in [0.0, margin] {
            let terms = BinaryFocal { gamma_positive: gamma, gamma_negative: gamma, margin };
            let ours = run(&x, |x| binary_focal(x, t.clone(), wp.clone(), wn.clone(), terms));
            let burns = run(&x, |x| {
                let log_p = log_sigmoid(x.clone());
                let p = log_p.clone().exp();
                let q = log_sigmoid(x.clone().neg()).exp();
                let p_m = (p - margin).clamp_min(0.0);
                let log_q = if margin == 0.0 { log_sigmoid(x.neg()) } else { (p_m.clone().neg() + 1.0).log() };
                let focus = |x: Tensor<2>| {
                    if gamma == 0.0 { x.ones_like() } else { x.clamp_min(1e-20).powf_scalar(gamma) }
                };
                let positive = t.clone() * wp.clone() * focus(q) * log_p;
                let negative = (t.clone().neg() + 1.0) * wn.clone() * focus(p_m) * log_q;
                (positive + negative).neg().sum_dim(1).squeeze_dim::<1>(1)
            });
            prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
        }
    }

    #[test]
    fn cosines_are_burns(
        rows in 1..200usize, columns in 1..70usize, seed: u64, scale in 0.1..40.0f64, single: bool,
        transposed: bool,
    ) {
        let device = Device::flex().autodiff();
        let dtype = if single { DType::F32 } else { DType::F64 };
        // Gradients are as large as a row is short, and a sum over rows.
        let tolerance = (if single { 1e-4 } else { 1e-11 }) * (rows as f64 / scale).max(1.0);
        let exact = if transposed {
            numbers(columns, rows, scale, seed, &device).transpose()
        } else {
            numbers(rows, columns, scale, seed, &device)
        };
        let x = exact.clone().cast(dtype);
        let unit = |x: Tensor<2>| x.clone() / x.square().sum_dim(1).sqrt();
        let ours = run(&x, normalized);
        let burns = run(&exact, unit);
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
        let ours = run(&x, pairwise_cosines);
        let burns = run(&exact, |x| unit(x.clone()).matmul(unit(x).transpose()));
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
        let w = numbers(columns, 5, scale, seed ^ 7, &device);
        let ours = run(&w.clone().cast(dtype), |w| cosines(x.clone(), w));
        let burns = run(&w, |w| unit(exact.clone()).matmul(unit(w.transpose()).transpose()));
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
    }

    #[test]
    fn gaussians_are_burns(
        rows in 1..200usize, width in 1..70usize, seed: u64, scale in 0.1..20.0f64, single: bool,
    ) {
        let device = Device::flex().autodiff();
        let dtype = if single { DType::F32 } else { DType::F64 };
        let exact = numbers(rows, 2 * width, scale, seed, &device);
        let noise = numbers(rows, width, 1.0, seed ^ 5, &device);
        let x = exact.clone().cast(dtype);
        let half = |x: &Tensor<2>, at: usize| x.clone().narrow(1, at * width, width);
        // As large as the largest number that is summed.
        let top = exact.clone().narrow(1, width, width).max().into_scalar::<f64>().max(1.0).exp();
        let tolerance = if single { 2e-6 } else { 1e-12 } * top * width as f64;
        let ours = run(&x, |x| gaussian_draw(x, noise.clone().cast(dtype)));
        let burns = run(&exact, |x| half(&x, 0) + noise.clone() * (half(&x, 1) * 0.5).exp());
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
        let ours = run(&x, gaussian_divergence);
        let burns = run(&exact, |x| {
            let (mean, l) = (half(&x, 0), half(&x, 1));
            (mean.square() + l.clone().exp() - l - 1.0).sum_dim(1) * 0.5
        });
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
    }
}

/// What `number` makes of the numbers and `group` of each segment, side by side.
fn by_segment(
    x: Tensor<2>,
    first: usize,
    groups: &[(usize, usize)],
    number: impl Fn(Tensor<2>) -> Tensor<2>,
    segment: impl Fn(Tensor<2>, usize) -> Tensor<2>,
) -> Tensor<2> {
    let mut parts = Vec::new();
    if first > 0 {
        parts.push(number(x.clone().narrow(1, 0, first)));
    }
    let mut at = first;
    for &(width, count) in groups {
        for _ in 0..count {
            parts.push(segment(x.clone().narrow(1, at, width), at));
            at += width;
        }
    }
    Tensor::cat(parts, 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn segments_are_burns(
        rows in 1..200usize, first in 0..20usize,
        groups in prop::collection::vec((1..20usize, 1..5usize), 1..4),
        seed: u64, scale in 0.1..30.0f64, linear: bool, single: bool,
    ) {
        let device = Device::flex().autodiff();
        let dtype = if single { DType::F32 } else { DType::F64 };
        let segments = Segments::new(first, groups.iter().copied());
        let n = segments.columns();
        prop_assert_eq!(n, first + groups.iter().map(|(w, c)| w * c).sum::<usize>());
        let exact = numbers(rows, n, scale, seed, &device);
        let noise = numbers(rows, n, 1.0, seed ^ 5, &device);
        let x = exact.clone().cast(dtype);
        let tolerance = if single { 1e-5 } else { 1e-12 } * scale.max(1.0) * n as f64;
        let ours = run(&x, |x| {
            gumbel_softmax(x, noise.clone().cast(dtype), &segments, 0.2, linear)
        });
        let burns = run(&exact, |x| {
            let number = |x: Tensor<2>| if linear { x } else { x.tanh() };
            by_segment(x, first, &groups, number, |x, at| {
                let noise = noise.clone().narrow(1, at, x.dims()[1]);
                softmax((x + noise) / 0.2, 1)
            })
        });
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
        // Some rows of a segment do not count, and others are not of one class or of mass 1.
        let targets = numbers(rows, n, 1.0, seed ^ 9, &device).clamp_min(0.0);
        let ours = run(&x, |x| {
            segment_cross_entropy(x, targets.clone().cast(dtype), &segments).unsqueeze_dim::<2>(1)
        });
        let burns = run(&exact, |x| {
            let each = by_segment(x, first, &groups, |x| x * 0.0, |x, at| {
                let targets = targets.clone().narrow(1, at, x.dims()[1]);
                -burn_log_softmax(x, 1) * targets
            });
            each.sum_dim(1)
        });
        prop_assert!(near(&ours, &burns, tolerance), "{:?} {:?}", ours, burns);
    }
}

#[test]
fn segments_of_extreme_numbers_and_of_none() {
    let device = Device::flex().autodiff();
    let segments = Segments::new(1, [(2, 2)]);
    let x = Tensor::<2>::from_floats(
        [[1e4, 1e4, -1e4, 5.0, f32::NAN], [-1e4, 0.0, 0.0, -1e4, -1e4]],
        &device,
    );
    let none = x.zeros_like();
    let soft: Vec<f32> =
        gumbel_softmax(x.clone(), none.clone(), &segments, 1.0, false).try_into_vec_as().unwrap();
    assert_eq!(soft[..3], [1.0, 1.0, 0.0]);
    assert!(soft[3].is_nan() && soft[4].is_nan(), "{soft:?}");
    assert_eq!(soft[5..], [-1.0, 0.5, 0.5, 0.5, 0.5]);
    let targets =
        Tensor::<2>::from_floats([[9.0, 0.0, 1.0, 0.0, 0.0], [9.0, 1.0, 0.0, 0.0, 0.0]], &device);
    let cost: Vec<f32> =
        segment_cross_entropy(x.clone(), targets, &segments).try_into_vec_as().unwrap();
    assert_eq!(cost, [2e4, 2f32.ln()], "a segment without targets does not count");
    // No segments, and no numbers.
    let all: Vec<f32> =
        gumbel_softmax(x.clone(), none, &Segments::new(5, [(3, 0), (0, 3)]), 1.0, true)
            .try_into_vec_as()
            .unwrap();
    assert_eq!(all[..4], [1e4, 1e4, -1e4, 5.0]);
    let empty = Tensor::<2>::zeros([0, 5], &device);
    assert_eq!(gumbel_softmax(empty.clone(), empty.clone(), &segments, 1.0, false).dims(), [0, 5]);
    assert_eq!(segment_cross_entropy(empty.clone(), empty, &segments).dims(), [0]);
}

#[test]
fn a_gaussian_of_nan_is_nan() {
    let device = Device::flex();
    let x = Tensor::<2>::from_floats([[0.0, f32::NAN], [1.0, 0.0]], &device);
    let noise = Tensor::<2>::from_floats([[1.0], [1.0]], &device);
    let drawn: Vec<f32> = gaussian_draw(x.clone(), noise).try_into_vec_as().unwrap();
    assert!(drawn[0].is_nan() && drawn[1] == 2.0, "{drawn:?}");
    let far: Vec<f32> = gaussian_divergence(x).try_into_vec_as().unwrap();
    assert!(far[0].is_nan() && far[1] == 0.5, "{far:?}");
}

#[test]
fn rows_of_any_length_become_units_with_finite_gradients() {
    let device = Device::flex().autodiff();
    for (x, unit) in [
        ([0.0, 0.0], [0.0, 0.0]),
        ([3e38, 0.0], [1.0, 0.0]),
        ([3e38, -3e38], [0.5f32.sqrt(), -0.5f32.sqrt()]),
        ([3e-30, 4e-30], [0.6, 0.8]),
        ([3e-36, 4e-36], [0.6, 0.8]),
        ([1e-4, 1e4], [1e-8, 1.0]),
    ] {
        let row = Tensor::<2>::from_floats([x], &device).require_grad();
        let e = normalized(row.clone());
        let got: Vec<f32> = e.clone().try_into_vec_as().unwrap();
        let short = x.iter().all(|x: &f32| x.abs() < 1e-30);
        // A row too short to have a direction may lose it, but never becomes longer than one.
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6 || (short && a.abs() <= 1.0);
        assert!(got.iter().zip(&unit).all(near), "{x:?}: {got:?}");
        let slope = Tensor::from_floats([[1.0, 2.0]], &device);
        let gradient = row.grad(&(e * slope).sum().backward()).unwrap();
        let gradient: Vec<f32> = gradient.try_into_vec_as().unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{x:?}: {gradient:?}");
        assert!(!short || gradient == [0.0, 0.0], "{x:?}: {gradient:?}");
    }
    let nan = normalized(Tensor::<2>::from_floats([[f32::NAN, 1.0], [0.0, 2.0]], &device));
    let nan: Vec<f32> = nan.try_into_vec_as().unwrap();
    assert!(nan[..2].iter().all(|x| x.is_nan()) && nan[2..] == [0.0, 1.0], "{nan:?}");
    let half = normalized(Tensor::<2>::from_floats([[3.0, 4.0]], &device).cast(DType::F16));
    assert_eq!(half.dtype(), DType::F16);
}

#[test]
fn many_rows_are_cut_into_tasks_without_a_seam() {
    // More rows and columns than one task and one thread take, and a remainder.
    let device = Device::flex().autodiff();
    for (rows, columns) in [(140_003, 1), (3, 140_003), (517, 1029)] {
        let x = numbers(rows, columns, 5.0, 7, &device);
        let y = ids(rows, columns, 5, &device);
        let none = Tensor::zeros([1, columns], (&device, DType::F64));
        let ours = run(&x, |x| log_prob(x, y.clone(), none.clone(), none.clone(), 1.0));
        let burns = run(&x, |x| {
            burn_log_softmax(x, 1).gather(1, y.clone().unsqueeze_dim(1)).squeeze_dim::<1>(1)
        });
        assert!(near(&ours, &burns, 1e-10), "{rows} × {columns}");
        let ones = Tensor::ones([1, columns], (&device, DType::F64));
        let t = numbers(rows, columns, 1.0, 9, &device).abs();
        let terms = BinaryFocal::PLAIN;
        let ours = run(&x, |x| binary_focal(x, t.clone(), ones.clone(), ones.clone(), terms));
        let burns = run(&x, |x| {
            let positive = t.clone() * log_sigmoid(x.clone());
            let negative = (t.clone().neg() + 1.0) * log_sigmoid(x.neg());
            (positive + negative).neg().sum_dim(1).squeeze_dim::<1>(1)
        });
        assert!(near(&ours, &burns, 1e-10), "{rows} × {columns}");
    }
}

#[test]
#[should_panic(expected = "class id 3 is not below 3")]
fn a_class_id_outside_is_named() {
    let device = Device::flex();
    let x = Tensor::<2>::zeros([1, 3], &device);
    let none = Tensor::zeros([1, 3], &device);
    let _ = log_prob(x, Tensor::from_ints([3], &device), none.clone(), none, 1.0);
}
