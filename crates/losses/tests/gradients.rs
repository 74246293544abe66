//! Every loss: finite differences, and finite values and gradients at the extremes.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use counterweight_core::ClassProfile;
use counterweight_losses::gradcheck::gradient_check;
use counterweight_losses::{
    AlphaBceConfig, ClassWeights, CrossEntropyConfig, DeferredConfig, FocalConfig,
    LogitAdjustedConfig, Loss, LossConfig, Reduction, SigmoidFocalConfig, Targets,
};
use proptest::prelude::*;

/// Every loss, over its parameters.
fn any_loss() -> impl Strategy<Value = LossConfig> {
    let weights = prop_oneof![
        Just(ClassWeights::Uniform),
        Just(ClassWeights::Balanced),
        (0.0..1.0f64).prop_map(|power| ClassWeights::Inverse { power }),
        (0.0..0.9999f64).prop_map(|beta| ClassWeights::EffectiveNumber { beta }),
    ];
    let gamma = prop_oneof![Just(0.0), Just(0.5), Just(1.0), Just(2.0), 0.0..5.0f64];
    let simple = prop_oneof![
        (weights.clone(), 0.0..0.5f64)
            .prop_map(|(weights, smoothing)| { CrossEntropyConfig { weights, smoothing }.into() }),
        (gamma.clone(), weights).prop_map(|(gamma, alpha)| FocalConfig { gamma, alpha }.into()),
        (gamma, 0.0..1.0f64).prop_map(|(gamma, alpha)| SigmoidFocalConfig { gamma, alpha }.into()),
        (0.0..1.0f64).prop_map(|alpha| AlphaBceConfig { alpha }.into()),
        (0.0..3.0f64).prop_map(|tau| LogitAdjustedConfig { tau }.into()),
    ];
    let pair = (simple.clone(), simple.clone(), 0..2usize);
    prop_oneof![
        4 => simple,
        1 => pair.prop_map(|(a, b, epoch): (LossConfig, LossConfig, usize)| {
            DeferredConfig::new(a, b, epoch).into()
        }),
    ]
}

type Drawn = (Vec<u64>, Vec<Vec<f64>>, Vec<Vec<f64>>, bool);

/// Counts (some empty), logits and targets of one shape.
fn any_batch(scale: f64) -> impl Strategy<Value = Drawn> {
    (1..5usize, 2..7usize).prop_flat_map(move |(rows, classes)| {
        let matrix = |value: BoxedStrategy<f64>| {
            prop::collection::vec(prop::collection::vec(value, classes), rows)
        };
        let mut counts = prop::collection::vec(0..1000u64, classes).boxed();
        counts = counts.prop_filter("some examples", |c| c.iter().any(|&n| n > 0)).boxed();
        (counts, matrix((-scale..scale).boxed()), matrix((0.01..1.0).boxed()), any::<bool>())
    })
}

fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, (device, DType::F64))
}

/// Soft rows, or the largest entry of each as a class id.
fn targets(rows: &[Vec<f64>], soft: bool, device: &Device) -> Targets {
    if soft {
        let scaled = |row: &Vec<f64>| row.iter().map(|v| v / row.iter().sum::<f64>()).collect();
        return Targets::Soft(tensor(&rows.iter().map(scaled).collect::<Vec<_>>(), device));
    }
    let largest = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let ids: Vec<i32> = rows.iter().map(|r| largest(r).unwrap() as i32).collect();
    Targets::Ids(Tensor::<1, Int>::from_data(ids.as_slice(), device))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn gradients_agree_with_differences(
        config in any_loss(),
        (counts, logits, rows, soft) in any_batch(6.0),
    ) {
        let device = Device::flex();
        let profile = ClassProfile::from_counts(counts).unwrap();
        let loss = config.init(&profile, &device).unwrap();
        let report = gradient_check(loss.as_ref(), &logits, &device, |d| targets(&rows, soft, d));
        prop_assert!(report.worst < 1e-5, "{:?}: {:?}", config, report);
    }

    #[test]
    fn extreme_logits_stay_finite_under_every_reduction(
        config in any_loss(),
        (counts, logits, rows, soft) in any_batch(1e4),
        double in any::<bool>(),
    ) {
        let device = Device::flex().autodiff();
        let profile = ClassProfile::from_counts(counts).unwrap();
        let mut loss = config.init(&profile, &device).unwrap();
        loss.set_epoch(1);
        let dtype = if double { DType::F64 } else { DType::F32 };
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::WeightedMean] {
            let x = tensor(&logits, &device).cast(dtype).require_grad();
            let value = loss.forward(x.clone(), &targets(&rows, soft, &device), reduction);
            let gradients = value.backward();
            let value: f64 = value.into_scalar();
            prop_assert!(value.is_finite() && value >= -1e-6, "{:?}: {}", config, value);
            let gradient: Vec<f64> = x.grad(&gradients).unwrap().try_into_vec_as().unwrap();
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "{:?}: {:?}", config, gradient);
        }
    }

    #[test]
    fn shifting_all_logits_changes_no_softmax_loss(
        (counts, logits, rows, soft) in any_batch(5.0),
        shift in -50.0..50.0f64,
        gamma in 0.0..3.0f64,
    ) {
        let device = Device::flex();
        let profile = ClassProfile::from_counts(counts).unwrap();
        let loss = FocalConfig::new().with_gamma(gamma).init(&profile, &device).unwrap();
        let value = |x: Tensor<2>| -> f64 {
            loss.forward(x, &targets(&rows, soft, &device), Reduction::Sum).into_scalar()
        };
        let x = tensor(&logits, &device);
        prop_assert!((value(x.clone()) - value(x + shift)).abs() < 1e-9);
    }

    #[test]
    fn reductions_are_those_of_the_examples((counts, logits, rows, soft) in any_batch(5.0)) {
        let device = Device::flex();
        let profile = ClassProfile::from_counts(counts).unwrap();
        let loss = CrossEntropyConfig::new().init(&profile, &device).unwrap();
        let t = targets(&rows, soft, &device);
        let x = tensor(&logits, &device);
        let each: Vec<f64> = loss.per_example(x.clone(), &t).try_into_vec_as().unwrap();
        let sum: f64 = each.iter().sum();
        let of = |r| loss.forward(x.clone(), &t, r).into_scalar::<f64>();
        prop_assert!((of(Reduction::Sum) - sum).abs() < 1e-9);
        prop_assert!((of(Reduction::Mean) - sum / each.len() as f64).abs() < 1e-9);
        prop_assert!((of(Reduction::WeightedMean) - of(Reduction::Mean)).abs() < 1e-9);
    }
}

#[test]
fn alpha_bce_has_the_documented_gradient() {
    let device = Device::flex().autodiff();
    let alpha = 0.7;
    let profile = ClassProfile::from_counts([3, 1]).unwrap();
    let loss = AlphaBceConfig::new().with_alpha(alpha).init(&profile, &device).unwrap();
    let (z, y) = ([-2.0, 0.3, 4.0], [1.0, 0.0, 0.25]);
    let row = |v: &[f64; 3]| tensor(&[v.to_vec()], &device);
    let x = row(&z).require_grad();
    let value = loss.forward(x.clone(), &Targets::Soft(row(&y)), Reduction::Sum);
    let p = z.map(|z: f64| 1.0 / (1.0 + (-z).exp()));
    let expected: f64 = (0..3)
        .map(|i| -alpha * y[i] * p[i].ln() - (1.0 - alpha) * (1.0 - y[i]) * (1.0 - p[i]).ln())
        .sum();
    assert!((value.clone().into_scalar::<f64>() - expected).abs() < 1e-12);
    let gradient: Vec<f64> = x.grad(&value.backward()).unwrap().try_into_vec_as().unwrap();
    for i in 0..3 {
        let g = -alpha * y[i] * (1.0 - p[i]) + (1.0 - alpha) * (1.0 - y[i]) * p[i];
        assert!((gradient[i] - g).abs() < 1e-12);
    }
    let on_p: f64 = loss.on_probabilities(row(&p), row(&y)).into_scalar();
    assert!((on_p - expected).abs() < 1e-9);
}

#[test]
fn deferred_switches_at_its_epoch() {
    let device = Device::flex();
    let profile = ClassProfile::from_counts([90, 10]).unwrap();
    let plain = CrossEntropyConfig::new();
    let weighted = plain.clone().with_weights(ClassWeights::Balanced);
    let mut deferred =
        DeferredConfig::new(plain.clone(), weighted.clone(), 3).init(&profile, &device).unwrap();
    let logits = tensor(&[vec![1.0, -1.0]], &device);
    let t = targets(&[vec![0.0, 1.0]], false, &device);
    let value =
        |loss: &dyn Loss| loss.forward(logits.clone(), &t, Reduction::Sum).into_scalar::<f64>();
    deferred.set_epoch(2);
    assert_eq!(value(&deferred), value(&plain.init(&profile, &device).unwrap()));
    deferred.set_epoch(3);
    assert_eq!(value(&deferred), value(&weighted.init(&profile, &device).unwrap()));
}

#[test]
fn bad_parameters_are_named_with_their_range() {
    let device = Device::flex();
    let profile = ClassProfile::from_counts([3, 1]).unwrap();
    let message = |config: LossConfig| config.init(&profile, &device).unwrap_err().to_string();
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
}
