//! Values and gradients against PyTorch, torchvision, MONAI, LibAUC and the authors'
//! formulae (`fixtures/generate.py`).

mod common;

use burn::tensor::{DType, Device, Int, Tensor};
use common::matrix;
use counterweight_core::ClassProfile;
use counterweight_losses::{
    BatchInfo, BceConfig, ClassWeights, CrossEntropyConfig, Loss, LossConfig, LossKind, Reduction,
    SampledSoftmaxConfig, Targets,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    config: LossConfig,
    counts: Vec<u64>,
    x: Vec<Vec<f64>>,
    ids: Option<Vec<i32>>,
    soft: Option<Vec<Vec<f64>>>,
    features: Option<Vec<Vec<f64>>>,
    teacher: Option<Vec<Vec<f64>>>,
    values: Vec<f64>,
    gradient: Vec<Vec<f64>>,
}

fn tensor(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    matrix(&rows.concat(), [rows.len(), rows[0].len()], device, DType::F64)
}

fn close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        // Class constants are kept in f32.
        assert!((g - e).abs() <= 3e-6 * e.abs().max(1.0), "{what}[{i}]: {g}, reference {e}");
    }
}

#[test]
fn every_loss_is_its_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/losses.json")).unwrap();
    let device = Device::flex().autodiff();
    let mut failures = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let outcome = std::panic::catch_unwind(|| {
            let profile = ClassProfile::from_counts(case.counts.iter().copied()).unwrap();
            let mut loss = case.config.init(&profile, &device).unwrap();
            let rows: Vec<usize> = (0..case.x.len()).collect();
            let features = case.features.as_ref().map(|rows| tensor(rows, &device));
            let teacher = case.teacher.as_ref().map(|rows| tensor(rows, &device));
            loss.begin_batch(&BatchInfo {
                rows: Some(&rows),
                features: features.as_ref(),
                teacher: teacher.as_ref(),
            });
            let targets = match (&case.ids, &case.soft) {
                (Some(ids), _) => {
                    Targets::Ids(Tensor::<1, Int>::from_data(ids.as_slice(), &device))
                }
                (None, Some(soft)) => Targets::Soft(tensor(soft, &device)),
                (None, None) => unreachable!("a case has targets"),
            };
            let x = tensor(&case.x, &device).require_grad();
            let values = loss.per_example(x.clone(), &targets);
            let name = format!("case {i}, {:?}", case.config);
            let got: Vec<f64> = values.clone().try_into_vec_as().unwrap();
            close(&got, &case.values, &name);
            let gradient = x.grad(&values.sum().backward()).unwrap();
            let got: Vec<f64> = gradient.try_into_vec_as().unwrap();
            close(&got, &case.gradient.concat(), &format!("gradient of {name}"));
        });
        if outcome.is_err() {
            failures.push(case.config.kind().to_string());
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn every_loss_has_twenty_references() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/losses.json")).unwrap();
    for kind in LossKind::ALL {
        let n = cases.iter().filter(|case| case.config.kind() == *kind).count();
        assert!(n >= 20, "{kind} has {n} cases");
    }
}

fn mean(loss: &dyn Loss, x: &[f64], shape: [usize; 2], targets: &Targets) -> f64 {
    let x = matrix(x, shape, &Device::flex(), DType::F64);
    loss.forward(x, targets, Reduction::Mean).into_scalar()
}

#[test]
fn known_values_come_out() {
    let device = Device::flex();
    let profile = ClassProfile::from_counts([2, 1, 1]).unwrap();

    // PyTorch issue: logits [0, −120], targets [0, 1], mean over elements.
    let bce = BceConfig::new().init(&profile, &device).unwrap();
    let targets = Targets::from_ids(&[0, 1], &device);
    let value = mean(&bce, &[0.0, -120.0], [2, 1], &targets);
    assert!((value - 60.3466).abs() < 1e-4, "{value}");

    let sampled = SampledSoftmaxConfig::new().init(&profile, &device).unwrap();
    let q = Targets::Soft(matrix(&[0.5, 0.25, 0.25], [1, 3], &device, DType::F64));
    let value = mean(&sampled, &[2.0, 1.0, 1.0], [1, 3], &q);
    assert!((value - 0.9048).abs() < 1e-4, "{value}");
}

#[test]
fn effective_numbers_are_finite_and_scaled() {
    let profile = ClassProfile::from_counts([310, 2489, 114, 17, 0, 725]).unwrap();
    let of = |beta| ClassWeights::EffectiveNumber { beta }.values(&profile).unwrap();
    let weights = of(0.999);
    assert!(weights.iter().all(|w| w.is_finite()) && weights[4] == 0.0);
    // Cui et al. scale to the number of classes; the one without examples does not count.
    assert!((weights.iter().sum::<f64>() - 5.0).abs() < 1e-9);
    let ones = of(0.0);
    assert!(ones.iter().enumerate().all(|(c, w)| if c == 4 {
        *w == 0.0
    } else {
        (w - 1.0).abs() < 1e-12
    }));
    let inverse = of(1.0 - 1e-12);
    assert!((inverse[3] / inverse[0] - 310.0 / 17.0).abs() < 1e-2);
}

#[test]
fn the_weighted_mean_divides_by_the_weights() {
    let device = Device::flex();
    let profile = ClassProfile::from_counts([4, 4, 2]).unwrap();
    let config =
        CrossEntropyConfig::new().with_weights(ClassWeights::Explicit(vec![2.0, 0.0, 1.0]));
    let loss = config.init(&profile, &device).unwrap();
    let x = matrix(&[1.0, 0.0, 0.5, 0.3, 0.2, -1.0], [2, 3], &device, DType::F64);
    let value = |ids: &[usize]| {
        let targets = Targets::from_ids(ids, &device);
        loss.forward(x.clone(), &targets, Reduction::WeightedMean).into_scalar::<f64>()
    };
    let each: Vec<f64> = loss
        .per_example(x.clone(), &Targets::from_ids(&[0, 2], &device))
        .try_into_vec_as()
        .unwrap();
    assert!((value(&[0, 2]) - (each[0] + each[1]) / 3.0).abs() < 1e-12);
    assert_eq!(value(&[1, 1]), 0.0, "all weights are 0");
}
