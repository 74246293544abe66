//! Values and gradients against PyTorch and torchvision (`fixtures/generate.py`).

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use counterweight_core::ClassProfile;
use counterweight_losses::{
    AlphaBceConfig, ClassWeights, CrossEntropyConfig, FocalConfig, LogitAdjustedConfig, Loss,
    Reduction, SigmoidFocalConfig, Targets,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    values: Vec<f64>,
    gradient: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Fixture {
    logits: Vec<Vec<f64>>,
    ids: Vec<i32>,
    soft: Vec<Vec<f64>>,
    multi: Vec<Vec<f64>>,
    weights: Vec<f64>,
    counts: Vec<u64>,
    weighted_mean: f64,
    cases: BTreeMap<String, Case>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/losses.json")).unwrap()
}

fn matrix(rows: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    Tensor::from_data(data, (device, DType::F64))
}

fn ids(ids: &[i32], device: &Device) -> Targets {
    Targets::Ids(Tensor::<1, Int>::from_data(ids, device))
}

fn close(got: &[f64], expected: &[f64], name: &str) {
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        // Class weights are kept in f32.
        assert!((g - e).abs() <= 2e-7 * e.abs().max(1.0), "{name}[{i}]: {g} but PyTorch has {e}");
    }
}

fn check(name: &str, loss: &dyn Loss, targets: impl Fn(&Fixture, &Device) -> Targets) {
    let f = fixture();
    let case = &f.cases[name];
    let device = Device::flex().autodiff();
    let logits = matrix(&f.logits, &device).require_grad();
    let values = loss.per_example(logits.clone(), &targets(&f, &device));
    let got: Vec<f64> = values.clone().into_data().try_to_vec().unwrap();
    close(&got, &case.values, name);
    let gradients = values.sum().backward();
    let got: Vec<f64> = logits.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
    close(&got, &case.gradient.concat(), name);
}

fn setup() -> (ClassProfile, Device, ClassWeights) {
    let f = fixture();
    let profile = ClassProfile::from_counts(f.counts).unwrap();
    (profile, Device::flex(), ClassWeights::Explicit(f.weights))
}

#[test]
fn cross_entropy_is_pytorchs() {
    let (profile, device, weights) = setup();
    let plain = CrossEntropyConfig::new();
    let weighted = plain.clone().with_weights(weights);
    let by_id = |f: &Fixture, d: &Device| ids(&f.ids, d);
    let by_row = |f: &Fixture, d: &Device| Targets::Soft(matrix(&f.soft, d));
    let init = |config: CrossEntropyConfig| config.init(&profile, &device).unwrap();
    check("cross_entropy", &init(plain.clone()), by_id);
    check("cross_entropy_soft", &init(plain.clone()), by_row);
    check("cross_entropy_weighted", &init(weighted.clone()), by_id);
    check("cross_entropy_weighted_soft", &init(weighted.clone()), by_row);
    check("cross_entropy_smoothed", &init(plain.with_smoothing(0.1)), by_id);
    check("cross_entropy_weighted_smoothed", &init(weighted.with_smoothing(0.2)), by_id);
}

#[test]
fn focal_without_focus_is_weighted_cross_entropy() {
    let (profile, device, weights) = setup();
    let focal = FocalConfig::new().with_gamma(0.0).with_alpha(weights);
    let focal = focal.init(&profile, &device).unwrap();
    check("cross_entropy_weighted", &focal, |f, d| ids(&f.ids, d));
}

#[test]
fn logit_adjustment_is_cross_entropy_on_shifted_logits() {
    let (profile, device, _) = setup();
    let loss = LogitAdjustedConfig::new().with_tau(1.5).init(&profile, &device).unwrap();
    check("logit_adjusted", &loss, |f, d| ids(&f.ids, d));
}

#[test]
fn multi_label_losses_are_the_references() {
    let (profile, device, _) = setup();
    let rows = |f: &Fixture, d: &Device| Targets::Soft(matrix(&f.multi, d));
    check("sigmoid_focal", &SigmoidFocalConfig::new().init(&profile, &device).unwrap(), rows);
    check(
        "alpha_bce",
        &AlphaBceConfig::new().with_alpha(0.8).init(&profile, &device).unwrap(),
        rows,
    );
}

#[test]
fn the_weighted_mean_divides_by_the_weights() {
    let (profile, device, weights) = setup();
    let f = fixture();
    let loss = CrossEntropyConfig::new().with_weights(weights).init(&profile, &device).unwrap();
    let logits = matrix(&f.logits, &device);
    let value = loss.forward(logits.clone(), &ids(&f.ids, &device), Reduction::WeightedMean);
    let value: f64 = value.into_scalar();
    assert!((value - f.weighted_mean).abs() < 1e-6 * f.weighted_mean);
    // All examples of a class with weight 0.
    let zero = ids(&[1; 6], &device);
    assert_eq!(loss.forward(logits, &zero, Reduction::WeightedMean).into_scalar::<f64>(), 0.0);
}
