//! Every loss on random shapes, extreme values and all reductions.

mod common;

use burn::tensor::{DType, Device, Tensor};
use common::{Case, Rows, case, configs, has_fixed_parts, has_kinks, input};
use counterweight_losses::testing::{check_gradient, check_gradient_f32};
use counterweight_losses::{
    AlphaBceConfig, AucMarginConfig, BatchInfo, ClassWeights, CrossEntropyConfig, DeferredConfig,
    EqualizationV2Config, FocalConfig, IgnoreIndexConfig, Input, LogitAdjustedConfig, Loss,
    LossConfig, PairwiseAucConfig, Reduction, SigmoidFocalConfig, SoapConfig, Targets,
};
use proptest::prelude::*;

const ALL: [Reduction; 4] =
    [Reduction::Mean, Reduction::Sum, Reduction::WeightedMean, Reduction::None];

fn values(tensor: Tensor<1>) -> Vec<f64> {
    tensor.try_into_vec_as().unwrap()
}

/// Value under a reduction and gradient of its sum.
fn run(case: &Case, dtype: DType, reduction: Reduction) -> (Vec<f64>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let mut loss = case.config.init(&case.profile(), &device).unwrap();
    loss.set_epoch(1);
    let x = case.logits(&device, dtype).require_grad();
    let value = loss.forward(x.clone(), &case.targets(&device), reduction);
    let gradient = x.grad(&value.clone().sum().backward());
    (values(value), gradient.map_or_else(Vec::new, |g| g.try_into_vec_as().unwrap()))
}

fn any_config() -> impl Strategy<Value = LossConfig> {
    let all = configs();
    (0..all.len()).prop_map(move |i| all[i].clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn gradients_agree_with_differences(
        config in any_config(), batch in 1..5usize, columns in 1..6usize, soft: bool, seed: u64,
    ) {
        let case = case(&config, batch, columns, 4.0, soft, seed);
        let device = Device::flex();
        let loss = case.config.init(&case.profile(), &device).unwrap();
        let rows: Vec<Vec<f64>> = case.x.chunks(case.shape[1]).map(<[f64]>::to_vec).collect();
        let single = check_gradient_f32(loss.as_ref(), &rows, &device, |d| case.targets(d));
        prop_assert!(single.worst < 1e-3, "f32 {:?}: {:?}", case, single);
        if !has_fixed_parts(&config) {
            let check = |rows: &[Vec<f64>]| {
                check_gradient(loss.as_ref(), rows, &device, |d| case.targets(d))
            };
            let mut report = check(&rows);
            if report.worst >= 1e-6 && has_kinks(&config) {
                // The point may lie on a kink; its neighbours then do not.
                let aside = |(i, x): (usize, &f64)| x + 0.01 * (i as f64 + 1.0).sqrt();
                let row = |row: &Vec<f64>| row.iter().enumerate().map(aside).collect();
                report = check(&rows.iter().map(row).collect::<Vec<_>>());
            }
            prop_assert!(report.worst < 1e-6, "{:?}: {:?}", case, report);
        }
    }

    #[test]
    fn extreme_logits_stay_finite_under_every_reduction(
        config in any_config(), batch in 1..12usize, columns in 1..40usize, soft: bool,
        double: bool, extreme: bool, seed: u64,
    ) {
        let mut case = case(&config, batch, columns, 1e4, soft, seed);
        if extreme && input(&config) != Input::Cosines {
            case.x.iter_mut().for_each(|x| *x = 1e4f64.copysign(*x));
        }
        let dtype = if double { DType::F64 } else { DType::F32 };
        for reduction in ALL {
            let (value, gradient) = run(&case, dtype, reduction);
            prop_assert!(value.iter().all(|v| v.is_finite()), "{:?}: {:?}", case, value);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "{:?}: {:?}", case, gradient);
        }
    }

    #[test]
    fn equal_logits_and_one_class_batches_are_defined(
        config in any_config(), batch in 1..6usize, columns in 1..6usize, seed: u64, level in -3.0..3.0f64,
    ) {
        let mut case = case(&config, batch, columns, 1.0, false, seed);
        let level = if input(&config) == Input::Cosines { level / 4.0 } else { level };
        case.x.fill(level);
        if let Rows::Ids(ids) = &mut case.targets {
            ids.fill(0);
        }
        let (value, gradient) = run(&case, DType::F32, Reduction::Mean);
        prop_assert!(value.iter().chain(&gradient).all(|v| v.is_finite()), "{:?}", case);
    }

    #[test]
    fn one_hot_rows_are_class_ids(
        config in any_config(), batch in 1..6usize, columns in 2..7usize, seed: u64,
    ) {
        let case = case(&config, batch, columns, 3.0, false, seed);
        // Elsewhere soft targets mean something else: relevances, Q, values.
        let same = matches!(input(&config), Input::Logits | Input::Binary | Input::Cosines);
        prop_assume!(same);
        let Rows::Ids(ids) = &case.targets else { return Ok(()) };
        let mut dense = vec![0.0; case.x.len()];
        for (row, &id) in ids.iter().enumerate() {
            dense[row * case.shape[1] + id] = 1.0;
        }
        let hot = Case { targets: Rows::Soft(dense), ..case.clone() };
        let (by_id, g) = run(&case, DType::F64, Reduction::None);
        let (by_row, h) = run(&hot, DType::F64, Reduction::None);
        for (a, b) in by_id.iter().chain(&g).zip(by_row.iter().chain(&h)) {
            prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{:?}: {} {}", case, a, b);
        }
    }

    #[test]
    fn permuting_classes_with_their_counts_changes_nothing(
        config in any_config(), batch in 1..6usize, columns in 2..7usize, seed: u64, by in 1..6usize,
    ) {
        let case = case(&config, batch, columns, 3.0, false, seed);
        let classwise = matches!(input(&config), Input::Logits | Input::Binary | Input::Cosines)
            && case.shape[1] == case.counts.len();
        prop_assume!(classwise);
        let n = case.shape[1];
        let to = |c: usize| (c + by) % n;
        let mut moved = case.clone();
        for c in 0..n {
            moved.counts[to(c)] = case.counts[c];
            for row in 0..case.shape[0] {
                moved.x[row * n + to(c)] = case.x[row * n + c];
            }
        }
        if let (Rows::Ids(to_ids), Rows::Ids(ids)) = (&mut moved.targets, &case.targets) {
            *to_ids = ids.iter().map(|&id| to(id)).collect();
        }
        // Lovász breaks ties of its sort by position, its gradient too.
        let (a, _) = run(&case, DType::F64, Reduction::None);
        let (b, _) = run(&moved, DType::F64, Reduction::None);
        for (a, b) in a.iter().zip(&b) {
            prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{:?}: {} {}", case, a, b);
        }
    }

    #[test]
    fn reductions_are_those_of_the_examples(
        config in any_config(), batch in 1..64usize, columns in 1..20usize, soft: bool, seed: u64,
    ) {
        let case = case(&config, batch, columns, 3.0, soft, seed);
        let of = |reduction| run(&case, DType::F64, reduction).0;
        let each = of(Reduction::None);
        prop_assert_eq!(each.len(), batch);
        let sum: f64 = each.iter().sum();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1.0);
        prop_assert!(near(of(Reduction::Sum)[0], sum));
        prop_assert!(near(of(Reduction::Mean)[0], sum / batch as f64), "{:?}", case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn wide_shapes_agree_with_narrow_arithmetic(
        batch in 1..64usize, columns in 1..1000usize, seed: u64, soft: bool, config in any_config(),
    ) {
        // f32 against f64; losses over pairs of rows or of columns are for narrow shapes.
        use counterweight_losses::LossKind::{
            AucMargin, GhmC, InfluenceBalanced, LovaszHinge, PairwiseAuc, PartialAuc, Soap,
        };
        let kind = config.kind();
        let wide = matches!(input(&config), Input::Logits | Input::Binary | Input::Cosines);
        prop_assume!(wide && !matches!(kind, AucMargin | PairwiseAuc | PartialAuc | Soap));
        // Its weights multiply the rounding of a cost near zero by up to α / ε = 10⁶.
        let scale = if kind == InfluenceBalanced { 2.0 } else { 8.0 };
        let mut case = case(&config, batch, columns, scale, soft && kind != GhmC, seed);
        if kind == GhmC {
            // A weight jumps where |σ − t| crosses one of its ten bins: stay off the edges.
            for x in &mut case.x {
                let near = |x: f64| (10.0 / (1.0 + (-x).exp()) + 1e-4).fract() < 2e-4;
                while near(*x) {
                    *x += 1e-3;
                }
            }
        }
        let (single, g) = run(&case, DType::F32, Reduction::None);
        let (double, h) = run(&case, DType::F64, Reduction::None);
        let near = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * b.abs().max(1.0))
        };
        prop_assert!(near(&single, &double), "{:?}: {:?} {:?}", config, single, double);
        // The slope of Lovász' hinge jumps where two errors tie, as they may in f32 alone.
        let smooth = kind != LovaszHinge;
        prop_assert!(!smooth || near(&g, &h), "{:?}: {:?} {:?}", config, g, h);
    }
}

#[test]
fn an_empty_batch_costs_nothing() {
    for config in configs() {
        let case = case(&config, 0, 3, 1.0, false, 1);
        assert!(run(&case, DType::F32, Reduction::None).0.is_empty(), "{config:?}");
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::WeightedMean] {
            let device = Device::flex();
            let loss = config.init(&case.profile(), &device).unwrap();
            let value =
                loss.forward(case.logits(&device, DType::F32), &case.targets(&device), reduction);
            assert_eq!(values(value), [0.0], "{config:?} {reduction:?}");
        }
    }
}

#[test]
fn every_configuration_survives_toml_and_json() {
    for config in configs() {
        let toml = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<LossConfig>(&toml).unwrap(), config, "{toml}");
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<LossConfig>(&json).unwrap(), config, "{json}");
        let bare = format!("kind = \"{}\"", config.kind());
        assert_eq!(toml::from_str::<LossConfig>(&bare).unwrap(), config.kind().config());
    }
}

fn profile(counts: &[u64]) -> counterweight_core::ClassProfile {
    counterweight_core::ClassProfile::from_counts(counts.iter().copied()).unwrap()
}

/// Value and gradient of a single logit.
fn at(config: impl Into<LossConfig>, z: f64, y: usize) -> (f64, f64) {
    let case = Case {
        config: config.into(),
        counts: vec![3, 1],
        x: vec![z],
        shape: [1, 1],
        targets: Rows::Ids(vec![y]),
    };
    let (value, gradient) = run(&case, DType::F32, Reduction::Sum);
    (value[0], gradient[0])
}

#[test]
fn binary_losses_at_the_extremes() {
    let focal = |gamma| SigmoidFocalConfig::new().with_gamma(gamma).without_alpha();
    assert_eq!(at(focal(0.0), 1000.0, 1), (0.0, 0.0));
    let (value, gradient) = at(focal(0.0), 18.0, 1);
    assert!((value - 1.522_997_9e-8).abs() < 1e-13 && (gradient + 1.522_997_9e-8).abs() < 1e-13);
    for z in [-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4] {
        for y in [0, 1] {
            let bce = counterweight_losses::BceConfig::new();
            assert_eq!(at(focal(0.0), z, y), at(bce, z, y));
            let (value, gradient) = at(focal(0.5), z, y);
            assert!(value.is_finite() && gradient.is_finite());
        }
    }
    let asymmetric = counterweight_losses::AsymmetricConfig::new();
    assert_eq!(at(asymmetric.clone(), -100.0, 0), (0.0, 0.0));
    // The margin shifts negatives only.
    let plain = asymmetric.clone().with_margin(0.0);
    assert_eq!(at(asymmetric.clone(), 0.7, 1), at(plain.clone(), 0.7, 1));
    assert!(at(asymmetric, 0.7, 0).0 < at(plain, 0.7, 0).0);
}

#[test]
fn focal_stays_finite_where_the_target_is_certain() {
    for gamma in [0.1, 0.5, 1.0] {
        let case = Case {
            config: FocalConfig::new().with_gamma(gamma).into(),
            counts: vec![3, 1],
            x: vec![1e4, -1e4],
            shape: [1, 2],
            targets: Rows::Ids(vec![0]),
        };
        let (value, gradient) = run(&case, DType::F32, Reduction::Sum);
        assert_eq!(value, [0.0]);
        assert!(gradient.iter().all(|g| g.is_finite()));
    }
}

#[test]
fn weights_never_enter_the_probability() {
    let weighted = FocalConfig::new().with_alpha(ClassWeights::Explicit(vec![3.0, 0.25]));
    for id in [0, 1] {
        let case = |config: FocalConfig| Case {
            config: config.into(),
            counts: vec![3, 1],
            x: vec![0.4, -0.8],
            shape: [1, 2],
            targets: Rows::Ids(vec![id]),
        };
        let (w, _) = run(&case(weighted.clone()), DType::F64, Reduction::Sum);
        let (plain, _) = run(&case(FocalConfig::new()), DType::F64, Reduction::Sum);
        assert!((w[0] - [3.0, 0.25][id] * plain[0]).abs() < 1e-12);
    }
}

#[test]
fn a_class_without_examples_leaves_the_others_alone() {
    let grad = |counts: &[u64], x: &[f64]| {
        let case = Case {
            config: LogitAdjustedConfig::new().into(),
            counts: counts.to_vec(),
            x: x.to_vec(),
            shape: [1, x.len()],
            targets: Rows::Ids(vec![0]),
        };
        run(&case, DType::F64, Reduction::Sum)
    };
    let (with, g) = grad(&[90, 10, 0], &[0.3, -0.2, 8.0]);
    let (without, h) = grad(&[90, 10], &[0.3, -0.2]);
    assert!((with[0] - without[0]).abs() < 1e-12);
    assert!((g[0] - h[0]).abs() < 1e-12 && (g[1] - h[1]).abs() < 1e-12 && g[2] == 0.0);
}

#[test]
fn a_batch_of_one_class_costs_pairs_nothing_and_is_counted() {
    let device = Device::flex().autodiff();
    let loss = PairwiseAucConfig::new().init(&profile(&[3, 1]), &device).unwrap();
    for (ids, skipped) in [([1, 1, 1], 1), ([0, 0, 0], 2), ([0, 1, 0], 2)] {
        let x = Tensor::<2>::from_floats([[1e4], [-1.0], [-2.0]], &device).require_grad();
        let value = loss.forward(x.clone(), &Targets::from_ids(&ids, &device), Reduction::Mean);
        let gradient: Vec<f64> =
            x.grad(&value.clone().backward()).unwrap().try_into_vec_as().unwrap();
        let one_class = ids.iter().all(|id| id == &ids[0]);
        assert_eq!(value.into_scalar::<f64>() == 0.0, one_class);
        assert_eq!(gradient.iter().all(|g| *g == 0.0), one_class);
        assert_eq!(loss.single_class().count(), skipped);
    }
}

#[test]
fn alpha_bce_has_the_documented_gradient() {
    let alpha = 0.7;
    let device = Device::flex().autodiff();
    let loss = AlphaBceConfig::new().with_alpha(alpha).init(&profile(&[3, 1]), &device).unwrap();
    let (z, y) = ([-2.0, 0.3, 4.0], [1.0, 0.0, 0.25]);
    let row = |v: &[f64; 3]| common::matrix(v, [1, 3], &device, DType::F64);
    let x = row(&z).require_grad();
    let value = loss.forward(x.clone(), &Targets::Soft(row(&y)), Reduction::Sum);
    let p = z.map(|z: f64| 1.0 / (1.0 + (-z).exp()));
    let expected: f64 = (0..3)
        .map(|i| -alpha * y[i] * p[i].ln() - (1.0 - alpha) * (1.0 - y[i]) * (1.0 - p[i]).ln())
        .sum();
    assert!((value.clone().into_scalar::<f64>() - expected).abs() < 1e-6);
    let gradient: Vec<f64> = x.grad(&value.backward()).unwrap().try_into_vec_as().unwrap();
    let at_p = row(&p).require_grad();
    let on_p = loss.on_probabilities(at_p.clone(), row(&y));
    assert!((on_p.clone().into_scalar::<f64>() - expected).abs() < 1e-9);
    let slope: Vec<f64> = at_p.grad(&on_p.backward()).unwrap().try_into_vec_as().unwrap();
    for i in 0..3 {
        let g = -alpha * y[i] * (1.0 - p[i]) + (1.0 - alpha) * (1.0 - y[i]) * p[i];
        assert!((gradient[i] - g).abs() < 1e-6);
        let g = -alpha * y[i] / p[i] + (1.0 - alpha) * (1.0 - y[i]) / (1.0 - p[i]);
        assert!((slope[i] - g).abs() < 1e-9);
    }
}

#[test]
fn schedules_switch_at_their_epochs() {
    let device = Device::flex();
    let profile = profile(&[90, 10]);
    let plain = CrossEntropyConfig::new();
    let weighted = plain.clone().with_weights(ClassWeights::Balanced);
    let x = common::matrix(&[1.0, -1.0], [1, 2], &device, DType::F64);
    let t = Targets::from_ids(&[1], &device);
    let value = |loss: &dyn Loss| loss.forward(x.clone(), &t, Reduction::Sum).into_scalar::<f64>();
    let first = value(&plain.init(&profile, &device).unwrap());
    let then = value(&weighted.init(&profile, &device).unwrap());
    let mut deferred =
        DeferredConfig::new(plain.clone(), weighted.clone(), 3).init(&profile, &device).unwrap();
    let mut annealed = counterweight_losses::AnnealedConfig::new(plain, weighted, 2, 4)
        .init(&profile, &device)
        .unwrap();
    for (epoch, d, share) in [(0, first, 0.0), (2, first, 0.0), (3, then, 0.5), (4, then, 1.0)] {
        deferred.set_epoch(epoch);
        annealed.set_epoch(epoch);
        assert_eq!(value(&deferred), d);
        assert!((value(&annealed) - (first + share * (then - first))).abs() < 1e-12);
    }
}

#[test]
fn an_ignored_row_leaves_the_mean() {
    let device = Device::flex();
    let loss =
        IgnoreIndexConfig::new(CrossEntropyConfig::new()).init(&profile(&[9, 1]), &device).unwrap();
    let x = common::matrix(&[1.0, 0.0, 0.5, 2.0], [2, 2], &device, DType::F64);
    let mean = |ids: [i32; 2]| {
        let targets = Targets::Ids(Tensor::from_ints(ids, &device));
        loss.forward(x.clone(), &targets, Reduction::Mean).into_scalar::<f64>()
    };
    assert!((mean([0, -100]) - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
    assert_eq!(mean([-100, -100]), 0.0);
}

/// A few steps, a saved state put into a new loss, and the same value after it.
fn resumes(config: impl Into<LossConfig>) -> (f64, f64) {
    let config = config.into();
    let device = Device::flex();
    let counts = profile(&[6, 2]);
    let x = common::matrix(&[0.4, -1.0, 2.0, 0.1], [4, 1], &device, DType::F32);
    let t = Targets::from_ids(&[1, 0, 0, 1], &device);
    let rows = [4, 0, 2, 7];
    let mut loss = config.init(&counts, &device).unwrap();
    let value = |loss: &mut Box<dyn Loss>| {
        loss.begin_batch(&BatchInfo { rows: Some(&rows), ..BatchInfo::default() });
        loss.forward(x.clone(), &t, Reduction::Mean).into_scalar::<f64>()
    };
    let fresh = value(&mut loss);
    for _ in 0..3 {
        value(&mut loss);
        loss.end_batch(x.clone(), &t);
    }
    let mut again = config.init(&counts, &device).unwrap();
    again.set_state(&loss.state());
    let after = value(&mut loss);
    assert_eq!(value(&mut again), after, "{config:?}");
    (fresh, after)
}

#[test]
fn losses_with_a_state_resume() {
    let (fresh, after) = resumes(AucMarginConfig::new());
    assert_ne!(fresh, after);
    let (fresh, after) = resumes(counterweight_losses::GhmCConfig::new().with_momentum(0.9));
    assert_eq!(fresh, after, "the same batch again has the same counts");
    resumes(SoapConfig::new().with_gamma(0.9));
    let inner = AucMarginConfig::new();
    resumes(DeferredConfig::new(inner.clone(), inner.clone(), 1));
    resumes(counterweight_losses::SmoothedConfig::new(inner, 0.0));
    let device = Device::flex();
    let mut loss = EqualizationV2Config::new().init(&profile(&[9, 1]), &device).unwrap();
    let x = common::matrix(&[0.0, 0.0, 0.0, 0.0], [2, 2], &device, DType::F32);
    let t = Targets::from_ids(&[0, 0], &device);
    loss.end_batch(x.clone(), &t);
    // Class 1 saw negatives only: its negatives fade and its positives grow.
    let cost = |id| {
        let one = x.clone().narrow(0, 0, 1);
        loss.forward(one, &Targets::from_ids(&[id], &device), Reduction::Sum).into_scalar::<f64>()
    };
    assert!(cost(1) > 3.0 * cost(0), "{} {}", cost(1), cost(0));
}

#[test]
fn the_auc_margin_step_finds_its_saddle() {
    let device = Device::flex();
    let mut loss = AucMarginConfig::new().init(&profile(&[2, 2]), &device).unwrap();
    let x = common::matrix(&[2.0, 1.0, -1.0, 0.0], [4, 1], &device, DType::F64);
    let t = Targets::from_ids(&[1, 1, 0, 0], &device);
    for _ in 0..200 {
        loss.end_batch(x.clone(), &t);
    }
    let s = |z: f64| 1.0 / (1.0 + (-z).exp());
    let (up, down) = ((s(2.0) + s(1.0)) / 2.0, (s(-1.0) + 0.5) / 2.0);
    // Closed form: a and b are the means, α = m + b − a.
    let expected = [up, down, 1.0 + down - up];
    for (got, want) in loss.state().iter().zip(expected) {
        assert!((got - want).abs() < 1e-5, "{got} {want}");
    }
}

#[test]
fn sampled_softmax_is_the_full_one_when_everything_is_drawn() {
    // As the draws grow, the corrected loss tends to the softmax over all items.
    let device = Device::flex().autodiff();
    let counts = profile(&[50, 30, 15, 5]);
    let queries = common::matrix(&[0.3, -0.5, 1.0, 0.2], [2, 2], &device, DType::F64);
    let items = [0.1, 0.9, -0.4, 0.3, 0.8, -0.2, 0.5, 0.5];
    let table = common::matrix(&items, [4, 2], &device, DType::F64).require_grad();
    let positives = Tensor::from_ints([3, 0], &device);
    let loss = counterweight_losses::SampledSoftmaxConfig::new()
        .with_negatives(200_000)
        .init(&counts, &device)
        .unwrap();
    let sampled = loss.forward_sampled(queries.clone(), table.clone(), positives.clone(), 7);
    let full = queries.clone().matmul(table.clone().transpose());
    let own = full.clone().gather(1, positives.unsqueeze_dim(1));
    let rest: Tensor<2> = full.exp().sum_dim(1) - own.clone().exp();
    // n draws estimate n times the sum over the others; the positive is drawn with its Q.
    let q: Vec<f64> = [5f64, 50.0].iter().map(|n| n.powf(0.75)).collect();
    let all: f64 = [50f64, 30.0, 15.0, 5.0].iter().map(|n| n.powf(0.75)).sum();
    let (own, rest): (Vec<f64>, Vec<f64>) =
        (own.try_into_vec_as().unwrap(), rest.try_into_vec_as().unwrap());
    let got = values(sampled.clone());
    for i in 0..2 {
        let top = own[i].exp() / (q[i] / all);
        let expected = -(top / (top + 200_000.0 * rest[i])).ln();
        assert!((got[i] - expected).abs() < 0.01, "{} {expected}", got[i]);
    }
    assert!(table.grad(&sampled.sum().backward()).is_some());
}

/// The most memory this process has held, in bytes, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[test]
fn sampled_softmax_never_builds_batch_times_items() {
    const ITEMS: usize = 1_000_000;
    const BATCH: usize = 512;
    let device = Device::flex().autodiff();
    let counts = profile(&vec![3; ITEMS]);
    let loss = counterweight_losses::SampledSoftmaxConfig::new().init(&counts, &device).unwrap();
    let table = Tensor::<2>::ones([ITEMS, 8], &device).require_grad();
    let queries = Tensor::<2>::ones([BATCH, 8], &device);
    let positives = Tensor::arange(0..BATCH as i64, &device);
    let value = loss.forward_sampled(queries, table.clone(), positives, 1).sum();
    assert!(value.clone().into_scalar::<f64>().is_finite());
    assert!(table.grad(&value.backward()).is_some());
    if let Some(peak) = peak_memory() {
        let square = (BATCH * ITEMS * 4) as u64;
        assert!(peak < square / 2, "{peak} bytes, batch × items is {square}");
    }
}

#[test]
fn bad_parameters_are_named_with_their_range() {
    let device = Device::flex();
    let counts = profile(&[3, 1]);
    let message = |config: LossConfig| config.init(&counts, &device).unwrap_err().to_string();
    let nan = LogitAdjustedConfig::new().with_tau(f64::NAN);
    assert_eq!(message(nan.into()), "tau = NaN is outside [0, inf)");
    let bad = FocalConfig::new().with_gamma(-1.0);
    assert_eq!(message(bad.clone().into()), "gamma = -1 is outside [0, inf)");
    let inside = DeferredConfig::new(CrossEntropyConfig::new(), bad, 3);
    assert_eq!(message(inside.into()), "gamma = -1 is outside [0, inf)");
    let alpha = SigmoidFocalConfig::new().with_alpha(1.5);
    assert_eq!(message(alpha.into()), "alpha = 1.5 is outside [0, 1]");
    let short = CrossEntropyConfig::new().with_weights(ClassWeights::Explicit(vec![1.0]));
    assert!(message(short.into()).contains("1 entries, but there are 2 classes"));
    let weight = counterweight_losses::SampleWeightedConfig::new(FocalConfig::new(), vec![-1.0]);
    assert_eq!(message(weight.into()), "sample weight = -1 is outside [0, inf)");
}
